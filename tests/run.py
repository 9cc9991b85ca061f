"""All that is proven, in order, fastest first: `make test`. With --fast only lint and the library's quick tests: `make check`."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTEST = [sys.executable, "-m", "pytest", "--no-header", "--durations=5"]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SEVERAL = ["-n", str(min(CORES, 4)), "--dist", "loadscope"]  # a file, thus a kernel or a browser, stays in one process
NO_CHROMIUM = "no Chromium: install Debian's or Ubuntu's package chromium, or run .venv/bin/playwright install chromium"

LIBRARY = [
    *PYTEST,
    "tests",
    "gdlib",
    "--doctest-modules",
    "--ignore=tests/book",
    "--ignore=tests/benchmarks",
    "--ignore=tests/run.py",
]
JAVASCRIPT = ["gdlib/widgets", "tests/js"]
PARTS = {
    "lint": [
        [sys.executable, "-m", "ruff", "check", "."],
        [sys.executable, "-m", "ruff", "format", "--check", "."],
        [str(Path(sys.executable).with_name("oxlint")), *JAVASCRIPT],
        [str(Path(sys.executable).with_name("oxfmt")), "--check", *JAVASCRIPT],
    ],
    "library": [[*LIBRARY, *SEVERAL, "-m", "not slow"]],
    "processes": [[*LIBRARY, *SEVERAL, "-m", "slow"]],
    "notebooks": [[*PYTEST, *SEVERAL, "--nbval", "book"]],
    "site": [["make", "--no-print-directory", "book"]],
    "pages": [[*PYTEST, *SEVERAL, "tests/book"]],
}
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
"""One thread a process: small models are faster so, and sums do not depend on the number of cores."""


def install(found: Callable[[], object], package: str, *ways: list[str]) -> None:
    """Get what is not ``found``: by one of the ``ways``, else, as root on Debian or Ubuntu, as the system's package."""
    ways = list(ways)
    if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        ways += [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", package]]
    for way in ways:
        if found():
            break
        print(f"   no {package} yet; trying: {' '.join(way)}", flush=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(way, timeout=600, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def chromium() -> str | None:
    """The browser of the pages' tests, as tests/book/browser.py finds it."""
    spec = importlib.util.spec_from_file_location("browser", ROOT / "tests" / "book" / "browser.py")
    browser = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(browser)
    return browser.find()


def main(parts: dict[str, list[list[str]]]) -> int:
    failed, times = [], {}
    for name, commands in parts.items():
        print(f"== {name} ({time.strftime('%H:%M:%S')})", flush=True)
        began = time.perf_counter()
        if name == "pages":
            install(chromium, "chromium", [sys.executable, "-m", "playwright", "install", "chromium"])
        if name == "processes":
            install(lambda: shutil.which("ip"), "iproute2")
        if name == "pages" and not chromium():
            print(NO_CHROMIUM, flush=True)
            failed.append(name)
        elif any(subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=False).returncode for command in commands):
            failed.append(name)
        times[name] = time.perf_counter() - began
    print("== " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items()), end="; ")
    print(f"{sum(times.values()) / 60:.1f} minutes in all")
    print(f"FAILED: {', '.join(failed)}" if failed else "all passed")
    if "pages" in failed and not chromium():
        print(NO_CHROMIUM)
    return bool(failed)


if __name__ == "__main__":
    fast = {name: PARTS[name] for name in ("lint", "library")}
    sys.exit(main(fast if "--fast" in sys.argv else PARTS))
