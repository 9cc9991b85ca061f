"""Checks of arguments, shared by every module: each error names the argument, what it got and what it takes."""

import math
from numbers import Integral, Real
from typing import Any


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """``value`` as a finite float with ``low <= value <= high``."""
    if type(value) is float and low <= value <= high and math.isfinite(value):  # each step asks: the common case first
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number; got {value!r}")
    if not math.isfinite(value) or not low <= value <= high:
        bounds = {(True, True): "", (False, True): f" of at least {low:g}", (True, False): f" of at most {high:g}"}
        wanted = bounds.get((low == -math.inf, high == math.inf), f" between {low:g} and {high:g}")
        raise ValueError(f"{name} must be a finite number{wanted}; got {value!r}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """``value`` as a positive finite float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a positive number; got {value!r}")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive finite number; got {value!r}")
    return float(value)


def share(name: str, value: Any) -> float:
    """``value`` as a float in (0, 1]."""
    value = positive(name, value)
    if value > 1:
        raise ValueError(f"{name} must be above 0 and at most 1; got {value!r}")
    return value


def whole(name: str, value: Any, low: int = 1) -> int:
    """``value`` as an int of at least ``low``."""
    if type(value) is int and value >= low:
        return value
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number; got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be a whole number of at least {low}; got {value!r}")
    return int(value)


def one_of(name: str, value: Any, choices: Any) -> Any:
    """``value``, which must be among ``choices``."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")
    return value
