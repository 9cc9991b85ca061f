"""Measure chapter 4.3's table on a small transformer with AdamW: `python book/_tools/transformer_batches.py`, some ten minutes of one core.

Equal samples at three batch sizes, with Adam's second memory held in steps (the beta_2 of the base batch) or in samples (its half-life
scaled). Each arm is tried at peak rates √2 apart on three seeds; the grid goes on until its best lies inside; five other seeds judge the
best. The chapter trains one arm again and holds it against this table (tests/book/test_records_told.py). Written to `book/_records`.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import torch
from measuring import RECORDS, about, around, results, tuned

from gdlib import Trainer, data, models, schedules

RECORD = RECORDS / "transformer_batches.json"
BASE, BETA2, SAMPLES, TUNING, JUDGING = 64, 0.95, 6400, (0, 1, 2), (3, 4, 5, 6, 7)
START = {4: 0.004, 16: 0.008, 64: 0.016}
ARMS = [(64, "steps"), (16, "steps"), (16, "samples"), (4, "steps"), (4, "samples")]


def loss(batch: int, memory: str, peak: float, seed: int) -> float:
    """The mean loss of the last tenth of the samples of one run: warm-up over a tenth, then a line to zero."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model, text = models.gpt(97, context=32, width=32, layers=2, heads=2), data.python_source(context=32).train
    beta2 = BETA2 if memory == "steps" else BETA2 ** (batch / BASE)
    adamw, steps = partial(torch.optim.AdamW, betas=(0.9, beta2)), SAMPLES // batch
    schedule = schedules.warmup(schedules.polynomial(peak, steps), steps // 10)
    run = Trainer(model, text, models.next_token_loss, adamw, schedule, batch, "cpu", seed=seed)
    return round(float(np.mean(run.fit(steps).loss[-steps // 10 :])), 4)


def measured(batch: int, memory: str, over: ProcessPoolExecutor) -> dict:
    """An arm's losses at each peak, the best peak, and the losses of the seeds that judge it."""

    def losses(peaks: list[float], seeds: tuple[int, ...] = TUNING) -> list[list[float]]:
        return results([[over.submit(loss, batch, memory, peak, seed) for seed in seeds] for peak in peaks])

    grid, best = tuned(losses, around(START[batch]))
    return {"grid": grid, "peak": best, "judged": losses([best], JUDGING)[0]}


def main() -> None:
    rows = {}
    with ProcessPoolExecutor(1) as over:
        for batch, memory in ARMS:
            rows[f"{batch}, {memory}"] = measured(batch, memory, over)
            print(batch, memory, rows[f"{batch}, {memory}"], flush=True)
    RECORD.write_text(json.dumps(about(arms=rows), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
