"""What the scripts beside it share that measure a chapter's table: rates √2 apart around the best, and where a record comes from."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

RECORDS = Path(__file__).parents[1] / "_records"


def about(**more: Any) -> dict[str, Any]:
    """What a record says of itself: processor, torch, date, and ``more``."""
    return {"device": processor(), "torch": torch.__version__, "date": datetime.now(UTC).date().isoformat()} | more


def processor() -> str:
    """The machine's processor, as Linux names it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))


def around(guess: float, reach: int = 2) -> list[float]:
    """Rates √2 apart, to two digits: ``guess``, and so many on either side."""
    return [float(f"{guess * 2 ** (k / 2):.2g}") for k in range(-reach, reach + 1)]


def tuned(score: Callable[[list[float]], Iterable], rates: Sequence[float]) -> tuple[dict[float, Any], float]:
    """The scores of ``rates``, and of more beyond them until the best has neighbours on both sides; and that best rate.

    Args:
        score: from rates to the score of each: a loss, or those of several seeds, of which the mean counts.
        rates: where to begin, √2 apart.
    """
    found, wanted = {}, list(rates)
    while True:
        found |= zip(wanted, score(wanted))
        tried = sorted(found)
        best = min(tried, key=lambda rate: np.mean(found[rate]))
        if tried[0] < best < tried[-1]:
            return {rate: found[rate] for rate in tried}, best
        wanted = [float(f"{best * (2**0.5 if best == tried[-1] else 0.5**0.5):.2g}")]


def climbed(score: Callable[[list[tuple]], list], start: tuple, strides: tuple) -> dict[tuple, list[float]]:
    """Scores on a grid, from ``start`` downhill, with each of ``strides``, until the best has neighbours on both sides of each axis."""
    found = {}
    best = start
    for stride in strides:
        while True:
            places = [best]
            for axis in range(len(start)):
                places += [tuple(a + d * (i == axis) for i, a in enumerate(best)) for d in (-stride, stride)]
            new = [place for place in places if place not in found]
            found |= dict(zip(new, score(new)))
            better = min(places, key=lambda place: np.mean(found[place]))
            if better == best:
                break
            best = better
    return found


def results(rows: Iterable[Iterable[Future]]) -> list[list]:
    """What jobs that have been submitted, row by row, have come to."""
    return [[job.result() for job in row] for row in rows]
