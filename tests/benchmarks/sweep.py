"""64 runs at once against one after another: `gdlib.sweep` and a loop over `Trainer`, digits MLP, batch size 64."""

import sys

import torch
from race import race, table
from torch import nn

from gdlib import Trainer, data, models, sweep

torch.set_num_threads(1)
train, loss_fn, steps = data.digits().train, nn.functional.cross_entropy, 200  # the default of sweep
lrs, seeds = [0.01 * 1.4**k for k in range(16)], [0, 1, 2, 3]


def make_model() -> nn.Module:
    return models.mlp(64, 32, 10)


def one_after_another(count: int, sizes: list[int]) -> None:
    for k in range(count):
        torch.manual_seed(seeds[k % 4])
        trainer = Trainer(make_model(), train, loss_fn, lr=lrs[k % 16], batch_size=sizes[k % len(sizes)], device="cpu")
        for step in trainer.run(steps):
            _ = step.loss


many = [8, 16, 32, 64]
seconds = race(
    {
        "one": lambda: one_after_another(8, [64]),
        "one, sizes": lambda: one_after_another(8, many),
        "at once": lambda: sweep(make_model, train, loss_fn, lrs, [64], steps, seeds=seeds, device="cpu"),
        "at once, sizes": lambda: sweep(make_model, train, loss_fn, lrs, many, steps, seeds=[0], device="cpu"),
        "at once, 256": lambda: sweep(
            make_model, train, loss_fn, lrs, many, steps, seeds=seeds, device="cpu", at_once=64
        ),
    },
    rounds=5,
)
good = table(
    "sweep against a loop of Trainer (times faster)",
    [
        ("64 runs: 16 rates x 4 seeds, batch size 64", 8 * seconds["one"] / seconds["at once"], 12.0),
        ("64 runs: 16 rates x 4 batch sizes of 8 to 64", 8 * seconds["one, sizes"] / seconds["at once, sizes"], 8.0),
        ("256 runs: 16 rates x 4 batch sizes x 4 seeds", 32 * seconds["one, sizes"] / seconds["at once, 256"], None),
    ],
)
sys.exit(not good)
