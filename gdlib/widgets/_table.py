"""Tables of real runs, made small enough to travel inside a page."""

import math
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from gdlib.choosing import Sweep

DIVERGED = 2**16 - 1  # the code of a loss that is not finite


def as_sweep(name: str, runs: object, sizes: int | None = None) -> Sweep:
    """``runs``, which must be a `Sweep`, with so many batch sizes if that is given."""
    if not isinstance(runs, Sweep):
        raise TypeError(f"{name} must be what gdlib.sweep returned; got {type(runs).__name__}")
    if sizes is not None and len(runs.batch_size) != sizes:
        raise ValueError(f"{name} must have {sizes} batch size; got {runs.batch_size.tolist()}")
    return runs


def nearest(name: str, value: float, values: Sequence[float]) -> int:
    """Where in ``values`` the nearest to ``value`` is, by ratio; with a warning where it is not ``value`` itself."""
    index = min(range(len(values)), key=lambda i: abs(math.log(values[i] / value)))
    if not math.isclose(values[index], value, rel_tol=1e-9):
        warnings.warn(
            f"{name} must be one of the table's, {values}; got {value!r}, took {values[index]!r}", stacklevel=4
        )
    return index


def thin(losses: np.ndarray, points: int, log: bool = True) -> tuple[list[float], np.ndarray]:
    """At most so many points a curve, closer together where training begins: the last step of each, and the mean over it.

    Points grow apart with the step (``log``, for a logarithmic axis) or, for a linear one, with its square root.
    """
    steps, at = losses.shape[-1], np.linspace(0, 1, points + 1)
    edges = np.unique(np.round((steps + 1) ** at - 1 if log else steps * at**2).astype(int))
    means = np.stack([losses[..., a:b].mean(-1) for a, b in zip(edges, edges[1:])], axis=-1)
    return edges[1:].astype(float).tolist(), means.astype("<f4")


def pack(curves: Iterable[np.ndarray]) -> tuple[bytes, list[float]]:
    """All losses, one array after the other, in 16 bits each; and their scale: the lowest and the span.

    Of their logarithms or, where some are below zero, of themselves: then the scale has a 1 as its third.
    """
    values = np.concatenate([np.ravel(array).astype(float) for array in curves])
    known = np.isfinite(values)
    linear = bool((values[known] < 0).any())
    scaled = values[known] if linear else np.log(np.maximum(values[known], 1e-30))
    low = float(scaled.min()) if known.any() else 0.0
    span = (float(scaled.max()) - low if known.any() else 0.0) or 1.0
    codes = np.full(values.shape, DIVERGED, dtype="<u2")
    codes[known] = np.round((scaled - low) / span * (DIVERGED - 1))
    return codes.tobytes(), [low, span, *[1.0] * linear]


def summary(losses: np.ndarray) -> list[float] | None:
    """Mean, lowest and highest of final losses, to six digits; ``None`` where one of them is infinite."""
    return [float(f"{f(losses):.6g}") for f in (np.mean, np.min, np.max)] if np.isfinite(losses).all() else None


def finals(runs: Sweep) -> list[list[list[float] | None]]:
    """For each learning rate and batch size the `summary` of the final losses."""
    return [[summary(losses) for losses in row] for row in runs.final()]
