"""Mark a folder of handed-in notebooks: `make grade HANDED_IN=folder` writes `_build/marks.csv` and `_build/marks.html`.

    python book/_tools/grade.py FOLDER [--seconds 300] [--memory 4] [--printed 5] [--jobs 2] [--out _build/marks]

Each notebook runs in a process of its own (fenced.py) in an empty folder: it can change no file but those that it makes there, connect to
nothing, and is stopped after so many seconds of a core (or five times as many by the clock), at so many GB of memory and MB of printed text. What it had right until then counts. The
cells that check are put back as they were handed out, whatever has become of them. The page says which parts of the fence this machine has.
Nothing here notices answers that were copied, or code that cheats the checks: for that somebody has to look at the notebooks.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from fenced import OVERTIME
from marks import Marks, write_csv, write_html

ROOT = Path(__file__).parents[2]
HANDED_OUT = ROOT / "_build" / "course" / "student"
CHECK = re.compile(r"check\([\"'](\d[\w.]*)\.(\d+)[\"']")
FENCED = Path(__file__).with_name("fenced.py")


class Limits(NamedTuple):
    """What a notebook may use."""

    seconds: int = 300  # of a core; five times as many by the clock
    memory: float = 4  # GB
    printed: float = 5  # MB


def handed_out(folder: Path) -> dict[str, dict]:
    """The students' version of each chapter that has checks, by the chapter's number, as in ``4.2``."""
    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        found.update(dict.fromkeys(chapters_in(notebook), notebook))
    return found


def chapters_in(notebook: dict) -> set[str]:
    """The chapters whose exercises its cells check."""
    return {match[1] for cell in notebook["cells"] for match in CHECK.finditer("".join(cell["source"]))}


def checks_of(original: dict) -> dict[str, dict]:
    """The cells that check, by the names that they have for nbgrader."""
    named = ((cell["metadata"].get("nbgrader", {}).get("grade_id", ""), cell) for cell in original["cells"])
    return {name: cell for name, cell in named if name.startswith("check-")}


def with_checks(notebook: dict, original: dict) -> dict:
    """``notebook`` with the ``original``'s checks where it had them, and at its end those that it has no more."""
    checks = checks_of(original)
    by_text = {name_in(cell): grade_id for grade_id, cell in checks.items()}
    cells = []
    for cell in notebook["cells"]:
        grade_id = cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") or by_text.get(name_in(cell))
        if grade_id in checks:
            cell = checks.pop(grade_id)
        elif str(grade_id).startswith("check-"):
            continue  # there twice
        cells.append({"metadata": {}, **cell})
    return {**notebook, "cells": [*cells, *checks.values()]}


def name_in(cell: dict) -> str | None:
    found = CHECK.search("".join(cell["source"])) if cell.get("cell_type") == "code" else None
    return found and found[0]


