"""Measure chapter 7.2's tables: `python book/_tools/optimizers.py [part ...]`, twenty minutes of one core.

Five optimizers on a perceptron (over run lengths at one batch size, over batch sizes at one length) and three on a small transformer,
each at the end of its decay. Every rate is tuned: √2 apart, on three seeds, until the best has neighbours on both sides; five other
seeds judge it. Then where the best rate of AdamW lies at three widths, with and without weight decay, in three parametrisations.
Written to `book/_records/optimizers.json`; the chapter holds the same numbers (tests/book/test_records_told.py) and trains
some of the runs again.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import torch
from measuring import RECORDS, about, around, results, tuned
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from gdlib import data, models, optim

RECORD = RECORDS / "optimizers.json"
TUNING, JUDGING = (0, 1, 2), (3, 4, 5, 6, 7)
CELLS = (
    (16, 300),
    *((64, steps) for steps in (75, 150, 300, 600)),
    *((256, steps) for steps in (19, 38, 75, 150, 300)),
)  # batch size, steps
GUESSES = {"SGD": 1.0, "momentum": 0.18, "AdamW": 0.016, "schedule-free": 4.0, "Muon": 0.044}
WIDTHS, WAYS = (16, 64, 256), ("one rate", "μP", "μP, decay held")


def optimizers(name: str, model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """What trains ``model``: torch's Muon takes the hidden matrices; AdamW takes the rest, a GPT's tables among it, at the same rate."""
    weights = list(model.parameters())
    if name == "Muon":
        tables = ("tokens", "positions")
        hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and not n.startswith(tables)]
        rest = [p for p in weights if all(p is not q for q in hidden)]
        muon = torch.optim.Muon(hidden, lr=lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
        return [muon, torch.optim.AdamW(rest, lr=lr)]
    made = {
        "SGD": lambda: torch.optim.SGD(weights, lr=lr),
        "momentum": lambda: torch.optim.SGD(weights, lr=lr, momentum=0.9),
        "AdamW": lambda: torch.optim.AdamW(weights, lr=lr),
        "schedule-free": lambda: optim.ScheduleFree(weights, lr=lr),
    }
    return [made[name]()]


def trained(model, dataset, loss_fn, made, batch, steps, seed, shape):
    """``model`` after so many steps of all optimizers in ``made``, whose rates follow ``shape`` of the step."""
    falling = [LambdaLR(one, shape) for one in made]
    for t in range(steps):
        rows = data.batch_indices(len(dataset), t * batch, batch, seed)
        loss = loss_fn(model(dataset.inputs[rows]), dataset.targets[rows])
        model.zero_grad()
        loss.backward()
        for one in (*made, *falling):
            one.step()
    return model


def perceptron(name: str, lr: float, seed: int, batch: int, steps: int) -> float:
    """The loss on 1,000 training samples after the last step."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(seed)
    model, train = models.mlp(40, 64, 64, 10), data.mnist1d().train
    made = optimizers(name, model, lr)
    trained(
        model, train, F.cross_entropy, made, batch, steps, seed,
        lambda t: 1.0 if name == "schedule-free" else 1 - t / steps,
    )  # fmt: skip
    if name == "schedule-free":
        with made[0].averaged():
            return at_end(model, train)
    return at_end(model, train)


@torch.no_grad()
def at_end(model: nn.Module, dataset: data.Dataset) -> float:
    loss = F.cross_entropy(model(dataset.inputs[:1000]), dataset.targets[:1000]).item()
    return loss if np.isfinite(loss) else 99.0


