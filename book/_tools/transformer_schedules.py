"""Measure chapter 3.3's table of schedules on a small transformer: `python book/_tools/transformer_schedules.py`, half an hour of one core.

Each strategy is tried at peaks √2 apart on three seeds; the grid goes on until its best lies inside; five other seeds judge the best. The chapter
trains one of the shorter runs of each strategy again and holds it against this table. Written to `book/_records`, as JSON; the
chapter and its page "going deeper" hold the same numbers (tests/book/test_chapter_budgets.py).
"""

import json
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from gdlib import Trainer, data, models, schedules

RECORD = Path(__file__).parents[1] / "_records" / "transformer_schedules.json"
LENGTHS, BATCH, TUNING, JUDGING = (600, 2400), 16, (0, 1, 2), (3, 4, 5, 6, 7)
PEAKS = [0.0014, 0.002, 0.0028, 0.004, 0.0057, 0.008, 0.011]


def line(peak: float, steps: int):
    return schedules.polynomial(peak, steps)


WAYS = {
    "fixed": lambda peak, steps: schedules.constant(peak),
    "warm-up, fixed": lambda peak, steps: schedules.warmup(peak, steps // 10),
    "linear": line,
    "warm-up, linear": lambda peak, steps: schedules.warmup(line(peak, steps), steps // 10),
}


def processor() -> str:
    """The machine's processor, as Linux names it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))


def loss(name: str, peak: float, seed: int, steps: int) -> float:
    """The mean loss of the last tenth of the steps of one run."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model, text = models.gpt(97, context=32, width=32, layers=2, heads=2), data.python_source(context=32).train
    schedule = WAYS[name](peak, steps)
    run = Trainer(model, text, models.next_token_loss, torch.optim.AdamW, schedule, BATCH, "cpu", seed=seed)
    return float(np.mean(run.fit(steps).loss[-steps // 10 :]))


def tuned(name: str, steps: int, over: Executor) -> tuple[dict[float, list[float]], float]:
    """The losses at each peak, and the best peak, which has neighbours on both sides."""
    found, wanted = {}, PEAKS
    while True:
        for peak, losses in zip(wanted, [[over.submit(loss, name, p, seed, steps) for seed in TUNING] for p in wanted]):
            found[peak] = [one.result() for one in losses]
        peaks = sorted(found)
        best = min(peaks, key=lambda peak: np.mean(found[peak]))
        if peaks[0] < best < peaks[-1]:
            return {peak: found[peak] for peak in peaks}, best
        wanted = [float(f"{best * (2**0.5 if best == peaks[-1] else 0.5**0.5):.2g}")]


def measured(name: str, steps: int, over: Executor) -> dict:
    """A strategy's grid, its best peak, and the losses of the seeds that judge it."""
    grid, best = tuned(name, steps, over)
    judged = [one.result() for one in [over.submit(loss, name, best, seed, steps) for seed in JUDGING]]
    return {"grid": {str(peak): values for peak, values in grid.items()}, "peak": best, "judged": judged}


if __name__ == "__main__":
    with ProcessPoolExecutor() as over, ThreadPoolExecutor(len(WAYS)) as strategies:
        tables = {
            steps: dict(zip(WAYS, strategies.map(lambda name, steps=steps: measured(name, steps, over), WAYS)))
            for steps in LENGTHS
        }
    about = {"batch_size": BATCH, "tuning_seeds": TUNING, "judging_seeds": JUDGING, "device": processor()}
    about |= {"torch": torch.__version__, "date": datetime.now(UTC).date().isoformat(), "steps": tables}
    RECORD.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
