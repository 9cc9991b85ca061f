"""Batch sizes: functions from the step, counted from 0, to the number of samples in that step's batch.

The batch size is the same kind of thing as the learning rate (`gdlib.schedules`): a function of the step. A whole number is
the constant function. What couples the two is composition: `follow_lr` makes a batch size of a learning rate, `scale_lr` a
learning rate of a batch size.
"""

from collections.abc import Callable

from gdlib import _check
from gdlib.schedules import Schedule, as_schedule

BatchSize = Callable[[int], int]

RULES = {"linear": 1.0, "sqrt": 0.5, "none": 0.0}
"""The power of the batch size with which the learning rate grows; proportionally (Goyal et al. 2017) under SGD, as the square
root (Malladi et al. 2022) under Adam, or not at all."""


def constant(size: int) -> BatchSize:
    """The same batch size at every step: the source's "fixed batch size".

    Args:
        size: samples in a batch; a whole number of at least 1.

    Returns:
        A function from the step to the batch size.

    Raises:
        TypeError, ValueError: if ``size`` is not a whole number of at least 1.

    Example:
        >>> size = constant(64)
        >>> size(0), size(1000)
        (64, 64)
    """
    size = _check.whole("batch_size", size)
    return lambda step: size


def ramp(start: int, stop: int, steps: int) -> BatchSize:
    r"""From one batch size to another in a straight line, then level (Brown et al. 2020, table 2.1, ramp theirs over tokens).

    .. math:: B_t = B_0 + (B_1 - B_0) \min(1, t / T), \quad \text{rounded}

    Args:
        start: :math:`B_0`, at step 0.
        stop: :math:`B_1`, from step ``steps`` on.
        steps: :math:`T`.

    Raises:
        TypeError, ValueError: if an argument is not a whole number of at least 1.

    Example:
        >>> size = ramp(32, 512, steps=100)
        >>> size(0), size(50), size(100), size(1000)
        (32, 272, 512, 512)
    """
    start, stop, steps = _check.whole("start", start), _check.whole("stop", stop), _check.whole("steps", steps)
    return lambda step: round(start + (stop - start) * min(1.0, step / steps))


