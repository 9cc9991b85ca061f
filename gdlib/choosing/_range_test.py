"""The learning-rate range test: raise the rate step by step and watch the loss (Smith 2017, section 3.3)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from gdlib import _check

if TYPE_CHECKING:
    from gdlib.schedules import Schedule
    from gdlib.training import Trainer

SMOOTHING = 0.03  # share of the steps: a batch's loss is noisy, and a suggestion must not hang on one batch
LAST, LEAST = 5, 20  # the test stops where each of the last losses is above all before, of which there are so many;
# in losses that are noise alone this happens once in some thousand tests, whatever their distribution
CLEAR = 8.0  # standard errors by which the steepest slope must stand out, to be believed at once
SEEN = 4.0  # ... and by which a loss must fall or rise, for that not to be called noise
MARGIN = 10.0  # below the rate from which the loss rises, where it never fell


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What a range test saw.

    Attributes:
        lrs: the learning rates tried, ``(n,)``, rising; fewer than asked for where the loss ran away.
        losses: the loss of each step's batch, ``(n,)``.
        smoothed: their average over neighbours on both sides, ``(n,)``; one over the past alone would lag behind, and with
            it the suggestion, by a factor of three or so. Losses that are worse than at the start by more than all that was
            gained count as just that, so that an explosion does not reach back. Where batches differ by more than the loss falls, each
            batch's own part is taken out: what it loses before any training, beyond the average batch.
        suggestion: the rate at which the smoothed loss fell most steeply against log(lr). Where it never fell beyond the noise, a
            tenth of the rate from which it rises; ``None`` where it does not do that either, or at once.
        reason: a sentence that says where the suggestion comes from, and how far it can be trusted.

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
    r"""Train ``trainer`` with a rate that grows from ``min_lr`` to ``max_lr``, put it back, and suggest a rate.

    .. math:: \eta_t = \eta_{\min} \left(\eta_{\max} / \eta_{\min}\right)^{t / (n - 1)}

    The trainer is afterwards, bit for bit, what it was: model, buffers, optimiser, random state and the order of the data.

    The loss may have any sign, and the run may be at any point. Where batches differ by more than the loss falls (noisy targets, a
    trained model), the same batches are run once more at a rate of zero, which takes as long again, and the differences are judged:
    what a batch happens to hold is then gone. A loss that still does not fall beyond its noise is said to be so in ``reason``.

    The suggestion is a place to start a search, not its end: it depends on how fast the rate is raised, and has been seen to lie
    within a factor of three of the best peak rate of a decayed schedule.

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
        >>> import torch
        >>> from gdlib import Trainer, data, models
        >>> _ = torch.manual_seed(0)
        >>> train = data.digits().train
        >>> trainer = Trainer(models.mlp(64, 32, 10), train, torch.nn.functional.cross_entropy)
        >>> found = range_test(trainer)
        >>> 0.05 < found.suggestion < 2.0, trainer.steps_done
        (True, 0)
    """
    from gdlib.training import Trainer

    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a gdlib.Trainer; got {type(trainer).__name__}")
    low, high = _check.positive("min_lr", min_lr), _check.positive("max_lr", max_lr)
    steps = _check.whole("steps", steps, low=10)
    if high <= low:
        raise ValueError(f"max_lr must be above min_lr = {low:g}; got {high:g}")

    first, growth = trainer.steps_done, (high / low) ** (1.0 / (steps - 1))
    width = max(1.0, SMOOTHING * steps)
    with tqdm(total=steps, disable=not progress, unit="step", desc="range test") as bar:
        losses = _losses(trainer, lambda step: low * growth ** (step - first), steps, bar, may_stop=True)
        lrs = low * growth ** np.arange(len(losses))
        curve = _Curve(lrs, losses, width)
        if not curve.clear:
            bar.total = bar.n + len(losses)
            still = _losses(trainer, lambda step: 0.0, len(losses), bar)
            curve = _Curve(lrs[: len(still)], losses[: len(still)] - still, width, of_batches=still)
    suggestion, reason = curve.suggest()
    return RangeTest(curve.lrs, losses[: len(curve.lrs)], curve.smoothed, suggestion, reason)


def _losses(trainer: "Trainer", lr: "Schedule", steps: int, bar: tqdm, may_stop: bool = False) -> np.ndarray:
    """The losses of the next steps at these rates, up to where they run away."""
    from gdlib.training import Divergence

    losses: list[float] = []
    with trainer.scratch():
        trainer.lr = lr
        try:
            for step in trainer.run(steps):
                losses.append(step.loss)
                bar.update()
                if may_stop and len(losses) >= LEAST + LAST and min(losses[-LAST:]) > max(losses[:-LAST]):
                    break
        except Divergence as error:
            if not losses:
                raise ValueError(
                    f"min_lr must be a rate at which the loss is finite; {lr(error.step):g} gave {error.loss}"
                ) from error
    return np.array(losses)


def _noise(losses: np.ndarray, reach: int) -> np.ndarray:
    """The variance of each loss, from the bends at most ``reach`` steps away.

    A smooth curve has hardly any second differences; of independent noise of variance v they have 6 v. The median is not misled by
    a few that are large.
    """
    bends = np.abs(np.diff(losses, 2))
    if not len(bends):
        return np.full(len(losses), np.inf)
    medians = np.array([np.median(bends[max(0, k - reach) : k + reach + 1]) for k in range(len(bends))])
    return np.pad((1.4826 * medians) ** 2 / 6.0, 1, mode="edge")


class _Curve:
    """Losses against rates, smoothed, and how far the noise of the batches moves the smoothed curve and its slope."""

    def __init__(self, lrs: np.ndarray, losses: np.ndarray, width: float, of_batches: np.ndarray | None = None):
        self.lrs, self.of_batches = lrs, of_batches
        worst = losses[: max(LAST, len(losses) // 5)].max()
        losses = np.minimum(losses, 2.0 * worst - losses.min())
        place = np.arange(len(losses))
        weights = np.exp(-0.5 * ((place[:, None] - place) / width) ** 2)
        weights /= weights.sum(1, keepdims=True)
        self.curve = weights @ losses
        self.end = int(self.curve.argmin()) + 1  # what comes after the lowest loss is the way up
        self.start = self.curve[0] if of_batches is None else 0.0
        until = max(self.end, 2 * LAST)  # beyond, the weights are thrown about
        near = _noise(losses[:until], round(3 * width))
        self.error = np.sqrt(weights**2 @ np.pad(near, (0, len(losses) - len(near)), mode="edge"))
        self.steepest, self.clear = None, False
        if self.end >= 3:
            self.steepest = int(np.gradient(self.curve[: self.end], np.log(lrs[: self.end])).argmin())
            before, after = max(self.steepest - 1, 0), min(self.steepest + 1, self.end - 1)
            until = max(self.steepest + round(width) + 1, 2 * LAST)
            bends = np.diff(np.pad(losses, 1, mode="reflect"), 2)[:until]  # squared: one outlier may be the whole slope
            noise = np.linalg.norm(weights[before] - weights[after]) * np.sqrt(np.mean(bends**2) / 6.0)
            self.clear = bool(self.curve[before] - self.curve[after] > CLEAR * noise)

    @property
    def smoothed(self) -> np.ndarray:
        return self.curve if self.of_batches is None else self.curve + self.of_batches.mean()

    def suggest(self) -> tuple[float | None, str]:
        """A rate, and a sentence about it."""
        lrs, bottom = self.lrs, self.end - 1
        fall, noise = self.start - self.curve[bottom], self.error[bottom]
        if self.clear or (self.steepest is not None and fall > SEEN * noise):
            steepest = lrs[self.steepest]
            lowest = f"it was lowest at {lrs[bottom]:.2g}"
            if self.end == len(lrs):
                lowest = f"it was still falling at {lrs[-1]:.2g}: raise max_lr"
            doubt = ""
            if self.of_batches is not None and self.of_batches.std() > fall / 2:
                doubt = (
                    f". It fell by {fall:.2g} ± {noise:.1g}, and batches differ by {self.of_batches.std():.2g}: seen only by running the same"
                    " ones at a rate of zero too. Search a factor of ten around it"
                )
            return float(steepest), f"the smoothed loss fell most steeply at {steepest:.2g}; {lowest}{doubt}"
        risen = np.flatnonzero(self.curve - self.start > SEEN * self.error)
        said = f"the smoothed loss never fell between {lrs[0]:.2g} and {lrs[-1]:.2g} beyond its noise, ± {noise:.1g}: "
        if not len(risen):
            return None, said + "raise max_lr, take larger batches, or look at the data"
        rises = lrs[risen[0]]
        if rises / MARGIN < lrs[0]:
            return None, said + "start lower, or look at the data"
        return float(rises / MARGIN), said + f"doubt it. It rises from {rises:.2g} on; a tenth of that is suggested"
