"""Hundreds of runs at once: every learning rate with every batch size, over several seeds.

Runs of one batch size are stacked: their weights lie in one tensor with a dimension for the run, and ``torch.func.vmap`` turns
each of the model's operations into one operation on all of them. For small models most of a step's time is overhead, which
is then paid once for all.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from tqdm.auto import tqdm

from gdlib import _check
from gdlib.data import Dataset, as_dataset, batch_indices
from gdlib.schedules import Schedule, as_schedule, plateaus
from gdlib.training import Divergence, Trainer
from gdlib.training import device as devices


@dataclass(frozen=True, eq=False)
class Sweep:
    """The losses of a grid of runs.

    Attributes:
        lr: the learning rates, ``(L,)``.
        batch_size: the batch sizes, ``(B,)``.
        seeds: the seeds, ``(S,)``.
        losses: ``(L, B, S, steps)``, float32; the loss of each step's batch before its update, infinite from the step at
            which a run diverged.

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
    data: Dataset,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    lr: Sequence[float],
    batch_size: Sequence[int],
    steps: int = 200,
    momentum: float = 0.0,
    schedule: Callable[[float], Schedule] | None = None,
    seeds: Sequence[int] = (0,),
    optimizer: str = "sgd",
    device: str | torch.device = "auto",
    at_once: int = 64,
    progress: bool = False,
) -> Sweep:
    """Train every learning rate with every batch size and every seed.

    The run of seed ``s`` is that of ``torch.manual_seed(s); model = make_model()`` with ``Trainer(..., seed=s)``: all runs
    of a seed start from the same weights and take their samples in the same order. A model that cannot be stacked, because it
    has buffers (batch norm) or draws random numbers (dropout), is trained one run after another, with the same results.

    Args:
        make_model: returns a fresh model; its weights come from torch's global generator.
        data, loss_fn, device: as for `Trainer`.
        lr: learning rates, each positive.
        batch_size: batch sizes, each a whole number of at least 1.
        steps: steps of each run.
        momentum: of SGD, in [0, 1).
        schedule: from a learning rate to a schedule with that peak; ``None`` keeps it constant.
        seeds: one run for each.
        optimizer: ``"sgd"`` or ``"adam"``, as ``torch.optim.SGD`` and ``torch.optim.Adam`` at their defaults.
        at_once: runs in a stack, at most: what bounds the memory, whatever the size of the grid.
        progress: show a bar.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, or a list is empty.

    Example:
        >>> from gdlib import data, models
        >>> split = data.diabetes()
        >>> runs = sweep(lambda: models.linear(10), split.train, nn.functional.mse_loss, lr=[0.01, 0.1], batch_size=[32], steps=20)
        >>> runs, runs.best()
        (Sweep(2 runs of 20 steps: 2 lr x 1 batch_size x 1 seeds), (0.1, 32))
    """
    rates = [_check.positive("lr", rate) for rate in lr]
    sizes = [_check.whole("batch_size", size) for size in batch_size]
    seeds, steps = [_check.whole("seeds", seed, low=0) for seed in seeds], _check.whole("steps", steps)
    for name, values in (("lr", rates), ("batch_size", sizes), ("seeds", seeds)):
        if not values:
            raise ValueError(f"{name} must hold at least one value; got none")
    momentum = _check.number("momentum", momentum, low=0.0, high=1.0)
    _check.one_of("optimizer", optimizer, ("sgd", "adam"))
    if optimizer == "adam" and momentum:
        raise ValueError(f"momentum must be 0 with Adam, which has its own; got {momentum!r}")
    at_once = _check.whole("at_once", at_once)
    data, device = as_dataset("data", data), devices.resolve(device)
    data = data.to(device)

    losses = np.full((len(rates), len(sizes), len(seeds), steps), np.inf, dtype=np.float32)
    bar = tqdm(total=losses.size, disable=not progress, unit="step", unit_scale=True)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _flushing_denormals():
        torch.manual_seed(seeds[0])
        stackable = _stackable(make_model().to(device), data, loss_fn)
        for j, size in enumerate(sizes):
            members = list(product(range(len(rates)), range(len(seeds))))
            width = at_once if stackable else 1
            for chunk in (members[k : k + width] for k in range(0, len(members), width)):
                lrs = [schedule(rates[i]) if schedule else rates[i] for i, _ in chunk]
                own = [seeds[s] for _, s in chunk]
                train = _together if stackable else _alone
                found = train(make_model, data, loss_fn, lrs, size, own, steps, momentum, optimizer, device, bar)
                for (i, s), row in zip(chunk, found):
                    losses[i, j, s] = row
    bar.close()
    return Sweep(np.array(rates), np.array(sizes), np.array(seeds), losses)


BLOCK = 64  # steps whose batches are looked up together; between blocks, runs that have diverged leave the stack


