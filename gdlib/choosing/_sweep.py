"""Hundreds of runs at once: every learning rate with every batch size, over several seeds.

Runs of one batch size are stacked: their weights lie in one tensor with a dimension for the run, and ``torch.func.vmap`` turns
each of the model's operations into one operation on all of them. For small models most of a step's time is overhead, which
is then paid once for all; what is left of it goes when the step is written down once as a plain list of operations.
"""

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from gdlib import _check
from gdlib.choosing._samples import as_samples, makes_models
from gdlib.choosing._stack import Plan, Run, alone, together, why_alone
from gdlib.data import Dataset
from gdlib.schedules import Schedule, as_schedule, plateau, plateaus
from gdlib.training import device as devices


@dataclass(frozen=True, eq=False)
class Sweep:
    """The losses of a grid of runs.

    Attributes:
        lr: the learning rates, ``(L,)``, in the order they were given; of a schedule its highest.
        batch_size: the batch sizes, ``(B,)``.
        seeds: the seeds, ``(S,)``.
        losses: ``(L, B, S, steps)``, float32; the loss of each step's batch before its update, infinite from the step at
            which a run diverged.
        evaluated: the steps after which the runs were evaluated, ``(E,)``; none without an evaluation set.
        evaluations: the losses on that set, ``(L, B, S, E)``, float32.

    Example:
        >>> losses = np.array([[[[2.0, 1.0, 0.5]]], [[[2.0, 1.5, 1.2]]]], dtype=np.float32)  # two rates, one size, one seed, three steps
        >>> runs = Sweep(np.array([0.1, 0.01]), np.array([32]), np.array([0]), losses)
        >>> runs.best(), runs.steps_to(1.0, window=1)[:, 0, 0].tolist()
        ((0.1, 32), [2.0, inf])
    """

    lr: np.ndarray
    batch_size: np.ndarray
    seeds: np.ndarray
    losses: np.ndarray
    evaluated: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))
    evaluations: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0, 0), dtype=np.float32))

    def __repr__(self) -> str:
        runs, steps = int(np.prod(self.losses.shape[:3])), self.losses.shape[3]
        return f"Sweep({runs} runs of {steps} steps: {len(self.lr)} lr x {len(self.batch_size)} batch_size x {len(self.seeds)} seeds)"

    def final(self) -> np.ndarray:
        """Mean loss over the last tenth of the steps of each run, ``(L, B, S)``; infinite where it diverged."""
        return self.losses[..., -max(1, self.losses.shape[-1] // 10) :].mean(-1)

    def best(self, batch_size: int | None = None) -> tuple[float, int]:
        """The (lr, batch size) whose final loss, averaged over the seeds, is lowest; at one batch size if it is given.

        Raises:
            ValueError: if ``batch_size`` is not one of the sweep's, or every run diverged.
        """
        final = self.final().mean(-1)
        if batch_size is not None:
            _check.one_of("batch_size", batch_size, self.batch_size.tolist())
            final = np.where(self.batch_size == batch_size, final, np.inf)
        if not np.isfinite(final).any():
            raise ValueError("no run to choose from: every run diverged; sweep lower learning rates")
        i, j = np.unravel_index(final.argmin(), final.shape)
        return float(self.lr[i]), int(self.batch_size[j])

    def steps_to(self, target: float, window: int = 20) -> np.ndarray:
        """Steps until the mean loss of the last ``window`` steps is at most ``target``, ``(L, B, S)``; infinite where never.

        A batch's loss is noisy, the more so the smaller the batch, and the lowest of many noisy values lies too low: hence
        the window, which must be full.

        Raises:
            TypeError, ValueError: if ``target`` is not a number, or ``window`` not a whole number from 1 to the steps.
        """
        target, window = _check.number("target", target), _check.whole("window", window)
        if window > self.losses.shape[-1]:
            raise ValueError(f"window must be at most the sweep's {self.losses.shape[-1]} steps; got {window}")
        means = np.lib.stride_tricks.sliding_window_view(self.losses.astype(np.float64), window, axis=-1).mean(-1)
        reached = means <= target
        return np.where(reached.any(-1), reached.argmax(-1) + window, np.inf)

    def save(self, path: str | Path) -> None:
        """Write the sweep as a compressed ``.npz`` file."""
        with open(path, "wb") as file:
            np.savez_compressed(file, **vars(self))

    @classmethod
    def load(cls, path: str | Path) -> "Sweep":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not a sweep.
        """
        with open(path, "rb") as file:
            try:
                return cls(**np.load(file, allow_pickle=False))
            except Exception as error:  # numpy and zipfile have one each for every way a file can be broken
                raise ValueError(f"path must name a sweep that Sweep.save wrote; got {str(path)!r}: {error}") from error


def sweep(
    make_model: Callable[[], nn.Module],
    data: Any,
    loss_fn: Callable,
    lr: Sequence[float | Schedule],
    batch_size: Sequence[int],
    steps: int = 200,
    momentum: float = 0.0,
    schedule: Callable[[float], Schedule] | None = None,
    seeds: Sequence[int] = (0,),
    optimizer: str | Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = "sgd",
    device: str | torch.device = "auto",
    at_once: int = 64,
    progress: bool = False,
    *,
    clip_norm: float | None = None,
    evaluation: Any = None,
    evaluate_every: int | None = None,
) -> Sweep:
    """Train every learning rate with every batch size and every seed.

    The run of seed ``s`` is that of ``torch.manual_seed(s); model = make_model()`` with ``Trainer(..., seed=s)``: all runs
    of a seed start from the same weights and take their samples in the same order. Models that cannot be stacked (``torch.vmap`` does
    not know recurrent layers; batch norm changes its buffers; dropout draws random numbers) are trained one run after another, with
    the same results; a warning says so, and why.

    Args:
        make_model: returns a fresh model; its weights come from torch's global generator.
        data: as for `Trainer`; stacked where it is a `Dataset` or a pair of tensors.
        loss_fn: as for `Trainer`.
        lr: learning rates: numbers, or functions of the step, such as ``schedules.cosine(0.3, 200)``. A `schedules.plateau` is
            copied for each run.
        batch_size: batch sizes.
        steps: of each run.
        momentum: of SGD, in [0, 1); for ``optimizer="sgd"``.
        schedule: from each number in ``lr`` to a fresh schedule, such as ``lambda lr: schedules.cosine(lr, steps=200)``; ``None``
            leaves them constant.
        seeds: one run for each.
        optimizer: ``"sgd"``, ``"adam"``, or a function from the parameters to an optimizer, such as ``torch.optim.AdamW`` or
            ``partial(torch.optim.SGD, momentum=0.9, nesterov=True)``. SGD, Adam and AdamW are the fastest.
        device: ``"auto"``, a name or a ``torch.device``.
        at_once: runs in a stack, at most: more need more memory.
        progress: show a bar.
        clip_norm: as for `Trainer`, of each run's own gradient.
        evaluation: held-out data, on which each run is evaluated at its end.
        evaluate_every: ... and after every so many steps.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> from gdlib import data, models, schedules
        >>> split = data.digits()
        >>> runs = sweep(lambda: models.mlp(64, 32, 10), split.train, nn.functional.cross_entropy, lr=[0.01, schedules.cosine(0.3, 60)],
        ...              batch_size=[32], steps=60, seeds=[0, 1], evaluation=split.test)
        >>> runs, runs.lr.tolist(), bool((runs.evaluations[1] < runs.evaluations[0]).all())
        (Sweep(4 runs of 60 steps: 2 lr x 1 batch_size x 2 seeds), [0.01, 0.3], True)
    """
    makes_models(make_model)
    steps = _check.whole("steps", steps)
    rates = [x if callable(x) else _check.positive("lr", x) for x in _some("lr", lr)]
    sizes = [_check.whole("batch_size", size) for size in _some("batch_size", batch_size)]
    seeds = [_check.whole("seeds", seed, low=0) for seed in _some("seeds", seeds)]
    if schedule is not None and any(map(callable, rates)):
        raise ValueError("schedule must be None where lr holds schedules of its own")
    peaks = [_highest(x, steps) if callable(x) else x for x in rates]
    make = schedule or as_schedule
    at_once = _check.whole("at_once", at_once)
    device = devices.resolve(device)
    marks: tuple[int, ...] = ()
    if evaluation is not None:
        every = steps if evaluate_every is None else _check.whole("evaluate_every", evaluate_every)
        marks = tuple(sorted({*range(every, steps + 1, every), steps}))
    elif evaluate_every is not None:
        raise ValueError(f"evaluation must be given, for evaluate_every={evaluate_every!r}")
    plan = Plan(
        make_model, _on(device, "data", data), loss_fn, _optimizer(optimizer, momentum), steps,
        None if clip_norm is None else _check.positive("clip_norm", clip_norm), device,
        None if evaluation is None else _on(device, "evaluation", evaluation), marks,
    )  # fmt: skip

    shape = (len(rates), len(sizes), len(seeds))
    losses = np.full((*shape, steps), np.inf, dtype=np.float32)
    judged = np.full((*shape, len(marks)), np.inf, dtype=np.float32)
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        _flushing_denormals(),
        tqdm(total=losses.size, disable=not progress, unit="step", unit_scale=True) as bar,
    ):
        why = why_alone(plan)
        if why is not None:
            warnings.warn(f"the runs of this sweep are trained one after another: {why}", stacklevel=2)
        for j, size in enumerate(sizes):
            for members in _stacks(rates, seeds, at_once if why is None else 1):
                runs, before = [], [p.state_dict() for i, _ in members for p in _hidden(rates[i])]
                for i, s in members:
                    own = copy.deepcopy(rates[i]) if isinstance(rates[i], plateau) else rates[i]
                    runs.append(Run(own if callable(own) else make(own), seeds[s]))
                found = (together if why is None else alone)(plan, runs, size, bar)
                for (i, s), row, judgement in zip(members, *found):
                    losses[i, j, s], judged[i, j, s] = row, judgement
                for p, state in zip([p for i, _ in members for p in _hidden(rates[i])], before):
                    p.load_state_dict(state)
    return Sweep(np.array(peaks), np.array(sizes), np.array(seeds), losses, np.array(marks, dtype=int), judged)


def _some(name: str, values: Iterable) -> list:
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be a list of values to try; got {values!r}")
    values = list(values)
    if not values:
        raise ValueError(f"{name} must hold at least one value; got none")
    return values


def _highest(schedule: Schedule, steps: int) -> float:
    return max(_check.number("lr(step)", schedule(step), low=0.0) for step in range(steps))


def _on(device: torch.device, name: str, data: Any) -> Any:
    """Tensors on the device; what `Trainer` alone understands as it is."""
    if hasattr(data, "__iter__") and not hasattr(data, "__len__"):
        return data
    data = as_samples(name, data)
    return data.to(device) if isinstance(data, Dataset) and data.targets is not data.inputs else data


def _optimizer(optimizer: Any, momentum: float) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    if _check.number("momentum", momentum, low=0.0, high=1.0) == 1:
        raise ValueError(f"momentum must be at least 0 and below 1; got {momentum!r}")
    if isinstance(optimizer, torch.optim.Optimizer) or not callable(optimizer):
        if not isinstance(optimizer, str):
            raise TypeError(f"optimizer must be 'sgd', 'adam' or a function from the parameters; got {optimizer!r}")
        _check.one_of("optimizer", optimizer, ("sgd", "adam"))
    if optimizer == "sgd":
        return partial(torch.optim.SGD, momentum=momentum)
    if momentum:
        kind = "Adam, which has its own" if optimizer == "adam" else "an optimizer of your own: give it there"
        raise ValueError(f"momentum must be 0 with {kind}; got {momentum!r}")
    return torch.optim.Adam if optimizer == "adam" else optimizer


def _hidden(rate: Any) -> list[plateau]:
    """The plateaus within a schedule, which cannot be copied with it."""
    return plateaus(rate) if callable(rate) and not isinstance(rate, plateau) else []


def _stacks(rates: list, seeds: list[int], width: int) -> Iterator[list[tuple[int, int]]]:
    """Which (rate, seed) are trained together; what reacts to one run's losses is alone."""
    members = list(product(range(len(rates)), range(len(seeds))))
    free = [member for member in members if not _hidden(rates[member[0]])]
    yield from (free[k : k + width] for k in range(0, len(free), width))
    yield from ([member] for member in members if member not in free)


@contextmanager
def _flushing_denormals() -> Iterator[None]:
    """Numbers below 1e-38 as zero: dying networks make them, and each costs the CPU a hundred times a normal one."""
    before = torch.tensor([1e-39]).mul(1.0).item() == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
