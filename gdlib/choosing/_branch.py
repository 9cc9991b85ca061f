"""The branch test: fork a run at several batch sizes, train each a little, and see from which size on something is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from gdlib import _check
from gdlib.batching import RULES, scale_lr
from gdlib.training import Divergence, Trainer

LOST = 0.05  # share of what the smallest batch gained that may be lost
LEAST = 8  # steps of the largest batch


@dataclass(frozen=True, eq=False)
class BranchTest:
    """What a branch test saw; see `branch_test`.

    Attributes:
        size: the largest batch size that lost nothing, nor any smaller one.
        batch_sizes: those tried, ``(B,)``, rising.
        losses: after the branch, ``(B, repeats)``; infinite where it diverged.
        before: the loss at the fork.
        reason: a sentence that says what was lost where, and how sure that is.

    Example:
        >>> BranchTest(64, np.array([32, 64]), np.array([[1.0], [1.0]]), 2.0, "because")
        BranchTest(64 of 32 to 64)
    """

    size: int
    batch_sizes: np.ndarray
    losses: np.ndarray
    before: float
    reason: str

    def __repr__(self) -> str:
        return f"BranchTest({self.size} of {self.batch_sizes[0]} to {self.batch_sizes[-1]})"


def branch_test(
    trainer: Trainer,
    data: Any,
    batch_sizes: Sequence[int] | None = None,
    samples: int | None = None,
    rule: str | None = None,
    *,
    repeats: int = 3,
    progress: bool = False,
) -> BranchTest:
    r"""Measure how large a batch may be here, after Merrill et al. (2025): fork the run, and take the largest batch that loses nothing.

    From the state that ``trainer`` is in, each batch size trains on equally many samples, with the rate that the rule gives it, held
    constant; then all are judged on ``data``. A branch loses something where it ends above the best of the smaller ones by more than a
    twentieth of what the smallest has gained, and by more than twice the standard error of that difference. The gradient noise scale
    estimates the same from the gradients at one point and assumes much; this assumes little and costs a piece of training.

    Args:
        trainer: a `Trainer`; afterwards it is, bit for bit, as before.
        data: to judge by, held out or not: what ``trainer.evaluate`` takes.
        batch_sizes: to be tried; ``None`` takes the present one and up to four doublings.
        samples: that each branch trains on; ``None`` takes 16 batches of the largest size.
        rule: of the rate: ``"linear"``, ``"sqrt"`` or ``"none"``, as in `gdlib.batching.scale_lr`; ``None`` takes ``"sqrt"`` where the
            optimizer is a kind of Adam, ``"linear"`` elsewhere.
        repeats: branches of each size, on other samples each; the first of each size see the same samples.
        progress: show a bar.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, ``samples`` are fewer than eight of the largest batches, or
            every branch diverges.

    Example:
        >>> import torch
        >>> from gdlib import data, models
        >>> split = data.digits()
        >>> trainer = Trainer(models.mlp(64, 32, 10), split.train, torch.nn.functional.cross_entropy, lr=0.1, batch_size=16)
        >>> _ = trainer.fit(100)
        >>> found = branch_test(trainer, split.test)
        >>> found.size in found.batch_sizes, trainer.steps_done
        (True, 100)
    """
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a gdlib.Trainer; got {type(trainer).__name__}")
    now = trainer.batch_size(trainer.steps_done)
    if batch_sizes is None:
        batch_sizes = [now * 2**k for k in range(5)]
    sizes = sorted({_check.whole("batch_sizes", size) for size in batch_sizes})
    if not sizes:
        raise ValueError("batch_sizes must hold at least one size; got none")
    samples = 16 * sizes[-1] if samples is None else _check.whole("samples", samples)
    if samples < LEAST * sizes[-1]:
        raise ValueError(f"samples must be at least {LEAST} batches of {sizes[-1]}; got {samples}")
    rule = rule or ("sqrt" if "adam" in type(trainer.optimizer).__name__.lower() else "linear")
    _check.one_of("rule", rule, RULES)
    rate = trainer.lr(trainer.steps_done) if trainer.lr else trainer.optimizer.param_groups[0]["lr"]
    losses = np.full((len(sizes), _check.whole("repeats", repeats)), np.inf)
    before, first = trainer.evaluate(data)["loss"], trainer.seed
    with tqdm(total=losses.size, disable=not progress, unit="branch", desc="branch test") as bar:
        for k, size in enumerate(sizes):
            for r in range(repeats):
                with trainer.scratch():
                    trainer.seed, trainer.batch_size, trainer.lr = first + r, size, scale_lr(rate, size, now, rule)
                    try:
                        for _ in trainer.run(round(samples / size)):
                            pass
                        losses[k, r] = trainer.evaluate(data)["loss"]
                    except Divergence:
                        pass
                bar.update()
    size, reason = _largest(np.array(sizes), losses, before, samples)
    return BranchTest(size, np.array(sizes), losses, before, reason)


def _largest(sizes: np.ndarray, losses: np.ndarray, before: float, samples: int) -> tuple[int, str]:
    """The largest of the sizes up to which nothing is lost, and a sentence about it."""
    means = losses.mean(1)
    if not np.isfinite(means).any():
        raise ValueError("every branch diverged: lower the trainer's rate")
    best = int(np.flatnonzero(np.isfinite(means))[0])
    gained, size = before - means[best], int(sizes[best])
    said = f"{samples} samples from here on lower the loss from {before:.3g} to {means[best]:.3g} in batches of {sizes[best]}"
    if gained <= 0:
        return size, f"{said}: nothing is gained from here, and so nothing can be said of larger batches"
    for k in range(best + 1, len(sizes)):
        if not np.isfinite(means[k]):
            return size, f"{said}; batches of {sizes[k]} diverge"
        lost = losses[k] - losses[best]
        error = lost.std(ddof=1) / len(lost) ** 0.5 if len(lost) > 1 else 0.0
        if lost.mean() > max(LOST * gained, 2.0 * error):
            return (
                size,
                f"{said}; batches of {sizes[k]} lose {lost.mean() / gained:.0%} of that (± {error / gained:.0%})",
            )
        size = int(sizes[k])
        best = k if means[k] < means[best] else best
    return size, f"{said}; none of the larger batches up to {sizes[-1]} loses anything: try larger ones"
