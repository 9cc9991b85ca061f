"""Learning-rate schedules: functions from the step, counted from 0, to the learning rate.

A schedule is a plain function, so schedules compose as functions do and a plot of a schedule is a plot of a function. A
number is the constant function. `plateau` alone looks at the loss: it is an object that can be called like the others, and
whoever trains tells it each loss (`Trainer` does so by itself, `as_torch` in its ``step``), wherever it stands in a composition.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gdlib import _check, optim
from gdlib._plateau import plateau as plateau
from gdlib._plateau import plateaus as plateaus

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


def step_decay(
    lr: float, every: int | None = None, factor: float = 0.1, milestones: Sequence[int] | None = None
) -> Schedule:
    r"""The rate falls by a factor at once, every so many steps or at given ones: torch's ``StepLR`` and ``MultiStepLR``.

    .. math:: \eta_t = \eta_0 \, \gamma^{\lfloor t / k \rfloor}

    This is what the source's listing 4.2 does, though it says "exponential decay".

    Args:
        lr: :math:`\eta_0`; positive.
        every: :math:`k`, steps between two falls.
        factor: :math:`\gamma`, in (0, 1].
        milestones: steps at which the rate falls, in place of ``every``.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, or not exactly one of ``every`` and ``milestones``
            is given.

    Example:
        >>> rate = step_decay(1.0, every=10, factor=0.5)
        >>> rate(9), rate(10), rate(20)
        (1.0, 0.5, 0.25)
        >>> rate = step_decay(1.0, milestones=[3, 5], factor=0.5)
        >>> rate(2), rate(3), rate(5)
        (1.0, 0.5, 0.25)
    """
    lr, factor = _check.positive("lr", lr), _check.share("factor", factor)
    if (every is None) == (milestones is None):
        raise ValueError(f"one of every and milestones must be given; got every={every!r}, milestones={milestones!r}")
    if milestones is None:
        every = _check.whole("every", every)
        return lambda step: lr * factor ** (step // every)
    falls = [_check.whole("milestones", milestone, low=0) for milestone in milestones]
    return lambda step: lr * factor ** sum(step >= fall for fall in falls)


def exponential(lr: float, decay: float, every: int = 1) -> Schedule:
    r"""Learning rate that shrinks by the same factor again and again: the source's "exponential decay".

    .. math:: \eta_t = \eta_0 \, \gamma^{t / k}

    Args:
        lr: :math:`\eta_0`, the rate at step 0; positive.
        decay: :math:`\gamma`, the factor per ``every`` steps; in (0, 1]. 1 is the constant schedule.
        every: :math:`k`, in steps. With 1 this is torch's ``ExponentialLR`` stepped at every step; with the steps of an
            epoch it meets ``ExponentialLR`` stepped per epoch, but falls smoothly between epochs.

    Returns:
        A function from the step (counted from 0) to the learning rate.

    Raises:
        TypeError, ValueError: if ``lr`` or ``every`` is not positive, or ``decay`` is outside (0, 1].

    Example:
        >>> rate = exponential(0.1, decay=0.5, every=10)
        >>> rate(0), rate(10), rate(20)
        (0.1, 0.05, 0.025)
    """
    lr, decay, every = _check.positive("lr", lr), _check.share("decay", decay), _check.whole("every", every)
    return lambda step: lr * decay ** (step / every)


def time_based(lr: float, decay: float) -> Schedule:
    r"""Learning rate that falls with the reciprocal of the step: the source's "time decay" (Robbins and Monro 1951).

    .. math:: \eta_t = \frac{\eta_0}{1 + \delta t}

    Args:
        lr: :math:`\eta_0`; positive.
        decay: :math:`\delta`, in 1/steps; the rate has halved after :math:`1/\delta` steps. 0 is the constant schedule.

    Raises:
        TypeError, ValueError: if ``lr`` is not positive, or ``decay`` negative.

    Example:
        >>> rate = time_based(0.1, decay=0.01)
        >>> rate(0), rate(100)
        (0.1, 0.05)
    """
    lr, decay = _check.positive("lr", lr), _check.number("decay", decay, low=0.0)
    return lambda step: lr / (1.0 + decay * step)


def polynomial(lr: float, steps: int, power: float = 1.0, final: float = 0.0) -> Schedule:
    r"""From ``lr`` to ``final`` along a power of the steps that are left; a straight line by default.

    .. math:: \eta_t = \eta_{\text{end}} + (\eta_0 - \eta_{\text{end}}) \left(1 - \frac{t}{T}\right)^p

    With ``final=0`` this is torch's ``PolynomialLR``.

    Args:
        lr: :math:`\eta_0`; positive.
        steps: :math:`T`, the step at which ``final`` is reached; it is held from there on.
        power: :math:`p`; positive.
        final: :math:`\eta_{\text{end}}`, at most ``lr``; 0 or more.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> rate = polynomial(1.0, steps=4)
        >>> [rate(step) for step in range(6)]
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    lr, steps, power = _check.positive("lr", lr), _check.whole("steps", steps), _check.positive("power", power)
    final = _check.number("final", final, low=0.0, high=lr)
    return lambda step: final + (lr - final) * (1.0 - min(step, steps) / steps) ** power


