"""`recommend` against a full grid, and against the rates that other tools suggest, on six tasks.

A grid of 60 runs (ten rates, six batch sizes), each with the same budget of samples and a rate that falls to zero, is trained and
judged on test data; so is the setting that `recommend` found from the training data alone, over three seeds. The other tools suggest
a rate alone: they get the same schedule and a batch of 32, the default of both.

    python tests/benchmarks/recommend.py [task ...]
"""

import logging
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.tuner import Tuner
from race import machine
from sklearn.datasets import load_breast_cancer, load_wine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_lr_finder import LRFinder
from tqdm import tqdm

from gdlib import Divergence, Trainer, data, models, recommend, schedules

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
CLASSES = nn.functional.cross_entropy
MOMENTUM = partial(torch.optim.SGD, momentum=0.9)
LRS, SIZES, SEEDS = np.geomspace(3e-4, 3.0, 10), (4, 8, 16, 32, 64, 128), (0, 1, 2)


class Task(NamedTuple):
    model: Callable[[], nn.Module]
    split: Callable[[], data.Split]
    loss_fn: Callable
    optimizer: Callable
    budget: int


def table(load: Callable, test: int) -> data.Split:
    """A data set of scikit-learn's, its columns scaled by the training part."""
    x, y = load(return_X_y=True)
    order = data.epoch_order(len(x), 0, 0).numpy()
    train, held_out = order[:-test], order[-test:]
    x = (x - x[train].mean(0)) / x[train].std(0)
    return data.Split(data.Dataset(x[train], y[train]), data.Dataset(x[held_out], y[held_out]))


TASKS = {
    "digits": Task(partial(models.mlp, 64, 32, 10), data.digits, CLASSES, MOMENTUM, 10_000),
    "diabetes": Task(partial(models.mlp, 10, 32, 1), data.diabetes, nn.functional.mse_loss, torch.optim.Adam, 4_000),
    "mnist1d": Task(partial(models.mlp, 40, 100, 100, 10), data.mnist1d, CLASSES, torch.optim.SGD, 24_000),
    "wine": Task(partial(models.mlp, 13, 16, 3), partial(table, load_wine, 58), CLASSES, torch.optim.SGD, 2_000),
    "breast cancer": Task(
        partial(models.mlp, 30, 16, 2), partial(table, load_breast_cancer, 169), CLASSES, torch.optim.Adam, 4_000
    ),
    "small GPT": Task(
        partial(models.gpt, len(data.CHARACTERS), context=16, width=32, layers=1, heads=2),
        partial(data.python_source, context=16, characters=100_000), models.next_token_loss, torch.optim.AdamW, 3_000,
    ),
}  # fmt: skip


def train(task: Task, schedule: Callable, batch_size: int, seed: int) -> float:
    """Test loss at the end of a run that costs the budget; infinite where it diverged."""
    torch.manual_seed(seed)
    split = task.split()
    trainer = Trainer(task.model(), split.train, task.loss_fn, task.optimizer, schedule, batch_size, seed=seed)
    try:
        for _ in trainer.run(round(task.budget / batch_size)):
            pass
    except Divergence:
        return math.inf
    return trainer.evaluate(split.test)["loss"]


def linear(task: Task, lr: float, batch_size: int) -> Callable:
    return schedules.polynomial(lr, round(task.budget / batch_size))


def loader(task: Task) -> DataLoader:
    part = task.split().train
    return DataLoader(TensorDataset(part.inputs, part.targets), batch_size=32, shuffle=True, drop_last=True)


def by_lightning(task: Task) -> float:
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.lr = task.model(), 1e-3

        def training_step(self, batch, index):
            return task.loss_fn(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return task.optimizer(self.parameters(), lr=self.lr)

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=1000, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu", devices=1, default_root_dir=folder,
        )  # fmt: skip
        found = Tuner(trainer).lr_find(Module(), loader(task)).suggestion()
    return found or math.nan


