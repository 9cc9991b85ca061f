"""The curve explorer: a figure whose curves follow one to three sliders, looked up in a table that Python made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from gdlib import _check
from gdlib.widgets._base import Drawing, Explorer, labels_of, module, settle, slider
from gdlib.widgets.along import as_array, light

COLORS = ("blue", "orange", "green", "violet", "red", "gold", "pink", "text", "faint")
STYLES = ("line", "dashed", "dots")
HIDDEN, SPAN, OVER = 65535, 60_000, 0.5
"""A point that is not drawn; the code of an axis' end beyond which, by so much of its length, a point may lie."""


@dataclass(frozen=True)
class Axis:
    """An axis that stands still: its name, its ends, and whether it is logarithmic.

    Args:
        label: what it shows, with its unit.
        low, high: its ends, ``low < high``; above zero if it is logarithmic.
        log: whether equal ratios are equally long; said at the axis.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> Axis("step", 0, 100).high
        100
    """

    label: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self):
        if not isinstance(self.label, str):
            raise TypeError(f"label must be a string; got {self.label!r}")
        low, high = _check.number("low", self.low), _check.number("high", self.high)
        if self.log and low <= 0:
            raise ValueError(f"low must be above zero on a logarithmic axis; got {self.low!r}")
        if low >= high:
            raise ValueError(f"low must be below high; got {self.low!r} and {self.high!r}")

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Where ``values`` lie, in 16 bits: a picture shows no more. What is not a number is not drawn."""
        f = np.log if self.log else np.asarray
        with np.errstate(divide="ignore", invalid="ignore"):  # what is not above zero lies below a logarithmic axis
            placed = f(np.where(np.isnan(values), np.nan, np.maximum(values, 0) if self.log else values))
        low, high = float(f(self.low)), float(f(self.high))
        share = np.clip((placed - low) / (high - low), -OVER, 1 + OVER)
        codes = np.round((np.nan_to_num(share) + OVER) / (1 + 2 * OVER) * SPAN).astype("<u2")
        return np.where(np.isnan(share), HIDDEN, codes).astype("<u2")


class CurveDrawing(Drawing):
    """Curves looked up in a table of settings; where each point lies travels in 16 bits."""

    _esm = module("curves")
    table = traitlets.Bytes().tag(sync=True)
    points = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    looks = traitlets.List().tag(sync=True)
    x = traitlets.Dict().tag(sync=True)
    y = traitlets.Dict().tag(sync=True)
    knobs = traitlets.List().tag(sync=True)
    said = traitlets.List(traitlets.Unicode()).tag(sync=True)
    setting = traitlets.List(traitlets.Int()).tag(sync=True)
    index_0 = traitlets.Int().tag(sync=True)
    index_1 = traitlets.Int().tag(sync=True)
    index_2 = traitlets.Int().tag(sync=True)


class CurveExplorer(Explorer):
    """A small live figure: one to three sliders, and curves for every setting of them, computed beforehand.

    The axes stand still. What is below or above them is cut. The readout is a sentence of the author's for each setting.

    Args:
        draw: ``draw(*values)`` gives, for a value of each slider, a dict from a curve's name to its points (x, y): two rows
            of equal length. Every setting gives the same names, in the same order, each with as many points. A point that
            is not a number is left out. A name that begins with ``_`` is not written beside its curve.
        sliders: from a slider's name to its values, two at least: rising numbers, or different strings; one to three sliders.
        x, y: the axes.
        start: the value of each slider at the start; the text's setting, each among its slider's values.
        say: ``say(*values)`` gives the readout's sentence.
        looks: from a curve's name to a colour (``"blue"``, ``"orange"``, ``"green"``, ``"violet"``, ``"red"``, ``"gold"``,
            ``"pink"``, ``"text"``, ``"faint"``) and maybe a style after a blank (``"line"``, ``"dashed"`` or ``"dots"``);
            a curve without is a blue line.

    Attributes:
        setting: a trait, to read, set and observe: from a slider's name to its value. A value that is not among those of its
            slider becomes the nearest that is; one beyond them is clamped, with a warning.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, or if all of it is heavier than 300 kB.

    Example:
        >>> steps = range(11)
        >>> explorer = CurveExplorer(
        ...     lambda lr: {"error": (steps, [(1 - lr) ** t for t in steps])},
        ...     {"learning rate": [0.1, 0.5, 1.5]}, Axis("step", 0, 10), Axis("error", -1, 1), start=[0.1],
        ...     say=lambda lr: f"Each step leaves {1 - lr:.1f} of the error.")
        >>> explorer.setting = {"learning rate": 1.5}
        >>> explorer
        CurveExplorer(setting={'learning rate': 1.5})
    """

    setting = traitlets.Any()
    _shown = ("setting",)

    def __init__(
        self,
        draw: Callable[..., Mapping[str, Any]],
        sliders: Mapping[str, Sequence],
        x: Axis,
        y: Axis,
        start: Sequence,
        say: Callable[..., str],
        looks: Mapping[str, str] | None = None,
    ):
        self._notches = _as_sliders(sliders)
        for name, axis in (("x", x), ("y", y)):
            if not isinstance(axis, Axis):
                raise TypeError(f"{name} must be a widgets.Axis; got {type(axis).__name__}")
        if len(start) != len(self._notches):
            raise ValueError(f"start must have a value for each of {', '.join(self._notches)}; got {list(start)}")
        at = [values.index(_check.one_of("start", v, values)) for v, values in zip(start, self._notches.values())]
        settings = list(product(*self._notches.values()))
        said = [say(*values) for values in settings]
        if not all(isinstance(text, str) for text in said):
            raise TypeError(
                f"say must give a string for each setting; got {next(t for t in said if type(t) is not str)!r}"
            )
        drawn = [_as_curves(draw(*values)) for values in settings]
        names, points = list(drawn[0]), [len(xs) for xs, _ in drawn[0].values()]
        if any(list(curves) != names or [len(xs) for xs, _ in curves.values()] != points for curves in drawn):
            raise ValueError("draw must give the same curves, each with as many points, for every setting")
        looks = dict(looks or {})
        if unknown := set(looks) - set(names):
            raise ValueError(f"looks must be of the curves {', '.join(names)}; got {', '.join(sorted(unknown))}")
        drawing = CurveDrawing(
            table=np.concatenate(
                [axis.codes(v) for curves in drawn for pair in curves.values() for axis, v in zip((x, y), pair)]
            ).tobytes(),
            points=points, names=names, looks=[_as_look(looks.get(name, "blue")) for name in names],
            x=vars(x), y=vars(y), knobs=[[name, len(values), _labels(values)] for name, values in self._notches.items()],
            said=said, setting=at, **{f"index_{k}": i for k, i in enumerate(at)},
        )  # fmt: skip
        light("draw", drawing)
        shown = {
            f"index_{k}": slider(ipywidgets.SelectionSlider, description=name, options=_labels(values), index=at[k])
            for k, (name, values) in enumerate(self._notches.items())
        }
        super().__init__(drawing, shown, ())
        self._read()
        drawing.observe(self._read, list(shown))

    def _read(self, _: Any = None) -> None:
        places = (getattr(self.drawing, f"index_{k}") for k in range(len(self._notches)))
        self.setting = {name: values[i] for i, (name, values) in zip(places, self._notches.items())}

    @traitlets.validate("setting")
    def _setting(self, proposal: dict) -> dict[str, Any]:
        given = proposal["value"]
        if not isinstance(given, Mapping):
            raise TypeError(f"setting must map names of sliders to values; got {given!r}")
        if unknown := set(given) - set(self._notches):
            raise ValueError(
                f"setting must have the names {', '.join(self._notches)}; got {', '.join(map(str, unknown))}"
            )
        before = self.setting or {}
        return {name: _nearest(name, given.get(name, before.get(name)), row) for name, row in self._notches.items()}

    @traitlets.observe("setting")
    def _move(self, change: dict) -> None:
        for k, (name, values) in enumerate(self._notches.items()):
            setattr(self.drawing, f"index_{k}", values.index(change["new"][name]))


def _as_sliders(sliders: Mapping[str, Sequence]) -> dict[str, list]:
    if not isinstance(sliders, Mapping):
        raise TypeError(f"sliders must map names to values; got {type(sliders).__name__}")
    if not 1 <= len(sliders) <= 3:
        raise ValueError(f"sliders must be one to three; got {len(sliders)}")
    found = {name: list(values) for name, values in sliders.items()}
    for name, values in found.items():
        named = all(isinstance(value, str) for value in values)
        numbers = values if named else [_check.number(name, value) for value in values]
        ordered = len(set(values)) == len(values) if named else all(a < b for a, b in zip(numbers, numbers[1:]))
        if len(values) < 2 or not ordered:
            raise ValueError(
                f"sliders must have two values at least, rising numbers or different strings; got {values} for {name!r}"
            )
    return found


def _nearest(name: str, value: Any, values: list) -> Any:
    """The one of a slider's values that is meant."""
    if isinstance(values[0], str):
        return _check.one_of(name, value, values)
    return settle(name, _check.number(name, value), values)


def _labels(values: list) -> list[str]:
    return values if isinstance(values[0], str) else labels_of(values)


def _as_curves(curves: Mapping[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    if not isinstance(curves, Mapping) or not curves:
        raise TypeError(f"draw must give a dict of curves; got {curves!r}")
    found = {
        name: tuple(as_array(f"curve {name!r}", row).astype(float) for row in pair) for name, pair in curves.items()
    }
    for name, pair in found.items():
        if len(pair) != 2 or pair[0].ndim != 1 or pair[0].shape != pair[1].shape or not pair[0].size:
            shapes = [row.shape for row in pair]
            raise ValueError(
                f"draw must give two rows of equal length for a curve; got the shapes {shapes} for {name!r}"
            )
    return found


def _as_look(look: str) -> list[str]:
    color, _, style = str(look).partition(" ")
    return [_check.one_of("looks", color, COLORS), _check.one_of("looks", style or "line", STYLES)]
