"""The learning-rate range test: raise the rate step by step and watch the loss (Smith 2017, section 3.3)."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from gdlib import _check

if TYPE_CHECKING:
    from gdlib.training import Trainer

SMOOTHING = 0.03  # share of the steps: a batch's loss is noisy, and a suggestion must not hang on one batch
TOO_HIGH = (
    4.0  # the test stops where the mean of the last losses is this many times its lowest: nothing is learnt beyond
)


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What a range test saw.

    Attributes:
        lrs: the learning rates tried, ``(n,)``, rising; fewer than asked for where the loss ran away.
        losses: the loss of each step's batch, ``(n,)``.
        smoothed: their average over neighbours on both sides, ``(n,)``; one over the past alone would lag behind, and with
            it the suggestion, by a factor of three or so.
        suggestion: the rate at which the smoothed loss fell most steeply against log(lr); ``None`` where it never fell.
        reason: a sentence that says where the suggestion comes from.

    Example:
        >>> found = RangeTest(np.array([0.1, 1.0]), np.array([2.0, 1.0]), np.array([1.8, 1.2]), 0.3, "because")
        >>> found
        RangeTest(2 rates from 0.1 to 1, suggestion 0.3)
    """

    lrs: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    reason: str

    def __repr__(self) -> str:
        chosen = "none" if self.suggestion is None else f"{self.suggestion:.2g}"
        return f"RangeTest({len(self.lrs)} rates from {self.lrs[0]:.1g} to {self.lrs[-1]:.1g}, suggestion {chosen})"


def range_test(
    trainer: "Trainer", min_lr: float = 1e-5, max_lr: float = 10.0, steps: int = 100, progress: bool = False
) -> RangeTest:
    r"""Train a copy of ``trainer`` with a rate that grows from ``min_lr`` to ``max_lr``, and suggest one.

    .. math:: \eta_t = \eta_{\min} \left(\eta_{\max} / \eta_{\min}\right)^{t / (n - 1)}

    The trainer itself is untouched: model, buffers, optimiser, random state and the order of the data are afterwards, bit for
    bit, what they were. The suggestion is a place to start a search, not its end: it depends on how fast the rate is
    raised, and has been seen to lie within a factor of three of the best peak rate of a decayed schedule.

    Args:
        trainer: a `Trainer`, fresh or in the middle of a run; its batches are those it would have taken next.
        min_lr: :math:`\eta_{\min}`; positive.
        max_lr: :math:`\eta_{\max}`, above ``min_lr``. The test ends early where the loss runs away.
        steps: :math:`n`, at least 10.
        progress: show a bar.

    Returns:
        Rates, losses, and a suggestion with its reason.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, or the loss is not finite at ``min_lr``.

    Example:
        >>> from gdlib import Trainer, data, models
        >>> _ = torch.manual_seed(0)
        >>> train = data.digits().train
        >>> trainer = Trainer(models.mlp(64, 32, 10), train, torch.nn.functional.cross_entropy)
        >>> found = range_test(trainer)
        >>> 0.05 < found.suggestion < 2.0, trainer.steps_done
        (True, 0)
    """
    from gdlib.training import Divergence, Trainer

    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a gdlib.Trainer; got {type(trainer).__name__}")
    low, high = _check.positive("min_lr", min_lr), _check.positive("max_lr", max_lr)
    steps = _check.whole("steps", steps, low=10)
    if high <= low:
        raise ValueError(f"max_lr must be above min_lr = {low:g}; got {high:g}")

    first, growth = trainer.steps_done, (high / low) ** (1.0 / (steps - 1))
    losses, lowest, last = [], float("inf"), 5
    devices = [trainer.device] if trainer.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        probe = copy.deepcopy(trainer, {id(trainer.data): trainer.data})
        probe.lr = lambda step: low * growth ** (step - first)
        bar = tqdm(total=steps, disable=not progress, unit="step", desc="range test")
        try:
            for step in probe.run(steps):
                losses.append(step.loss)
                bar.update()
                recent = sum(losses[-last:]) / min(last, len(losses))
                lowest = min(lowest, recent)
                if recent > TOO_HIGH * lowest:
                    break
        except Divergence as error:
            if not losses:
                raise ValueError(
                    f"min_lr must be a rate at which the loss is finite; {low:g} gave {error.loss}"
                ) from error
        bar.close()

    lrs = low * growth ** np.arange(len(losses))
    smoothed = _smooth(np.array(losses), max(1.0, SMOOTHING * steps))
    suggestion, reason = _suggest(lrs, smoothed)
    return RangeTest(lrs, np.array(losses), smoothed, suggestion, reason)


def _smooth(losses: np.ndarray, width: float) -> np.ndarray:
    """The mean of each loss and its neighbours, weighted by a Gaussian of so many steps."""
    place = np.arange(len(losses))
    weights = np.exp(-0.5 * ((place[:, None] - place) / width) ** 2)
    return weights @ losses / weights.sum(1)


def _suggest(lrs: np.ndarray, smoothed: np.ndarray) -> tuple[float | None, str]:
    """The rate of the steepest descent of the smoothed loss, and a sentence about it."""
    end = int(smoothed.argmin()) + 1  # what comes after the lowest loss is the way up
    if end < 3:
        return (
            None,
            f"the smoothed loss never fell between {lrs[0]:.2g} and {lrs[-1]:.2g}: start lower, or look at the data",
        )
    steepest = int(np.gradient(smoothed[:end], np.log(lrs[:end])).argmin())
    lowest = f"it was lowest at {lrs[end - 1]:.2g}"
    if end == len(lrs):
        lowest = f"it was still falling at {lrs[-1]:.2g}: raise max_lr"
    return float(lrs[steepest]), f"the smoothed loss fell most steeply at {lrs[steepest]:.2g}; {lowest}"