def by_lr_finder(task: Task) -> float:
    torch.manual_seed(0)
    model = task.model()
    finder = LRFinder(model, task.optimizer(model.parameters(), lr=1e-7), task.loss_fn, device="cpu")
    logging.disable(logging.CRITICAL)
    with open("/dev/null", "w") as nowhere:
        before, sys.stdout = sys.stdout, nowhere
        try:
            finder.range_test(loader(task), end_lr=10, num_iter=100)
        finally:
            sys.stdout = before
    lrs, losses = np.array(finder.history["lr"])[10:-5], np.array(finder.history["loss"])[10:-5]
    return float(lrs[np.gradient(losses).argmin()])  # what its plot(suggest_lr=True) returns


def compare(task: Task, bar: tqdm) -> dict[str, float]:
    """Test losses: the grid's best, and each way's as a multiple of it; what `recommend` cost, as a share of the grid."""
    split = task.split()
    found = recommend(task.model, split.train, task.loss_fn, task.optimizer, task.budget)
    bar.update()
    ours = np.mean([train(task, found.schedule, found.batch_size, seed) for seed in SEEDS])
    others = {}
    for name, finder in (("Lightning", by_lightning), ("torch-lr-finder", by_lr_finder)):
        lr = finder(task)
        others[name] = np.mean([train(task, linear(task, lr, 32), 32, seed) for seed in SEEDS]) if lr > 0 else math.inf
        others[name + " lr"] = lr
    grid = {}
    for lr in LRS:
        for size in SIZES:
            grid[lr, size] = train(task, linear(task, lr, size), size, 0)
            bar.update()
    lr, size = min(grid, key=grid.get)
    best = np.mean([grid[lr, size], *(train(task, linear(task, lr, size), size, seed) for seed in SEEDS[1:])])
    return {
        "best": best, "best lr": lr, "best size": size, "luckiest": grid[lr, size], "ours": ours, "lr": found.lr,
        "size": found.batch_size, "cost": found.cost / len(grid), **others,
    }  # fmt: skip


if __name__ == "__main__":
    names = sys.argv[1:] or list(TASKS)
    print(machine())
    print(
        f"{'task':14s} {'best of grid':>24s} {'recommend':>24s} {'cost':>5s} {'Lightning':>18s} {'torch-lr-finder':>18s}"
    )
    rows = []
    with tqdm(total=61 * len(names), unit="run", disable=not sys.stderr.isatty()) as bar:
        for name in names:
            began = time.perf_counter()
            r = compare(TASKS[name], bar)
            ratio = {way: r[way] / r["best"] for way in ("ours", "Lightning", "torch-lr-finder")}
            rows.append({**ratio, "cost": r["cost"]})
            bar.write(
                f"{name:14s} {r['best']:.4f} ({r['best lr']:.1g}, {r['best size']:3.0f})".ljust(40)
                + f"{ratio['ours']:5.2f} x ({r['lr']:.2g}, {r['size']})".rjust(24)
                + f"{r['cost']:6.0%} {ratio['Lightning']:8.2f} x ({r['Lightning lr']:.1g})"
                + f"{ratio['torch-lr-finder']:9.2f} x ({r['torch-lr-finder lr']:.1g})   {time.perf_counter() - began:.0f} s"
            )
    middle = {way: median(row[way] for row in rows) for way in rows[0]}
    print(
        f"median: recommend {middle['ours']:.2f} x the best of the grid at {middle['cost']:.0%} of its cost, Lightning"
        f" {middle['Lightning']:.2f} x, torch-lr-finder {middle['torch-lr-finder']:.2f} x"
    )
    good = (
        middle["ours"] <= 1.05
        and max(row["cost"] for row in rows) <= 0.2
        and middle["ours"] < min(middle["Lightning"], middle["torch-lr-finder"])
    )
    print("wanted: at most 1.05 x, at 20 % or less, nearer than both" + ("" if good else "   MISSED"))
    sys.exit(not good)
