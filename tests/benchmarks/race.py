"""What the races share: candidates take turns in one process, so that a noisy machine is noisy to all of them, and what counts is the
least of several rounds, in the processor's time where no GPU is waited for."""

import gc
import platform
import sys
import time
from collections.abc import Callable
from datetime import date

import torch


def race(candidates: dict[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Seconds of each candidate: the least over the rounds, after one turn to warm up; every other round in reverse."""
    best = dict.fromkeys(candidates, float("inf"))
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    for turn in range(rounds + 1):
        for name, candidate in list(candidates.items())[:: 1 if turn % 2 else -1]:
            gc.collect()
            began = clock()
            candidate()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                best[name] = min(best[name], clock() - began)
    return best


def machine() -> str:
    """A line that says where and when."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    cpu = platform.processor() or platform.machine()
    python = ".".join(map(str, sys.version_info[:3]))
    threads = torch.get_num_threads()
    return f"{date.today()}: torch {torch.__version__}, Python {python}, {cpu}, {threads} thread(s), {gpu}"


def table(title: str, rows: list[tuple[str, float, float | None]]) -> bool:
    """Print ratios beside what they should be at least; whether all are."""
    print(f"\n{title}\n{machine()}")
    for name, ratio, least in rows:
        verdict = "" if least is None else f"   wanted: {least:g}" + ("" if ratio >= least else "   MISSED")
        print(f"  {ratio:6.2f} x  {name}{verdict}", flush=True)
    return all(least is None or ratio >= least for _, ratio, least in rows)
