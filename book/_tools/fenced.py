"""Run a handed-in notebook inside a fence: what grade.py starts for each, as a process of its own.

    python book/_tools/fenced.py NOTEBOOK RESULTS SECONDS_OF_A_CORE BYTES_OF_MEMORY

The code cells run one after another, whether or not one fails, in a plain IPython without a server. For each check a line of JSON goes to
RESULTS: its name, whether it passed, what it said. The first line says which parts of the fence this machine has. Files can be changed in
the folder of the notebook alone and no TCP connection can be made, by Linux's Landlock; processor time, memory, the size of files are
limited by `setrlimit`. grade.py stops what takes too long or prints too much.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

LARGEST_FILE, OVERTIME = 200 * 2**20, 97
CREATE, ADD, RESTRICT = 444, 445, 446  # Landlock's system calls
WRITING = 0x7FF2  # write, remove, make, rename, truncate: every right but to read and to execute, as of version 3
WRITE_AND_TRUNCATE = 0x4002


def landlock(folder: Path) -> list[str]:
    """From now on nothing but what is in ``folder`` can be written, made or removed; what of the fence is up."""

    class Rules(ctypes.Structure):
        _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64)]

    class Beneath(ctypes.Structure):
        _pack_ = 1
        _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]

    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE, None, 0, 1)
    if version < 3:
        return []
    rules = Rules(WRITING, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(CREATE, ctypes.byref(rules), size, 0)
    for path, allowed in ((folder, WRITING), (Path("/dev"), WRITE_AND_TRUNCATE), (Path("/dev/shm"), WRITING)):
        if path.exists():
            place = os.open(path, os.O_PATH)
            libc.syscall(ADD, ruleset, 1, ctypes.byref(Beneath(allowed, place)), 0)
            os.close(place)
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges, which Landlock asks for
    if libc.syscall(RESTRICT, ruleset, 0):
        return []
    return ["files"] + ["network"] * (version >= 4) + ["signals"] * (version >= 6)


def fence(folder: Path, seconds: int, memory: int) -> list[str]:
    """Put the fence up around this process and its children; what this machine has of it."""
    up = []
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        signal.signal(signal.SIGXCPU, lambda *_: os._exit(OVERTIME))  # what does not listen is killed a little later
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        up.append("memory")
    except (ImportError, ValueError, OSError):
        pass  # not on Windows
    return up + (landlock(folder) if sys.platform == "linux" else [])


def run(notebook: dict, results) -> None:
    """Run the cells, and write a line for each check."""
    from IPython.core.interactiveshell import InteractiveShell

    shell, failed = InteractiveShell.instance(), ""
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        ran = shell.run_cell("".join(cell["source"]), store_history=False)
        error = ran.error_before_exec or ran.error_in_exec
        said = "" if error is None else f"{type(error).__name__}: {error}"
        if not name.startswith("check-"):
            failed = said or ("" if name.startswith("answer-") else failed)
            continue
        if isinstance(error, AssertionError):
            said = str(error)
        elif isinstance(error, NameError) and failed:
            said = f"There is no answer: a cell before it failed. {failed}"
        results.write(json.dumps({"check": name, "right": error is None, "said": said[:1000]}) + "\n")
        results.flush()


if __name__ == "__main__":
    notebook = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with open(sys.argv[2], "a", encoding="utf-8") as results:
        up = fence(Path(sys.argv[1]).resolve().parent, int(sys.argv[3]), int(sys.argv[4]))
        results.write(json.dumps({"fence": up}) + "\n")
        results.flush()
        run(notebook, results)
        results.write(json.dumps({"ended": True}) + "\n")
