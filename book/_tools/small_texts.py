"""Measure chapter 7.3's transformer that learns a short text by heart: `python book/_tools/small_texts.py`, three minutes of one core.

A GPT with AdamW on 200 windows of 32 characters, 200 steps of 16, sixteen passes: with nothing against it, and with weight decay. Rate
and decay are tuned on three seeds by the validation loss of the best checkpoint; five other seeds judge. Each seed draws its own windows.
Written to `book/_records/small_texts.json`; the chapter holds what it needs of it.
"""

import json
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from measuring import RECORDS, about, around, tuned

from gdlib import Trainer, data, models

RECORD = RECORDS / "small_texts.json"
WINDOWS, TUNING, JUDGING, STEPS, EVERY = 200, (0, 1, 2), (3, 4, 5, 6, 7), 200, 20


def part_of(dataset: data.Dataset, rows: torch.Tensor | slice) -> data.Dataset:
    return data.Dataset(dataset.inputs[rows], dataset.targets[rows])


def losses(windows: int, lr: float, decay: float, seed: int) -> list[list[float]]:
    """The training, validation and test loss after every 20 steps."""
    torch.set_num_threads(1)
    split = data.python_source(context=32)
    order = data.epoch_order(len(split.train), 0, seed)
    seen, valid = (part_of(split.train, rows) for rows in (order[:windows], order[-300:]))
    test = part_of(split.test, slice(300))
    torch.manual_seed(seed)
    model = models.gpt(97, context=32, width=64, layers=2, heads=2)
    adamw = partial(torch.optim.AdamW, weight_decay=decay)
    run = Trainer(model, seen, models.next_token_loss, adamw, lr, 16, "cpu", seed=seed)
    found = []
    for step in run.run(STEPS):
        if step.index % EVERY == EVERY - 1:
            found.append([round(run.evaluate(part)["loss"], 4) for part in (seen, valid, test)])
    return found


def lowest(windows: int, lr: float, decay: float, over: Executor) -> float:
    """The validation loss at the best checkpoint, mean over the seeds that tune."""
    runs = [over.submit(losses, windows, lr, decay, seed) for seed in TUNING]
    return float(np.mean([min(valid for _, valid, _ in one.result()) for one in runs]))


def grid(windows: int, decay: float, over: Executor) -> dict[float, float]:
    """The validation losses of rates √2 apart around the best."""
    with ThreadPoolExecutor(3) as threads:
        found, _ = tuned(
            lambda rates: threads.map(lambda lr: lowest(windows, lr, decay, over), rates), around(0.002, 1)
        )
    return {lr: round(loss, 4) for lr, loss in found.items()}


def main() -> None:
    arms = {"nothing": (0.0,), "weight decay": (0.3, 1.0, 3.0)}
    record: dict = {"about": about(tuning_seeds=TUNING, judging_seeds=JUDGING)}
    with ProcessPoolExecutor() as over:
        for name, decays in arms.items():
            with ThreadPoolExecutor(len(decays)) as threads:
                grids = dict(zip(decays, threads.map(lambda decay: grid(WINDOWS, decay, over), decays)))
            _, lr, decay = min((loss, lr, decay) for decay, found in grids.items() for lr, loss in found.items())
            judged = [over.submit(losses, WINDOWS, lr, decay, seed) for seed in JUDGING]
            record[name] = {"grids": grids, "lr": lr, "decay": decay, "judged": [one.result() for one in judged]}
            RECORD.write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
