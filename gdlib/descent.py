"""The update rule on a problem, one step at a time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gdlib import _check
from gdlib.problems import Problem, as_point
from gdlib.schedules import as_schedule

TOO_LARGE = 1e100  # a path is cut where the loss passes this: nothing after it fits a picture, and squares overflow


@dataclass(frozen=True)
class Path:
    """What a descent leaves behind.

    Attributes:
        points: ``(steps + 1, dim)``, float64; the start and the point after each step that was taken.
        losses: ``(steps + 1,)``, the loss at each of them.
        converged: whether the gradient's norm fell to the tolerance, where one was given.
        diverged: whether the path ended higher than it began, or not at a finite number at all.

    Example:
        >>> from gdlib import problems
        >>> path = descend(problems.Quadratic((1.0, 10.0)), start=(1.0, 1.0), lr=0.1, steps=50)
        >>> path.points.shape, path.losses.shape, path.diverged
        (torch.Size([51, 2]), torch.Size([51]), False)
    """

    points: Tensor
    losses: Tensor
    converged: bool
    diverged: bool

    @property
    def steps(self) -> int:
        """Number of steps taken, fewer than asked for where the path converged or ran away."""
        return len(self.losses) - 1


def descend(
    problem: Problem,
    start: Tensor | Sequence[float],
    lr: float | Callable[[int], float],
    steps: int,
    momentum: float = 0.0,
    tolerance: float | None = None,
) -> Path:
    r"""Gradient descent with heavy-ball momentum, as ``torch.optim.SGD`` writes it (Polyak 1964, equation 9).

    .. math:: v_{t+1} = \beta v_t + \nabla J(w_t), \qquad w_{t+1} = w_t - \eta_t v_{t+1}

    Args:
        problem: a loss from `gdlib.problems`.
        start: :math:`w_0`, ``dim`` finite numbers.
        lr: :math:`\eta_t`, a positive number or a function of the step.
        steps: how many steps to take at most; 0 returns the start alone.
        momentum: :math:`\beta` in [0, 1); 0 is plain gradient descent.
        tolerance: stop as soon as the norm of the gradient is at most this; ``None`` takes every step.

    Returns:
        The path. It ends early where it converges, or where the loss passes 1e100.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> from gdlib import problems
        >>> path = descend(problems.Quadratic((1.0, 10.0)), start=(1.0, 1.0), lr=0.1, steps=2)
        >>> path.points.tolist()
        [[1.0, 1.0], [0.9, 0.0], [0.81, 0.0]]
    """
    if not all(hasattr(problem, name) for name in ("dim", "loss", "gradient")):
        raise TypeError(f"problem must have dim, loss and gradient, as those of gdlib.problems do; got {problem!r}")
    w = as_point(start, problem.dim, "start")
    if w.ndim != 1 or not w.isfinite().all():
        raise ValueError(f"start must be {problem.dim} finite numbers; got {start!r}")
    schedule = as_schedule(lr)
    steps = _check.whole("steps", steps, low=0)
    momentum = _check.number("momentum", momentum, low=0.0)
    if momentum >= 1:
        raise ValueError(f"momentum must be at least 0 and below 1; got {momentum!r}")
    if tolerance is not None:
        tolerance = _check.positive("tolerance", tolerance)

    velocity = torch.zeros_like(w)
    points, losses = [w], [problem.loss(w)]
    converged = False
    for step in range(steps + 1):
        gradient = problem.gradient(w)
        if tolerance is not None and math.hypot(*gradient.tolist()) <= tolerance:
            converged = True
            break
        if step == steps or not losses[-1].item() <= TOO_LARGE:
            break
        velocity = momentum * velocity + gradient
        w = w - schedule(step) * velocity
        points.append(w)
        losses.append(problem.loss(w))

    losses = torch.stack(losses)
    diverged = not losses[-1].item() <= losses[0].item()
    return Path(torch.stack(points), losses, converged, diverged)