def read(path: Path) -> dict:
    """The notebook in a file. `ValueError` where there is none."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 100e6:
        raise ValueError("it is no file, a link, or larger than 100 MB")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    if not all(isinstance(cell["source"], (str, list)) and "".join(cell["source"]) is not None for cell in cells):
        raise ValueError("its cells have no text")
    return notebook


@cache
def unshare() -> list[str]:
    """A command before another one: then it and what it starts have no network, and end together."""
    command = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
    works = (
        shutil.which("unshare") and not subprocess.run([*command, "true"], capture_output=True, check=False).returncode
    )
    return command if works else []


def mark(path: Path, name: str, originals: dict[str, dict], limits: Limits) -> Marks:
    """Run a handed-in notebook and say what came of it."""
    try:
        notebook = read(path)
        chapters = chapters_in(notebook)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        return Marks(name, "", f"is not a notebook: {type(error).__name__}: {str(error)[:200]}", {}, frozenset())
    chapter = next((chapter for chapter in sorted(chapters) if chapter in originals), "")
    if not chapter:
        return Marks(name, "", "is not one of the course's notebooks: it checks no exercise", {}, frozenset())
    with tempfile.TemporaryDirectory() as place:
        folder, results = Path(place) / "work", Path(place) / "results"
        folder.mkdir()
        (folder / "notebook.ipynb").write_text(json.dumps(with_checks(notebook, originals[chapter])), encoding="utf-8")
        state = run(folder, results, limits)
        lines = (
            [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []
        )
    said = {
        line["check"].removeprefix("check-"): None if line["right"] else line["said"]
        for line in lines
        if "check" in line
    }
    numbers = [name.removeprefix("check-") for name in checks_of(originals[chapter])]
    checks = {number: said.get(number, "It was not reached.") for number in numbers}
    fence = {part for line in lines for part in line.get("fence", [])} | (
        {"network", "processes"} if unshare() else set()
    )
    if state == "ended" and not any("ended" in line for line in lines):
        state = "ended before its last cell"
    return Marks(name, chapter, "ran to its end" if state == "ended" else state, checks, frozenset(fence))


def run(folder: Path, results: Path, limits: Limits) -> str:
    """Run ``notebook.ipynb`` in its folder; "ended", or why it was stopped."""
    environment = {
        key: value for key, value in os.environ.items() if key in ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH")
    }
    environment |= {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "IPYTHONDIR": str(folder),
        "MPLCONFIGDIR": str(folder),
        "MPLBACKEND": "agg",
    }
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        *unshare(),
        sys.executable,
        str(FENCED),
        str(folder / "notebook.ipynb"),
        str(results),
        str(limits.seconds),
        str(int(limits.memory * 2**30)),
    ]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )  # fmt: skip
    printed, too_much = 0, threading.Event()

    def listen() -> None:
        nonlocal printed
        while chunk := process.stdout.read1(2**16):
            printed += len(chunk)
            if printed > limits.printed * 1e6 and not too_much.is_set():
                too_much.set()
                stop(process)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        process.wait(5 * limits.seconds)
        state = "ended" if process.returncode == 0 else f"ended by itself with code {process.returncode}"
        if process.returncode == OVERTIME:
            state = f"was stopped after {limits.seconds} s of a core"
        elif process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL):
            state = "was killed: it used too much time or memory"
    except subprocess.TimeoutExpired:
        state = f"was stopped after {5 * limits.seconds} s"
    stop(process)  # and what it has left behind
    listener.join(10)
    return f"was stopped: it printed more than {limits.printed:g} MB" if too_much.is_set() else state


def stop(process: subprocess.Popen) -> None:
    """End a process and its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def grade(folder: Path, originals: dict[str, dict], limits: Limits, jobs: int) -> list[Marks]:
    """Mark every notebook below ``folder``, ``jobs`` at a time, with a line for each as it is done."""
    paths = sorted(path for path in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)

    def one(path: Path) -> Marks:
        began = time.perf_counter()
        marks = mark(path, str(path.relative_to(folder)), originals, limits)
        print(
            f"{time.perf_counter() - began:5.0f} s  {marks.right} of {len(marks.checks)}  {marks.path}: {marks.state}",
            flush=True,
        )
        return marks

    with ThreadPoolExecutor(jobs) as workers:
        return list(workers.map(one, paths))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=Limits().seconds, help="of a core")
    parser.add_argument("--memory", type=float, default=Limits().memory, help="GB")
    parser.add_argument("--printed", type=float, default=Limits().printed, help="MB")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--handed-out", type=Path, default=HANDED_OUT, help="the course's student/ folder")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "marks")
    asked = parser.parse_args()
    originals = handed_out(asked.handed_out)
    if not asked.folder.is_dir() or not originals:
        print(f"{asked.folder} is no folder" if originals else "There is no course yet: make course")
        return 1
    every = grade(asked.folder, originals, Limits(asked.seconds, asked.memory, asked.printed), asked.jobs)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    write_csv(every, asked.out.with_suffix(".csv"))
    write_html(every, asked.out.with_suffix(".html"))
    print(f"{len(every)} notebooks: {asked.out.with_suffix('.csv')}, {asked.out.with_suffix('.html')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