def transformer(name: str, lr: float, seed: int, batch: int, steps: int) -> float:
    """The loss on 500 test windows after the last step of a warm-up of a tenth and a line to zero."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model, split = models.gpt(97, context=32, width=32, layers=2, heads=2), data.python_source(context=32)
    warm = steps // 10
    trained(
        model, split.train, models.next_token_loss, optimizers(name, model, lr), batch, steps, seed,
        lambda t: min((t + 1) / warm, (steps - t) / (steps - warm)),
    )  # fmt: skip
    with torch.no_grad():
        loss = models.next_token_loss(model(split.test.inputs[:500]), split.test.targets[:500]).item()
    return loss if np.isfinite(loss) else 99.0


def widened(way: str, decay: float, lr: float, seed: int, width: int, steps: int = 300) -> tuple[float, float]:
    """The training and the test loss of a perceptron of ``width`` under AdamW with a line to zero."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model, split, k = models.mlp(40, width, width, 10), data.mnist1d(), width / 16
    first, hidden, last = model[::2]
    slow, fast = [hidden.weight, last.weight], [first.weight, first.bias, hidden.bias, last.bias]
    groups = [{"params": fast, "weight_decay": decay}, {"params": slow, "weight_decay": decay}]
    if way != "one rate":
        last.weight.data.mul_(k**-0.5)
        groups[1] |= {"lr": lr / k, "weight_decay": decay * (k if way == WAYS[2] else 1)}
    made = torch.optim.AdamW(groups, lr=lr)
    trained(model, split.train, F.cross_entropy, [made], 64, steps, seed, lambda t: 1 - t / steps)
    return at_end(model, split.train), at_end(model, split.test)


def measured(run: Callable, name: str, guess: float, batch: int, steps: int, over: Executor) -> dict:
    """A method's losses at each rate, the best rate, and the losses of the seeds that judge it."""

    def losses(rates: list[float], seeds: tuple[int, ...] = TUNING) -> list[list[float]]:
        return results([[over.submit(run, name, lr, seed, batch, steps) for seed in seeds] for lr in rates])

    grid, best = tuned(losses, around(guess))
    return {
        "grid": {str(lr): rounded(found) for lr, found in grid.items()},
        "best": best,
        "judged": rounded(losses([best], JUDGING)[0]),
    }


def rounded(values: Iterable[float]) -> list[float]:
    return [round(value, 4) for value in values]


def widths(decays: tuple[float, ...], rates: list[float], over: Executor) -> dict:
    """By way, decay and width, for each rate: the training losses of the seeds, and their test losses."""
    jobs = {
        (way, decay, width, lr): [over.submit(widened, way, decay, lr, seed, width) for seed in range(5)]
        for way in WAYS for decay in decays for width in WIDTHS for lr in rates
        if not (way == WAYS[2] and decay == 0) and not (width == WIDTHS[0] and way != WAYS[0])
    }  # fmt: skip
    found: dict = {}
    for (way, decay, width, lr), ones in jobs.items():
        rows = found.setdefault(f"{way}, {decay}, {width}", {})
        rows[str(lr)] = [rounded(losses) for losses in zip(*(one.result() for one in ones))]
    return found


def vertex(losses: dict[str, float]) -> float:
    """log2 of the best rate: where a parabola through the lowest loss and its two neighbours has its vertex."""
    rates, found = np.log2([float(lr) for lr in losses]), np.array(list(losses.values()))
    k = min(max(found.argmin(), 1), len(found) - 2)
    a, b, c = found[k - 1 : k + 2]
    return float(rates[k] + (a - c) / (a - 2 * b + c) / 2 * (rates[k + 1] - rates[k]))


PARTS = {
    "perceptron": lambda over: table(perceptron, GUESSES, CELLS, over),
    "widths": lambda over: widths((0.0, 1.0), [round(0.0014 * 2 ** (k / 2), 5) for k in range(14)], over),
    "transformer": lambda over: table(transformer, {"momentum": 0.3, "AdamW": 0.008, "Muon": 0.008}, [(16, 300)], over),
}


def table(run: Callable, guesses: dict[str, float], cells: Sequence[tuple[int, int]], over: Executor) -> dict:
    """What `measured` finds, for each method and each pair of a batch size and a number of steps."""
    with ThreadPoolExecutor(4) as several:
        waiting = {
            f"{name}, batch {batch}, {steps} steps": several.submit(measured, run, name, guess, batch, steps, over)
            for name, guess in guesses.items() for batch, steps in cells
        }  # fmt: skip
        return {name: one.result() for name, one in waiting.items()}


def main(parts: list[str]) -> None:
    """Measure these parts, and leave those that the record has besides."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record["about"] = about(tuning_seeds=TUNING, judging_seeds=JUDGING)
    with ProcessPoolExecutor() as over:
        for part in parts:
            record[part] = PARTS[part](over)
            RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or list(PARTS))
