"""Learning-rate schedules: functions from the step, counted from 0, to the learning rate.

A schedule is a plain function, so schedules compose as functions do and a plot of a schedule is a plot of a function. A
number is the constant function.
"""

from collections.abc import Callable

from gdlib import _check

Schedule = Callable[[int], float]


def constant(lr: float) -> Schedule:
    r"""The same learning rate at every step: the source's "fixed learning rate".

    .. math:: \eta_t = \eta_0

    Args:
        lr: :math:`\eta_0`; positive.

    Returns:
        A function from the step to the learning rate.

    Raises:
        TypeError, ValueError: if ``lr`` is not a positive finite number.

    Example:
        >>> rate = constant(0.1)
        >>> rate(0), rate(1000)
        (0.1, 0.1)
    """
    lr = _check.positive("lr", lr)
    return lambda step: lr


def as_schedule(lr: float | Schedule) -> Schedule:
    """A schedule from a schedule or a number.

    Raises:
        TypeError, ValueError: if ``lr`` is neither a function of the step nor a positive finite number.
    """
    return lr if callable(lr) else constant(lr)
