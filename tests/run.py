"""All that is proven, in order, fastest first: `make test`. With --fast only lint and the library's tests: `make check`."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=5"]
NO_CHROMIUM = "no Chromium: install Debian's or Ubuntu's package chromium, or run .venv/bin/playwright install chromium"

PARTS = {
    "lint": [[sys.executable, "-m", "ruff", "check", "."], [sys.executable, "-m", "ruff", "format", "--check", "."]],
    "library": [[*PYTEST, "tests", "gdlib", "--doctest-modules", "--ignore=tests/book", "--ignore=tests/run.py"]],
    "notebooks": [[*PYTEST, "--nbval", "book"]],
    "site": [["make", "--no-print-directory", "book"]],
    "pages": [[*PYTEST, "tests/book"]],
}


def chromium() -> str | None:
    """The browser for the pages' tests: the machine's, else Playwright's, else, as root, the system's package."""
    spec = importlib.util.spec_from_file_location("browser", ROOT / "tests" / "book" / "browser.py")
    browser = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(browser)
    ways = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        ways += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]]
    for way in ways:
        if browser.find():
            break
        print(f"   no Chromium yet; trying: {' '.join(way)}", flush=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(way, timeout=600, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return browser.find()


def main(parts: dict[str, list[list[str]]]) -> int:
    failed, times = [], {}
    for name, commands in parts.items():
        print(f"== {name}", flush=True)
        began = time.perf_counter()
        if name == "pages" and not chromium():
            print(NO_CHROMIUM, flush=True)
            failed.append(name)
        elif any(subprocess.run(command, cwd=ROOT, check=False).returncode for command in commands):
            failed.append(name)
        times[name] = time.perf_counter() - began
    print("== " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items()))
    print(f"FAILED: {', '.join(failed)}" if failed else "all passed")
    if "pages" in failed and not chromium():
        print(NO_CHROMIUM)
    return bool(failed)


if __name__ == "__main__":
    fast = {name: PARTS[name] for name in ("lint", "library")}
    sys.exit(main(fast if "--fast" in sys.argv else PARTS))