def step_growth(size: int, every: int, factor: float, largest: int | None = None) -> BatchSize:
    r"""The batch grows by a factor every so many steps, where a schedule would let the rate fall (Smith et al. 2018).

    .. math:: B_t = B_0 \, g^{\lfloor t / k \rfloor}, \quad \text{rounded}

    Args:
        size: :math:`B_0`.
        every: :math:`k`, in steps.
        factor: :math:`g`, at least 1.
        largest: the batch never grows beyond this; ``None`` sets no limit.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> size = step_growth(32, every=10, factor=4, largest=256)
        >>> size(9), size(10), size(20)
        (32, 128, 256)
    """
    size, every = _check.whole("size", size), _check.whole("every", every)
    factor = _check.number("factor", factor, low=1.0)
    limit = _limit(largest, size)

    def grown(step: int) -> int:
        try:
            return round(min(size * factor ** (step // every), limit))
        except OverflowError as error:
            if largest is not None:
                return largest
            raise ValueError(f"largest must be given: at step {step} the batch has outgrown every number") from error

    return grown


def follow_lr(
    schedule: float | Schedule, base_lr: float, base_batch_size: int, rule: str = "linear", largest: int | None = None
) -> BatchSize:
    r"""Grow the batch where the learning rate would decay (Smith et al. 2018).

    .. math:: B_t = B_0 \left(\eta_0 / \eta_t\right)^{1/p}, \quad \text{rounded}; \qquad p = 1 \text{ (linear)}, \tfrac12
        \text{ (sqrt)}

    Train with the rate held at ``base_lr``, or with a higher base, and this batch size: the noise of the steps falls as it
    would have under the schedule. The batch cannot grow for ever; where ``largest`` stops it, the rate has to fall after all,
    and ``scale_lr(schedule, follow_lr(schedule, ...), base_batch_size)`` is that rate: ``base_lr`` until then, and what is
    left of the decay afterwards.

    Args:
        schedule: :math:`\eta_t`, the schedule to be followed.
        base_lr: :math:`\eta_0`, the rate at which ``base_batch_size`` is right.
        base_batch_size: :math:`B_0`.
        rule: ``"linear"``, ``"sqrt"``, or ``"none"`` for the base batch size throughout.
        largest: the batch never grows beyond this; ``None`` sets no limit.

    Returns:
        A function from the step to the batch size. It raises ``ValueError`` where the schedule is 0 and there is no
        ``largest``.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> from gdlib import schedules
        >>> decay = schedules.step_decay(0.1, every=10, factor=0.5)
        >>> size = follow_lr(decay, base_lr=0.1, base_batch_size=32, largest=64)
        >>> size(0), size(10), size(20)
        (32, 64, 64)
        >>> rate = scale_lr(decay, size, base_batch_size=32)
        >>> rate(0), rate(10), rate(20)
        (0.1, 0.1, 0.05)
    """
    schedule = as_schedule(schedule, "schedule")
    base_lr, base = _check.positive("base_lr", base_lr), _check.whole("base_batch_size", base_batch_size)
    power = RULES[_check.one_of("rule", rule, RULES)]
    limit = _limit(largest, base)

    def size(step: int) -> int:
        if not power:
            return base
        lr = _check.number("schedule(step)", schedule(step), low=0.0)
        try:
            grown = base * (base_lr / lr) ** (1.0 / power)
        except (ZeroDivisionError, OverflowError):
            grown = float("inf")
        if min(grown, limit) == float("inf"):
            raise ValueError(
                f"largest must be given: at step {step} the schedule is {lr:g}, which no batch size matches"
            )
        return max(1, round(min(grown, limit)))

    return size


def scale_lr(
    lr: float | Schedule, batch_size: int | BatchSize, base_batch_size: int, rule: str = "linear"
) -> float | Schedule:
    r"""The learning rate for another batch size, relative to one at which it is known.

    .. math:: \eta(B) = \eta(B_0) \left(B / B_0\right)^p; \qquad p = 1 \text{ (linear)}, \tfrac12 \text{ (sqrt)}, 0
        \text{ (none)}

    The linear rule is for SGD (Goyal et al. 2017), the square root for Adam (Malladi et al. 2022); both hold below the
    critical batch size only (`gdlib.gradient_noise_scale`). The source multiplies by :math:`B` itself, without a base.

    Args:
        lr: :math:`\eta(B_0)`, a number or a schedule.
        batch_size: :math:`B`, a whole number or a function of the step.
        base_batch_size: :math:`B_0`, at which ``lr`` is right.
        rule: ``"linear"``, ``"sqrt"`` or ``"none"``.

    Returns:
        A number if both are numbers, else a schedule.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> scale_lr(0.1, batch_size=256, base_batch_size=64), scale_lr(0.1, 256, 64, rule="sqrt")
        (0.4, 0.2)
        >>> scale_lr(0.1, ramp(64, 128, steps=10), base_batch_size=64)(10)
        0.2
    """
    base, power = _check.whole("base_batch_size", base_batch_size), RULES[_check.one_of("rule", rule, RULES)]
    schedule, size = as_schedule(lr), as_batch_size(batch_size)

    def rate(step: int) -> float:
        return schedule(step) * (size(step) / base) ** power

    return rate if callable(lr) or callable(batch_size) else rate(0)


def as_batch_size(batch_size: int | BatchSize) -> BatchSize:
    """A function of the step from a function of the step or a whole number.

    Raises:
        TypeError, ValueError: if ``batch_size`` is neither a function of the step nor a whole number of at least 1.
    """
    return batch_size if callable(batch_size) else constant(batch_size)


def _limit(largest: int | None, size: int) -> float:
    return float("inf") if largest is None else _check.whole("largest", largest, low=size)
