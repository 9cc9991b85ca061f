"""Losses whose minimum is known in closed form: a quadratic bowl, least squares, and Rosenbrock's valley.

Every problem is float64 and has the same face: ``dim``, ``minimum`` of shape ``(dim,)``, ``max_stable_lr``, and
``loss(w)``, ``gradient(w)``, ``hessian(w)``. A ``w`` of shape ``(..., dim)`` holds many points at once: ``loss`` then has
shape ``(...)`` and ``gradient`` shape ``(..., dim)``, so that a whole grid is one call.

The arithmetic of `Quadratic` and `Rosenbrock` is spelled out product by product, without fused operations. The descent
explorer repeats it in JavaScript in the same order, so that page and library agree even where a path is chaotic.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from gdlib import _check


class Problem(Protocol):
    """What `gdlib.descent.descend` and `gdlib.plots.contours` need of a loss.

    Example:
        >>> class Slope:  # whatever has these is a problem
        ...     dim, minimum = 1, torch.zeros(1, dtype=torch.float64)
        ...
        ...     def loss(self, w):
        ...         return w.abs().sum(-1)
        ...
        ...     def gradient(self, w):
        ...         return w.sign()
        >>> from gdlib import descent
        >>> descent.descend(Slope(), start=(1.0,), lr=0.25, steps=4).losses.tolist()
        [1.0, 0.75, 0.5, 0.25, 0.0]
    """

    dim: int
    minimum: Tensor
    max_stable_lr: float

    def loss(self, w: Tensor) -> Tensor:
        """Loss at each point: ``(..., dim) -> (...)``."""

    def gradient(self, w: Tensor) -> Tensor:
        """Gradient at each point: ``(..., dim) -> (..., dim)``."""

    def hessian(self, w: Tensor) -> Tensor:
        """Matrix of second derivatives at one point: ``(dim,) -> (dim, dim)``."""


def as_point(w: Tensor | Sequence[float], dim: int, name: str = "w") -> Tensor:
    """``w`` as a finite float64 tensor of shape ``(..., dim)``.

    Raises:
        TypeError: if ``w`` does not hold numbers.
        ValueError: if its last dimension is not ``dim``.

    Example:
        >>> as_point([1, 2], dim=2)
        tensor([1., 2.], dtype=torch.float64)
    """
    try:
        point = torch.as_tensor(w, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be {dim} numbers; got {w!r}") from error
    if point.ndim == 0 or point.shape[-1] != dim:
        raise ValueError(f"{name} must have {dim} numbers in its last dimension; got shape {tuple(point.shape)}")
    return point


class Quadratic:
    r"""A bowl with its axes along the coordinates.

    .. math:: J(w) = \tfrac12 \sum_i c_i w_i^2

    Gradient descent with a fixed rate :math:`\eta` multiplies coordinate :math:`i` by :math:`1 - \eta c_i` at every step,
    so it converges exactly when :math:`\eta < 2 / \max_i c_i` (Nesterov 2004, section 1.2.3).

    Args:
        curvatures: :math:`c_i`, the second derivative along each axis; at least one, each positive.

    Raises:
        TypeError, ValueError: if ``curvatures`` is empty or holds anything but positive finite numbers.

    Example:
        >>> bowl = Quadratic(curvatures=(1.0, 10.0))
        >>> bowl.loss((1.0, 1.0)).item(), bowl.max_stable_lr, bowl.condition_number
        (5.5, 0.2, 10.0)
    """

    def __init__(self, curvatures: Sequence[float]):
        if isinstance(curvatures, (str, bytes, dict)) or not hasattr(curvatures, "__iter__"):
            raise TypeError(f"curvatures must be a sequence of positive numbers; got {curvatures!r}")
        values = [_check.positive("curvatures", float(c) if isinstance(c, Tensor) else c) for c in curvatures]
        if not values:
            raise ValueError("curvatures must hold at least one positive number; got none")
        self.curvatures = torch.tensor(values, dtype=torch.float64)
        self.dim = len(values)
        self.minimum = torch.zeros(self.dim, dtype=torch.float64)
        self.max_stable_lr = 2.0 / max(values)
        self.condition_number = max(values) / min(values)

    def loss(self, w: Tensor | Sequence[float]) -> Tensor:
        """Loss at each point: ``(..., dim) -> (...)``."""
        w = as_point(w, self.dim)
        return 0.5 * (self.curvatures * w * w).sum(-1)

    def gradient(self, w: Tensor | Sequence[float]) -> Tensor:
        """Gradient at each point: ``(..., dim) -> (..., dim)``."""
        return self.curvatures * as_point(w, self.dim)

    def hessian(self, w: Tensor | Sequence[float] | None = None) -> Tensor:
        """Matrix of second derivatives, ``(dim, dim)``; the same everywhere."""
        return torch.diag(self.curvatures)


class LeastSquares:
    r"""The mean squared error of a linear model, the loss of the source's listing (``torch.nn.MSELoss``).

    .. math:: J(w) = \frac1n \lVert X w - y \rVert^2, \qquad \nabla J(w) = \frac2n X^\top (X w - y)

    Its Hessian :math:`\frac2n X^\top X` is the same everywhere, so the largest stable rate is
    :math:`2 / \lambda_{\max}` of it. There is no intercept: add a column of ones to ``x`` for one.

    Args:
        x: the inputs, shape ``(n, dim)``, or ``(n,)`` for a single feature.
        y: the targets, shape ``(n,)`` or ``(n, 1)``.

    Raises:
        TypeError: if ``x`` or ``y`` does not hold numbers.
        ValueError: if they are empty, differ in length, hold NaN or infinity, or ``x`` is all zero.

    Example:
        >>> fit = LeastSquares([[1.0, 0.0], [1.0, 1.0]], [1.0, 3.0])
        >>> [round(v, 6) for v in fit.minimum.tolist()]
        [1.0, 2.0]
    """

    def __init__(self, x: Tensor | Sequence, y: Tensor | Sequence):
        try:
            x, y = torch.as_tensor(x, dtype=torch.float64), torch.as_tensor(y, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"x and y must be arrays of numbers; got {type(x).__name__}, {type(y).__name__}") from error
        x = x[:, None] if x.ndim == 1 else x
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if x.ndim != 2 or y.ndim != 1 or len(x) != len(y) or x.numel() == 0:
            raise ValueError(
                f"x must have shape (n, dim) and y (n,), n >= 1; got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        for name, values in (("x", x), ("y", y)):
            if not values.isfinite().all():
                raise ValueError(f"{name} must be finite; got NaN or infinity in it")
        if not x.any():
            raise ValueError("x must have a value other than zero; got all zeros")
        self.x, self.y = x, y
        self.dim = x.shape[1]
        self.minimum = torch.linalg.lstsq(x, y[:, None], driver="gelsd").solution[:, 0]
        eigenvalues = torch.linalg.eigvalsh(self.hessian())
        self.max_stable_lr = 2.0 / eigenvalues[-1].item()
        smallest = eigenvalues[0].item()
        self.condition_number = eigenvalues[-1].item() / smallest if smallest > 0 else float("inf")

    def loss(self, w: Tensor | Sequence[float]) -> Tensor:
        """Loss at each point: ``(..., dim) -> (...)``."""
        residual = as_point(w, self.dim) @ self.x.T - self.y
        return (residual * residual).mean(-1)

    def gradient(self, w: Tensor | Sequence[float]) -> Tensor:
        """Gradient at each point: ``(..., dim) -> (..., dim)``."""
        residual = as_point(w, self.dim) @ self.x.T - self.y
        return (2.0 / len(self.y)) * (residual @ self.x)

    def hessian(self, w: Tensor | Sequence[float] | None = None) -> Tensor:
        """Matrix of second derivatives, ``(dim, dim)``; the same everywhere."""
        return (2.0 / len(self.y)) * (self.x.T @ self.x)


class Rosenbrock:
    r"""A curved valley: easy to enter, slow to walk along (Rosenbrock 1960).

    .. math:: J(x, y) = (1 - x)^2 + 100\,(y - x^2)^2

    The minimum is ``(1, 1)``. The loss is not convex and its curvature changes from place to place, so
    ``max_stable_lr`` is that of the Hessian at the minimum: a faster rate cannot settle there.

    Example:
        >>> valley = Rosenbrock()
        >>> valley.loss((-1.0, 1.0)).item(), valley.gradient((0.0, 0.0)).tolist()
        (4.0, [-2.0, 0.0])
    """

    dim = 2

    def __init__(self):
        self.minimum = torch.ones(2, dtype=torch.float64)
        eigenvalues = torch.linalg.eigvalsh(self.hessian(self.minimum))
        self.max_stable_lr = 2.0 / eigenvalues[-1].item()
        self.condition_number = (eigenvalues[-1] / eigenvalues[0]).item()

    def loss(self, w: Tensor | Sequence[float]) -> Tensor:
        """Loss at each point: ``(..., 2) -> (...)``."""
        x, y = as_point(w, 2).unbind(-1)
        a, b = 1.0 - x, y - x * x
        return a * a + 100.0 * (b * b)

    def gradient(self, w: Tensor | Sequence[float]) -> Tensor:
        """Gradient at each point: ``(..., 2) -> (..., 2)``."""
        x, y = as_point(w, 2).unbind(-1)
        a, b = 1.0 - x, y - x * x
        return torch.stack([-2.0 * a - 400.0 * (x * b), 200.0 * b], dim=-1)

    def hessian(self, w: Tensor | Sequence[float]) -> Tensor:
        """Matrix of second derivatives at one point: ``(2,) -> (2, 2)``."""
        x, y = as_point(w, 2).tolist()
        return torch.tensor([[2.0 - 400.0 * (y - 3.0 * x * x), -400.0 * x], [-400.0 * x, 200.0]], dtype=torch.float64)
