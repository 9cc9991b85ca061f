"""Measure chapter 3.3's table of schedules on a small transformer: `python book/_tools/transformer_schedules.py`, half an hour of one core.

Each strategy is tried at peaks √2 apart on three seeds; the grid goes on until its best lies inside; five other seeds judge the best. The chapter
trains one of the shorter runs of each strategy again and holds it against this table. Written to `book/_records`, as JSON; the
chapter and its page "going deeper" hold the same numbers (tests/book/test_records_told.py).
"""

import json
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import torch
from measuring import RECORDS, about, results, tuned

from gdlib import Trainer, data, models, schedules

RECORD = RECORDS / "transformer_schedules.json"
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


def loss(name: str, peak: float, seed: int, steps: int) -> float:
    """The mean loss of the last tenth of the steps of one run."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model, text = models.gpt(97, context=32, width=32, layers=2, heads=2), data.python_source(context=32).train
    schedule = WAYS[name](peak, steps)
    run = Trainer(model, text, models.next_token_loss, torch.optim.AdamW, schedule, BATCH, "cpu", seed=seed)
    return float(np.mean(run.fit(steps).loss[-steps // 10 :]))


def measured(name: str, steps: int, over: Executor) -> dict:
    """A strategy's grid, its best peak, and the losses of the seeds that judge it."""

    def losses(peaks: list[float], seeds: tuple[int, ...] = TUNING) -> list[list[float]]:
        return results([[over.submit(loss, name, peak, seed, steps) for seed in seeds] for peak in peaks])

    grid, best = tuned(losses, PEAKS)
    (judged,) = losses([best], JUDGING)
    return {"grid": {str(peak): values for peak, values in grid.items()}, "peak": best, "judged": judged}


if __name__ == "__main__":
    with ProcessPoolExecutor() as over, ThreadPoolExecutor(len(WAYS)) as strategies:
        tables = {
            steps: dict(zip(WAYS, strategies.map(lambda name, steps=steps: measured(name, steps, over), WAYS)))
            for steps in LENGTHS
        }
    record = about(batch_size=BATCH, tuning_seeds=TUNING, judging_seeds=JUDGING, steps=tables)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
