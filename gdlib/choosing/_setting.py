"""What is tried, and what is recommended: a rate, a batch size, a warmup and a shape."""

import math
from dataclasses import dataclass

from gdlib import schedules
from gdlib.schedules import Schedule

SHAPES = {"linear": schedules.polynomial, "constant": lambda lr, steps: schedules.constant(lr)}


def rate_of(lr: float, shape: str, warmup: int, steps: int) -> Schedule:
    """The learning rate of a trial, as a function of the step.

    Example:
        >>> rate = rate_of(0.1, "linear", warmup=0, steps=100)
        >>> rate(0), rate(50)
        (0.1, 0.05)
    """
    rate = SHAPES[shape](lr, steps)
    return schedules.warmup(rate, warmup, start=1 / (warmup + 1)) if warmup else rate


@dataclass(frozen=True)
class Trial:
    """A run of the search.

    Attributes:
        lr: its peak learning rate.
        batch_size: its batch size.
        shape: ``"linear"`` (falls to zero) or ``"constant"``.
        warmup: its first steps, in which the rate rises.
        steps: how many it took.
        share: of the budget; 1 is a whole run.
        seed: of its weights and its order.
        loss: on the validation samples, at the end, or the metric that was asked for; infinite where it diverged.

    Example:
        >>> Trial(lr=0.1, batch_size=32, shape="linear", warmup=0, steps=100, share=0.1, seed=0, loss=0.5).loss
        0.5
    """

    lr: float
    batch_size: int
    shape: str
    warmup: int
    steps: int
    share: float
    seed: int
    loss: float = math.inf


@dataclass(frozen=True)
class Setting:
    """What to train with.

    Attributes:
        lr: the peak learning rate.
        batch_size: samples a step.
        warmup: steps in which the rate rises to its peak; may be 0.
        shape: how it goes on: ``"linear"`` to zero, or ``"constant"``.
        steps: of the run that the budget pays for.
        loss: mean validation loss (or metric) of whole runs at this setting, over the seeds.
        spread: lowest and highest of them.
        seconds: what such a run takes on this machine.

    Example:
        >>> setting = Setting(0.1, 32, 0, "linear", 100, loss=0.5, spread=(0.4, 0.6), seconds=1.0)
        >>> setting.schedule(0), setting.schedule(50)
        (0.1, 0.05)
    """

    lr: float
    batch_size: int
    warmup: int
    shape: str
    steps: int
    loss: float
    spread: tuple[float, float]
    seconds: float

    @property
    def schedule(self) -> Schedule:
        """The learning rate as a function of the step, for ``Trainer(lr=...)`` or `gdlib.schedules.as_torch`."""
        return rate_of(self.lr, self.shape, self.warmup, self.steps)