def _together(make_model, data, loss_fn, lrs, size, seeds, steps, momentum, optimizer, device, bar) -> np.ndarray:
    """The losses of runs with one batch size, ``(runs, steps)``, trained as a stack. Run r has ``lrs[r]`` and ``seeds[r]``."""
    started = {}
    for seed in dict.fromkeys(seeds):
        torch.manual_seed(seed)
        started[seed] = make_model().to(device).train()
    model, schedules = started[seeds[0]], [as_schedule(lr) for lr in lrs]
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    initial = {seed: dict(m.named_parameters()) for seed, m in started.items()}
    weights = [torch.stack([initial[seed][name].detach() for seed in seeds]).requires_grad_() for name in names]
    update = _Sgd(weights, momentum) if optimizer == "sgd" else _Adam(weights)
    loss_of_each = vmap(lambda p, x, y: loss_fn(functional_call(model, p, (x,)), y))
    reacting = [plateaus(schedule) for schedule in schedules]

    losses = torch.full((len(lrs), steps), torch.inf)
    here = list(range(len(lrs)))  # which runs are still in the stack
    order = list(started)
    for begin in range(0, steps, BLOCK):
        block = range(begin, min(begin + BLOCK, steps))
        rows = torch.stack([batch_indices(len(data), begin * size, len(block) * size, seed, device) for seed in order])
        rows = rows.view(len(order), len(block), size)
        which = torch.tensor([order.index(seeds[r]) for r in here], device=device)
        seen = torch.empty(len(block), len(here), device=device)
        for k, step in enumerate(block):
            picked = rows[:, k][which].flatten()
            inputs, targets = (
                side.index_select(0, picked).unflatten(0, (len(here), size)) for side in (data.inputs, data.targets)
            )
            each = loss_of_each(dict(zip(names, weights)), inputs, targets)
            seen[k] = each.detach()
            lr = torch.tensor([schedules[r](step) for r in here], dtype=weights[0].dtype, device=device)
            update(torch.autograd.grad(each.sum(), weights), lr)
            if any(reacting):
                for r, loss in zip(here, seen[k].tolist()):
                    for schedule in reacting[r]:
                        schedule.observe(loss)
        seen = seen.T.float().cpu()
        finite = seen.isfinite().cumprod(1).bool()  # a run that came back from infinity would still have diverged
        bar.update(len(block) * len(lrs))
        losses[here, begin : block.stop] = seen.masked_fill(~finite, torch.inf)
        alive = finite.all(1)
        if not alive.all():
            here = [r for r, lives in zip(here, alive.tolist()) if lives]
            if not here:
                bar.update((steps - block.stop) * len(lrs))
                break
            weights = update.keep(alive.to(device))
    return losses.numpy()


class _Sgd:
    """SGD with momentum on stacked weights, the first dimension of which is the run."""

    def __init__(self, weights: list[Tensor], momentum: float):
        self.weights, self.momentum = weights, momentum
        self.state = [[torch.zeros_like(w) for w in weights]] if momentum else []

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor], lr: Tensor) -> None:
        if self.momentum:
            torch._foreach_mul_(self.state[0], self.momentum)
            torch._foreach_add_(self.state[0], gradients)
            gradients = self.state[0]
        for w, g in zip(self.weights, gradients):
            w.addcmul_(g, lr.view(-1, *[1] * (w.ndim - 1)), value=-1)

    def keep(self, alive: Tensor) -> list[Tensor]:
        """Drop the runs that are not ``alive``; the weights that are left, to be used from now on."""
        self.weights = [w.detach()[alive].requires_grad_() for w in self.weights]
        self.state = [[t[alive] for t in tensors] for tensors in self.state]
        return self.weights


class _Adam(_Sgd):
    """Adam at torch's defaults on stacked weights (Kingma and Ba 2015, algorithm 1)."""

    def __init__(self, weights: list[Tensor]):
        super().__init__(weights, momentum=0.0)
        self.state = [[torch.zeros_like(w) for w in weights] for _ in range(2)]
        self.steps = 0

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor], lr: Tensor) -> None:
        self.steps += 1
        means, squares = self.state
        torch._foreach_lerp_(means, gradients, 0.1)
        torch._foreach_mul_(squares, 0.999)
        torch._foreach_addcmul_(squares, gradients, gradients, 0.001)
        correction = (1 - 0.999**self.steps) ** 0.5
        for w, m, v in zip(self.weights, means, squares):
            pace = lr.view(-1, *[1] * (w.ndim - 1)) / (1 - 0.9**self.steps)
            w.sub_(pace * m / (v.sqrt().div_(correction).add_(1e-8)))


def _alone(make_model, data, loss_fn, lrs, size, seeds, steps, momentum, optimizer, device, bar) -> np.ndarray:
    """As `_together`, one run after another."""
    make = partial(torch.optim.SGD, momentum=momentum) if optimizer == "sgd" else torch.optim.Adam
    losses = np.full((len(lrs), steps), np.inf, dtype=np.float32)
    for row, lr, seed in zip(losses, lrs, seeds):
        torch.manual_seed(seed)
        trainer = Trainer(make_model(), data, loss_fn, make, lr, size, device, precision="fp32", seed=seed)
        try:
            for step in trainer.run(steps):
                row[step.index] = step.loss
        except Divergence:
            pass  # what is left of the row stays infinite
        bar.update(steps)
    return losses


def _stackable(model: nn.Module, data: Dataset, loss_fn: Callable[[Tensor, Tensor], Tensor]) -> bool:
    """Whether many copies can be trained as one: it keeps nothing but weights, draws nothing, and vmap understands it."""
    if any(True for _ in model.buffers()) or any(isinstance(m, nn.modules.dropout._DropoutNd) for m in model.modules()):
        return False
    weights = {name: p.detach()[None] for name, p in model.named_parameters()}
    try:
        each = vmap(lambda p, x, y: loss_fn(functional_call(model, p, (x,)), y))
        return each(weights, data.inputs[None, :2], data.targets[None, :2]).shape == (1,)
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False  # alone, the same fault gets Trainer's own error


@contextmanager
def _flushing_denormals() -> Iterator[None]:
    """Numbers below 1e-38 as zero: dying networks make them, and each costs the CPU a hundred times a normal one."""
    before = torch.tensor([1e-39]).mul(1.0).item() == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