def cosine(lr: float, steps: int, final: float = 0.0) -> Schedule:
    r"""From ``lr`` to ``final`` along half a cosine (Loshchilov and Hutter 2017, equation 5, without restarts).

    .. math:: \eta_t = \eta_{\text{end}} + \tfrac12 (\eta_0 - \eta_{\text{end}}) \left(1 + \cos\frac{\pi t}{T}\right)

    Up to step ``steps`` this is torch's ``CosineAnnealingLR``, which then rises again; ours stays at ``final``.

    Args:
        lr: :math:`\eta_0`; positive.
        steps: :math:`T`, the step at which ``final`` is reached.
        final: :math:`\eta_{\text{end}}`, at most ``lr``; 0 or more.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> rate = cosine(1.0, steps=100)
        >>> rate(0), round(rate(50), 12), rate(100), rate(200)
        (1.0, 0.5, 0.0, 0.0)
    """
    lr, steps = _check.positive("lr", lr), _check.whole("steps", steps)
    final = _check.number("final", final, low=0.0, high=lr)
    return lambda step: final + (lr - final) * _half_cosine(min(step, steps) / steps)


def cosine_restarts(lr: float, period: int, multiply: int = 1, final: float = 0.0) -> Schedule:
    r"""Half a cosine again and again, each ``multiply`` times as long as the last (Loshchilov and Hutter 2017, section 3).

    .. math:: \eta_t = \eta_{\text{end}} + \tfrac12 (\eta_0 - \eta_{\text{end}})
        \left(1 + \cos\frac{\pi\,\tau_t}{T_i}\right), \qquad T_i = T_0\, m^i

    with :math:`\tau_t` the steps since the last restart. This is torch's ``CosineAnnealingWarmRestarts``.

    Args:
        lr: :math:`\eta_0`, the rate at every restart; positive.
        period: :math:`T_0`, steps of the first cosine.
        multiply: :math:`m`, a whole number of at least 1.
        final: :math:`\eta_{\text{end}}`, at most ``lr``; 0 or more. It is approached, never reached.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> rate = cosine_restarts(1.0, period=10, multiply=2)
        >>> [round(rate(step), 3) for step in (0, 5, 10, 20, 30)]
        [1.0, 0.5, 1.0, 0.5, 1.0]
    """
    lr, period, multiply = _check.positive("lr", lr), _check.whole("period", period), _check.whole("multiply", multiply)
    final = _check.number("final", final, low=0.0, high=lr)

    def rate(step: int) -> float:
        if multiply == 1:
            since, length = step % period, period
        else:
            since, length = step, period
            while since >= length:
                since, length = since - length, length * multiply
        return final + (lr - final) * _half_cosine(since / length)

    return rate


