"""Measure chapter 4.3's table on a small transformer with AdamW: `python book/_tools/transformer_batches.py`, some ten minutes of one core.

Equal samples at three batch sizes, with Adam's second memory held in steps (the beta_2 of the base batch) or in samples (its half-life
scaled). Each arm is tried at peak rates √2 apart on three seeds; the grid goes on until its best lies inside; five other seeds judge the
best. The chapter trains one arm again and holds it against this table (tests/book/test_chapter_budgets.py). Written beside this file.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformer_schedules import processor

from gdlib import Trainer, data, models, schedules

RECORD = Path(__file__).with_suffix(".json")
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


def tuned(batch: int, memory: str, over: ProcessPoolExecutor) -> tuple[dict[float, list[float]], float]:
    """The losses at each peak, and the best peak, which has neighbours on both sides."""
    found, wanted = {}, [float(f"{START[batch] * 2 ** (k / 2):.2g}") for k in range(-2, 3)]
    while True:
        for peak in wanted:
            found[peak] = [one.result() for one in [over.submit(loss, batch, memory, peak, s) for s in TUNING]]
        peaks = sorted(found)
        best = min(peaks, key=lambda peak: np.mean(found[peak]))
        if peaks[0] < best < peaks[-1]:
            return {peak: found[peak] for peak in peaks}, best
        wanted = [float(f"{best * 2**0.5 if best == peaks[-1] else best / 2**0.5:.2g}")]


def main() -> None:
    rows = {}
    with ProcessPoolExecutor(1) as over:
        for batch, memory in ARMS:
            grid, best = tuned(batch, memory, over)
            judged = [over.submit(loss, batch, memory, best, seed) for seed in JUDGING]
            rows[f"{batch}, {memory}"] = {"grid": grid, "peak": best, "judged": [one.result() for one in judged]}
            print(batch, memory, rows[f"{batch}, {memory}"], flush=True)
    about = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "torch": torch.__version__, "processor": processor()}
    RECORD.write_text(json.dumps(about | {"arms": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
