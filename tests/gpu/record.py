"""What one GPU does in eight minutes, written to book/_records: `make gpu`, or `make gpu SMOKE=1` for the same, tiny, on a CPU.

    python tests/gpu/record.py [--smoke] [--minutes 7.5] [--folder book/_records]

What matters most comes first, the file is written after each part, and no part begins when time is up. A part that fails is
recorded with its error, and the exit status says so.
"""

import argparse
import datetime
import json
import platform
import re
import sys
import time
import traceback
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # where gdlib is not installed

from measures import PARTS, Machine  # noqa: E402


def about(machine: Machine) -> dict:
    """Device, driver, versions: what a figure needs beside it."""
    device, name = machine.device, platform.processor() or platform.machine()
    driver = None
    if device.type == "cuda":
        name = torch.cuda.get_device_name()
        driver = getattr(torch._C, "_cuda_getDriverVersion", lambda: None)()
    else:
        cpuinfo = Path("/proc/cpuinfo")
        found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
        name = found.group(1) if found else name
    return {
        "device": name,
        "kind": device.type,
        "smoke": machine.smoke,
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "driver": driver,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "seed": 0,
        "peak": machine.peak,
    }


def record(folder: Path, smoke: bool, minutes: float) -> tuple[Path, list[str]]:
    """Take all parts that time allows; returns the file and the names of those that failed."""
    machine = Machine(smoke, deadline=time.monotonic() + 60 * minutes)
    found, failed = {"about": about(machine)}, []
    short = re.sub(r"[^a-z0-9]+", "-", found["about"]["device"].lower()).strip("-")[:40].rstrip("-")
    path = folder / f"{'smoke' if smoke else 'gpu'}-{short}-{found['about']['date']}.json"
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in PARTS.items():
        if machine.left() <= 0:
            found.setdefault("left out", []).append(name)
            continue
        began = time.monotonic()
        try:
            found[name] = part(machine)
        except Exception as error:
            traceback.print_exc()
            found[name], _ = {"error": f"{type(error).__name__}: {error}"}, failed.append(name)
        machine.clear()
        print(f"{name}: {time.monotonic() - began:.0f} s, {machine.left():.0f} s left", flush=True)
        write(path, found)
    write(path, found)
    return path, failed


def write(path: Path, found: dict) -> None:
    """One line for each row of numbers."""
    text = json.dumps(found, indent=1)
    path.write_text(re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", text) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--folder", type=Path, default=ROOT / "book" / "_records")
    given = parser.parse_args()
    if not given.smoke and not torch.cuda.is_available():
        sys.exit("no GPU that torch can use; 'make gpu SMOKE=1' does the same, tiny, on a CPU")
    path, failed = record(given.folder, given.smoke, given.minutes)
    print(path)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