def one_cycle(
    lr: float, steps: int, rise: float = 0.3, start_factor: float = 1 / 25, final_factor: float = 1e-4
) -> Schedule:
    r"""Up along half a cosine, then down along another (Smith and Topin 2018): torch's ``OneCycleLR`` at its defaults.

    The rate goes from :math:`s\,\eta` to the peak :math:`\eta` in the share ``rise`` of the steps, then to
    :math:`f s\,\eta` at the last one, number ``steps - 1``. torch's class moves the momentum too unless told
    ``cycle_momentum=False``; this is the rate alone.

    Args:
        lr: :math:`\eta`, the peak; positive.
        steps: steps in all, at least 2; the last rate is held afterwards.
        rise: the share of the steps in which the rate rises, in (0, 1).
        start_factor: :math:`s` in (0, 1], the first rate as a share of the peak; torch calls its reciprocal ``div_factor``.
        final_factor: :math:`f` in (0, 1], the last rate as a share of the first; 1 / ``final_div_factor``.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> rate = one_cycle(1.0, steps=101)
        >>> [round(rate(step), 6) for step in (0, 100, 200)]
        [0.04, 4e-06, 4e-06]
    """
    lr, steps = _check.positive("lr", lr), _check.whole("steps", steps, low=2)
    start = lr * _check.share("start_factor", start_factor)
    final = start * _check.share("final_factor", final_factor)
    rise = _check.positive("rise", rise)
    if rise >= 1:
        raise ValueError(f"rise must be above 0 and below 1; got {rise!r}")
    top, last = rise * steps - 1.0, steps - 1

    def rate(step: int) -> float:
        step = min(step, last)
        if step <= top:
            return lr + (start - lr) * _half_cosine(step / top if top else 1.0)
        return final + (lr - final) * _half_cosine((step - top) / (last - top))

    return rate


def warmup_stable_decay(lr: float, steps: int, warmup: int, decay: int, final: float = 0.0) -> Schedule:
    r"""Up in a straight line, level for long, down in a straight line (Hu et al. 2024, section 4; Hägele et al. 2024).

    .. math:: \eta_t = \begin{cases} \eta\, t / W & t < W \\ \eta & W \le t < T - D \\
        \eta_{\text{end}} + (\eta - \eta_{\text{end}}) (T - t) / D & T - D \le t < T \end{cases}

    Args:
        lr: :math:`\eta`, the level; positive.
        steps: :math:`T`, steps in all; ``final`` is held afterwards.
        warmup: :math:`W`, steps on the way up; 0 starts at the level.
        decay: :math:`D`, steps on the way down, at the end; 0 stays at the level.
        final: :math:`\eta_{\text{end}}`, at most ``lr``; 0 or more.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, or ``warmup + decay`` is more than ``steps``.

    Example:
        >>> rate = warmup_stable_decay(1.0, steps=100, warmup=10, decay=20)
        >>> [rate(step) for step in (0, 5, 10, 79, 90, 100)]
        [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    lr, steps = _check.positive("lr", lr), _check.whole("steps", steps)
    warm, fall = _check.whole("warmup", warmup, low=0), _check.whole("decay", decay, low=0)
    final = _check.number("final", final, low=0.0, high=lr)
    if warm + fall > steps:
        raise ValueError(f"warmup + decay must be at most steps = {steps}; got {warm} + {fall}")

    def rate(step: int) -> float:
        if step < warm:
            return lr * step / warm
        return lr if step < steps - fall or not fall else final + (lr - final) * max(0, steps - step) / fall

    return rate


def warmup(schedule: float | Schedule, steps: int, start: float = 0.0) -> Schedule:
    r"""Any schedule, held back in its first steps: the rate is multiplied by a factor that rises in a straight line to 1.

    .. math:: \eta'_t = \eta_t \left(s + (1 - s) \min(1, t / W)\right)

    The schedule's own clock is not moved: ``warmup(cosine(lr, 1000), 100)`` still ends at step 1000. This is torch's
    ``ChainedScheduler`` of ``LinearLR`` and the schedule (Goyal et al. 2017, section 2.2, for why).

    Args:
        schedule: what to wrap; a number is the constant schedule.
        steps: :math:`W`, the step at which the schedule's own rate is reached.
        start: :math:`s`, the factor at step 0; in [0, 1]. At 0 the first step changes nothing.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> rate = warmup(constant(1.0), steps=4)
        >>> [rate(step) for step in range(6)]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    schedule, steps = as_schedule(schedule, "schedule"), _check.whole("steps", steps)
    start = _check.number("start", start, low=0.0, high=1.0)
    return lambda step: schedule(step) * (start + (1.0 - start) * min(1.0, step / steps))


