"""Measure what chapter 5.2 says of rates on curves: `python book/_tools/vision_rates.py`, ten minutes of a quiet core.

Residual networks of three depths with and without batch normalisation, and a convolutional network on curves as they are and moved. Rates
lie on a grid √2 apart which goes on until the best has neighbours on both sides; two seeds choose, by the loss on 500 curves that were kept
out of the training; five other seeds judge, on the test curves. Written to `book/_records`, as JSON; the chapter holds the same numbers
(tests/book/test_records_told.py).
"""

import json
import math
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import torch
from measuring import RECORDS, about, climbed, results
from torch import nn
from torch.nn import functional as F

from gdlib import Divergence, Trainer, data, models, schedules

RECORD = RECORDS / "vision_rates.json"
TUNING, JUDGING, BATCH = (0, 1), (3, 4, 5, 6, 7), 64


class Residual(nn.Module):
    """Two convolutions whose output is added to the input; (n, channels, places) to the same."""

    def __init__(self, channels: int, norm: bool):
        super().__init__()
        layers = []
        for _ in range(2):
            layers += [nn.BatchNorm1d(channels)] * norm + [nn.ReLU(), nn.Conv1d(channels, channels, 3, padding=1)]
        self.inside = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.inside(x)


def residual(blocks: int, norm: bool, channels: int = 16) -> nn.Module:
    end = [nn.BatchNorm1d(channels)] * norm
    return nn.Sequential(
        nn.Unflatten(1, (1, 40)), nn.Conv1d(1, channels, 5, stride=2, padding=2),
        *[Residual(channels, norm) for _ in range(blocks)],
        *end, nn.ReLU(), nn.Flatten(), nn.Linear(20 * channels, 10),
    )  # fmt: skip


class Moved(nn.Module):
    """Moves each curve by up to ``most`` places, while training; what leaves at one end enters at the other."""

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def forward(self, x):
        if not self.training:
            return x
        by = torch.randint(-self.most, self.most + 1, (len(x), 1))
        return x.gather(1, (torch.arange(40) - by) % 40)


def convnet(moved: bool) -> nn.Module:
    return nn.Sequential(*[Moved(3)] * moved, models.convnet((40,), 25, 25, 25, kernel=5))


def run(make, setting: tuple, steps: int, lr: float, seed: int) -> tuple[float, float, float]:
    """Loss on the curves that choose, accuracy on those that judge and on those that trained."""
    torch.set_num_threads(1)
    split = data.mnist1d()
    train, choose = (
        data.Dataset(split.train.inputs[part], split.train.targets[part]) for part in (slice(500, None), slice(500))
    )
    torch.manual_seed(seed)
    trainer = Trainer(
        make(*setting), train, F.cross_entropy, lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9),
        schedules.cosine(lr, steps), BATCH, "cpu", seed=seed,
    )  # fmt: skip
    try:
        trainer.fit(steps)
    except Divergence:
        return math.inf, 0.1, 0.1
    accuracies = (trainer.evaluate(part)["accuracy"] for part in (split.test, train))
    return trainer.evaluate(choose)["loss"], *accuracies


def measured(over: ProcessPoolExecutor, job: tuple, lr: float) -> dict:
    def rate(place: tuple) -> float:
        return float(f"{lr * 2 ** (place[0] / 2):.3g}")

    def score(places: list[tuple]) -> list[list[float]]:
        jobs = results([[over.submit(run, *job, rate(place), seed) for seed in TUNING] for place in places])
        return [[loss for loss, *_ in row] for row in jobs]

    found = climbed(score, (0,), (2, 1))
    while True:  # three on each side of the best, for the figure
        (best,) = min(found, key=lambda place: np.mean(found[place]))
        more = [(best + d,) for d in range(-3, 4) if (best + d,) not in found]
        if not more:
            break
        found |= dict(zip(more, score(more)))
    (judged,) = results([[over.submit(run, *job, rate((best,)), seed) for seed in JUDGING]])
    grid = [[rate(place), values] for place, values in sorted(found.items())]
    print(job, rate((best,)), [f"{row[1]:.3f}" for row in judged], flush=True)
    return {"best": rate((best,)), "judged": judged, "grid": grid}


STUDIES = {
    "residual": {
        f"{blocks} {'norm' if norm else 'plain'}": ((residual, (blocks, norm), 200), 0.05)
        for blocks in (2, 6, 14)
        for norm in (False, True)
    },
    "moved": {
        f"{steps} {'moved' if moved else 'plain'}": ((convnet, (moved,), steps), 0.1)
        for steps in (300, 900)
        for moved in (False, True)
    },
}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(STUDIES)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record |= about(tuning_seeds=TUNING, judging_seeds=JUDGING, batch_size=BATCH)
    with ProcessPoolExecutor(2) as over, ThreadPoolExecutor(2) as threads:
        for study in wanted:
            rows = STUDIES[study]
            record[study] = dict(zip(rows, threads.map(lambda row: measured(over, *row), rows.values())))
            RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
