"""Hundreds of runs: every learning rate with every batch size, over several seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gdlib import _check
from gdlib.data import Dataset
from gdlib.schedules import Schedule
from gdlib.trainer import Divergence, Trainer


@dataclass(frozen=True, eq=False)
class Sweep:
    """The losses of a grid of runs.

    Attributes:
        lr: the learning rates, ``(L,)``.
        batch_size: the batch sizes, ``(B,)``.
        seeds: the seeds, ``(S,)``.
        losses: ``(L, B, S, steps)``, float32; the loss of each step's batch before its update, infinite from the step at
            which a run diverged.
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
    device: str | torch.device = "auto",
    progress: bool = False,
) -> Sweep:
    """Train every learning rate with every batch size and every seed, by SGD.

    The run of seed ``s`` is that of ``torch.manual_seed(s); model = make_model()`` with ``Trainer(..., seed=s)``: all runs
    of a seed start from the same weights and take their samples in the same order.

    Args:
        make_model: returns a fresh model; its weights come from torch's global generator.
        data, loss_fn, device: as for `Trainer`.
        lr: learning rates, each positive.
        batch_size: batch sizes, each a whole number of at least 1.
        steps: steps of each run.
        momentum: of SGD, in [0, 1).
        schedule: from a learning rate to a schedule with that peak; ``None`` keeps it constant.
        seeds: one run for each.
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
    rates, sizes = (
        [_check.positive("lr", rate) for rate in lr],
        [_check.whole("batch_size", size) for size in batch_size],
    )
    seeds, steps = [_check.whole("seeds", seed, low=0) for seed in seeds], _check.whole("steps", steps)
    for name, values in (("lr", rates), ("batch_size", sizes), ("seeds", seeds)):
        if not values:
            raise ValueError(f"{name} must hold at least one value; got none")
    momentum = _check.number("momentum", momentum, low=0.0, high=1.0)

    losses = np.full((len(rates), len(sizes), len(seeds), steps), np.inf, dtype=np.float32)
    for run in tqdm(list(np.ndindex(losses.shape[:3])), disable=not progress, unit="run"):
        rate, size, seed = rates[run[0]], sizes[run[1]], seeds[run[2]]
        torch.manual_seed(seed)
        trainer = Trainer(
            make_model(),
            data,
            loss_fn,
            optimizer=partial(torch.optim.SGD, momentum=momentum),
            lr=schedule(rate) if schedule else rate,
            batch_size=size,
            device=device,
            seed=seed,
        )
        try:
            for step in trainer.run(steps):
                losses[*run, step.index] = step.loss
        except Divergence:
            pass  # what is left of the row stays infinite
    return Sweep(np.array(rates), np.array(sizes), np.array(seeds), losses)