def as_torch(schedule: float | Schedule, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """A schedule as a torch ``LRScheduler``, for any other training loop.

    Args:
        schedule: a schedule or a number. The optimizer's own ``lr`` is overwritten; a group's ``"lr_scale"`` multiplies it. Groups
            with rates of their own lose them, and a warning says so.
        optimizer: whose rate is to be set.

    Returns:
        A scheduler that has set the rate of step 0; call its ``step()`` after each ``optimizer.step()``. Where the schedule
        holds a `plateau`, call ``step(loss)``. ``state_dict`` and ``load_state_dict`` as usual; the schedule itself is code
        and is not in them.

    Raises:
        TypeError, ValueError: if ``schedule`` is neither a function of the step nor a positive number, ``optimizer`` is not
            one, or ``step`` is called without the loss that the schedule reacts to.

    Example:
        >>> weights = torch.nn.Parameter(torch.zeros(2))
        >>> optimizer = torch.optim.SGD([weights], lr=1.0)
        >>> scheduler = as_torch(exponential(0.1, decay=0.5), optimizer)
        >>> for _ in range(2):
        ...     print(optimizer.param_groups[0]["lr"])
        ...     optimizer.step()
        ...     scheduler.step()
        0.1
        0.05
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer; got {type(optimizer).__name__}")
    schedule = as_schedule(schedule, "schedule")
    optim.warn_if_levelled(optimizer)
    return _TorchScheduler(schedule, optimizer)


class _TorchScheduler(torch.optim.lr_scheduler.LRScheduler):
    def __init__(self, schedule: Schedule, optimizer: torch.optim.Optimizer):
        self.schedule, self.reacting = schedule, plateaus(schedule)
        super().__init__(optimizer)

    def step(self, loss: Tensor | float | None = None) -> None:
        if self.last_epoch >= 0:  # torch itself calls this once, before the first step
            for reacting in self.reacting:
                if loss is None:
                    raise ValueError("loss must be given, as step(loss): the schedule reacts to it")
                reacting.observe(loss)
        super().step()

    def get_lr(self) -> list[float]:
        lr = self.schedule(self.last_epoch)
        return [lr * group.get("lr_scale", 1.0) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        state = {name: value for name, value in super().state_dict().items() if name not in ("schedule", "reacting")}
        return state | {"plateaus": [reacting.state_dict() for reacting in self.reacting]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        for reacting, seen in zip(self.reacting, state.pop("plateaus")):
            reacting.load_state_dict(seen)
        super().load_state_dict(state)


def as_schedule(lr: float | Schedule, name: str = "lr") -> Schedule:
    """A schedule from a schedule or a number.

    Raises:
        TypeError, ValueError: if ``lr`` is neither a function of the step nor a positive finite number; the error calls it ``name``.
    """
    return lr if callable(lr) else constant(_check.positive(name, lr))


def _half_cosine(share: float) -> float:
    """1 at 0, 0 at 1, and half a cosine between."""
    return 0.5 * (1.0 + math.cos(math.pi * share))
