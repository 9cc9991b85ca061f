"""Run notebooks as somebody does who has nothing of this book but them and the library's wheel: each in an empty folder, by a Python that
has all other packages of this one but no gdlib.

    python book/_tools/alone.py                                     # all that the built site offers (make book)
    python book/_tools/alone.py _build/html/_sources/index.ipynb
    python book/_tools/alone.py --with ipywidgets==7.7.1 [...]      # with other versions than ours, as Colab has
"""

import argparse
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

SITE = Path(__file__).parents[2] / "_build" / "html"
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""


def python_without_gdlib(folder: Path, packages: list[str]) -> Path:
    """A Python in ``folder`` that imports what this one does, but not gdlib, and instead of its own versions these ``packages``."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    # A folder that a .pth file names is searched, but its own .pth files are not read: there an editable gdlib would hide.
    (own / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    if packages:
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True, env=environment())
    return python


def environment() -> dict[str, str]:
    # Nobody who opens a notebook sets OMP_NUM_THREADS, and who has only a notebook has no PYTHONPATH to the library.
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "OMP_NUM_THREADS")}


def run(notebook: Path, wheel: Path, python: Path, folder: Path) -> Path:
    """Execute a copy of ``notebook`` in ``folder``, which must be empty, and return it.

    Raises:
        RuntimeError: if a cell fails, with what the kernel said.
    """
    (folder / wheel.name).write_bytes(wheel.read_bytes())
    copy = folder / notebook.name
    copy.write_bytes(notebook.read_bytes())
    command = [python, "-c", EXECUTE, str(copy)]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{notebook} did not run:\n{done.stderr[-4000:]}")
    return copy


def core_seconds() -> float:
    """Of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with", dest="packages", action="append", default=[], metavar="PACKAGE")
    parser.add_argument("notebooks", nargs="*", type=Path)
    asked = parser.parse_args()
    (wheel,) = SITE.glob("*.whl")
    failed = 0
    for notebook in asked.notebooks or sorted((SITE / "_sources").rglob("*.ipynb")):
        with tempfile.TemporaryDirectory() as place:
            python = python_without_gdlib(Path(place) / "python", asked.packages)
            (Path(place) / "empty").mkdir()
            began, used = time.perf_counter(), core_seconds()
            try:
                run(notebook.resolve(), wheel, python, Path(place) / "empty")
                clock, core = time.perf_counter() - began, core_seconds() - used
                print(f"{clock:5.0f} s by the clock, {core:4.0f} s of a core  {notebook}", flush=True)
            except RuntimeError as error:
                failed += 1
                print(error, flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
