"""`recommend` against a full grid, and against the rates that other tools suggest, on twelve tasks.

A grid of 60 runs (ten rates, six batch sizes), each with the same budget of samples and a rate that falls to zero, is trained and
judged on test data; the best of them, and the setting that `recommend` found from the training data alone, are judged by the mean of
twelve seeds each: three, which it was before, leave an error of a fifth on the smallest task. The other tools suggest a rate alone: they get
the same schedule and a batch of 32, the default of both.

The runs of the grid are trained with `sweep`, whose losses are those of `Trainer`. The grid's time is what `Trainer` would take for it:
its steps, times the seconds that a step of each batch size takes, measured here. Times are of the process, so that neighbours count little.

    python tests/benchmarks/recommend.py [task ...] [--alone]       # --alone: without the other tools
"""

import logging
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from race import machine
from sklearn.datasets import load_breast_cancer, load_wine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from gdlib import Trainer, data, models, recommend, schedules, sweep

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
CLASSES = nn.functional.cross_entropy
MOMENTUM = partial(torch.optim.SGD, momentum=0.9)
LRS, SIZES, SEEDS = np.geomspace(3e-4, 3.0, 10), (4, 8, 16, 32, 64, 128), tuple(range(12))


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


@cache
def made(kind: str, n: int, columns: int) -> data.Split:
    """What a practitioner brought: heavy-tailed noise, 2 % positives, a target of which a fifth can be known, or much data."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n + 4000, columns)).astype(np.float32)
    signal = np.tanh(2 * x @ np.random.default_rng(9).normal(size=(columns, 1)) / columns**0.5)
    if kind == "positives":
        y = (signal + 0.5 * rng.normal(size=signal.shape) > 1.6).astype(np.float32)
    else:
        noise = rng.standard_t(3, size=signal.shape) if kind == "tails" else rng.normal(size=signal.shape)
        y = signal + noise * {"tails": 1.0, "noise": 1.45, "much": 0.5}[kind]
    y = y.astype(np.float32)
    return data.Split(data.Dataset(x[:n], y[:n]), data.Dataset(x[n:], y[n:]))


def net(columns: int) -> Callable[[], nn.Module]:
    return partial(models.mlp, columns, 64, 64, 1)


MSE, YES = nn.functional.mse_loss, nn.functional.binary_cross_entropy_with_logits
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
    "heavy tails, SGD": Task(net(20), partial(made, "tails", 5000, 20), MSE, torch.optim.SGD, 20_000),
    "heavy tails, AdamW": Task(net(20), partial(made, "tails", 5000, 20), MSE, torch.optim.AdamW, 20_000),
    "positives, SGD": Task(net(20), partial(made, "positives", 8000, 20), YES, torch.optim.SGD, 40_000),
    "positives, AdamW": Task(net(20), partial(made, "positives", 8000, 20), YES, torch.optim.AdamW, 40_000),
    "a fifth known, SGD": Task(net(20), partial(made, "noise", 2500, 20), MSE, torch.optim.SGD, 20_000),
    "200,000 x 50, AdamW": Task(net(50), partial(made, "much", 200_000, 50), MSE, torch.optim.AdamW, 200_000),
}  # fmt: skip


def trained(task: Task, lrs: list, batch_size: int, seeds: tuple[int, ...]) -> np.ndarray:
    """Test losses at the end of runs that cost the budget, ``(rates, seeds)``; infinite where they diverged."""
    split, steps = task.split(), round(task.budget / batch_size)
    runs = sweep(
        task.model, split.train, task.loss_fn, lrs, [batch_size], steps, seeds=seeds, optimizer=task.optimizer,
        evaluation=split.test,
    )  # fmt: skip
    return runs.evaluations[:, 0, :, -1].astype(float)


def pace(task: Task, batch_size: int) -> float:
    """Seconds that a step takes `Trainer`."""
    torch.manual_seed(0)
    trainer = Trainer(task.model(), task.split().train, task.loss_fn, task.optimizer, lr=1e-6, batch_size=batch_size)
    trainer.fit(10)
    least = math.inf
    for _ in range(5):
        began = time.process_time()
        for step in trainer.run(20):
            _ = step.loss
        least = min(least, (time.process_time() - began) / 20)
    return least


def linear(task: Task, lr: float, batch_size: int) -> Callable:
    return schedules.polynomial(lr, round(task.budget / batch_size))


def loader(task: Task) -> DataLoader:
    part = task.split().train
    return DataLoader(TensorDataset(part.inputs, part.targets), batch_size=32, shuffle=True, drop_last=True)


def by_lightning(task: Task) -> float:
    import lightning
    from lightning.pytorch.tuner import Tuner

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
    from torch_lr_finder import LRFinder

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


def compare(task: Task, finders: dict[str, Callable], bar: tqdm) -> dict[str, float]:
    """Test losses: the grid's best, and each way's as a multiple of it; what `recommend` cost, as a share of the grid's time."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = recommend(task.model, task.split().train, task.loss_fn, task.optimizer, task.budget)
    took = time.process_time() - began
    bar.update()
    results = {}
    for name, setting in (("ours", found), ("soonest", found.soonest)):
        losses = trained(task, [setting.schedule], setting.batch_size, SEEDS)
        results[name], results[name + " error"] = losses.mean(), losses.std(ddof=1) / len(SEEDS) ** 0.5
    for name, finder in finders.items():
        lr = finder(task)
        results[name] = trained(task, [linear(task, lr, 32)], 32, SEEDS).mean() if lr > 0 else math.inf
        results[name + " lr"] = lr
    grid, seconds = {}, 0.0
    for size in SIZES:
        losses = trained(task, [linear(task, lr, size) for lr in LRS], size, (0,))[:, 0]
        grid |= {(lr, size): loss for lr, loss in zip(LRS, losses)}
        seconds += len(LRS) * round(task.budget / size) * pace(task, size)
        bar.update(len(LRS))
    lr, size = min(grid, key=grid.get)
    losses = trained(task, [linear(task, lr, size)], size, SEEDS)
    best = losses.mean()
    error = math.hypot(losses.std(ddof=1) / len(SEEDS) ** 0.5 / best, results["ours error"] / results["ours"])
    return {
        "error": error * results["ours"] / best,
        "best": best, "best lr": lr, "best size": size, "lr": found.lr, "size": found.batch_size, "samples": found.cost / len(grid),
        "cost": took / seconds, "quick": found.soonest.batch_size, "level": found.constant, **results,
    }  # fmt: skip


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--alone"] or list(TASKS)
    finders = {} if "--alone" in sys.argv else {"Lightning": by_lightning, "torch-lr-finder": by_lr_finder}
    print(machine())
    print(
        f"{'task':20s} {'best of grid':>20s} {'recommend':>29s} {'time':>5s} {'samples':>7s} {'soonest':>14s}"
        + "".join(f"{name:>18s}" for name in finders)
    )
    rows = []
    with tqdm(total=61 * len(names), unit="run", disable=not sys.stderr.isatty()) as bar:
        for name in names:
            r = compare(TASKS[name], finders, bar)
            ratio = {way: r[way] / r["best"] for way in ("ours", "soonest", *finders)}
            rows.append({**ratio, "cost": r["cost"]})
            line = f"{name:20s} {r['best']:.4f} ({r['best lr']:.1g}, {r['best size']:3.0f})".ljust(41)
            line += f"{ratio['ours']:5.2f} ± {r['error']:.2f} x ({r['lr']:.2g}, {r['size']})".rjust(29)
            line += f"{r['cost']:6.0%} {r['samples']:7.0%} {ratio['soonest']:5.2f} x ({r['quick']})"
            line += "".join(f"{ratio[way]:9.2f} x ({r[way + ' lr']:.1g})" for way in finders)
            print(line, flush=True)
    middle = {way: median(row[way] for row in rows) for way in rows[0]}
    worst = max(row["ours"] for row in rows)
    print(
        f"median {middle['ours']:.3f} x, worst {worst:.3f} x the best of the grid, in {middle['cost']:.1%} of its time (median)"
    )
    for way in finders:
        print(f"{way}: median {middle[way]:.2f} x")
    good = middle["ours"] <= 1.03 and worst <= 1.1 and max(row["cost"] for row in rows) <= 0.2
    good = good and all(middle["ours"] < middle[way] for way in finders)
    print("wanted: at most 1.03 x (median), 1.10 x (worst), in 20 % of the time" + ("" if good else "   MISSED"))
    sys.exit(not good)
