"""A question on the page: choices, a number or a curve to sketch, with a reason for every answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from gdlib import _check
from gdlib.widgets._base import Drawing, module, text
from gdlib.widgets.along import column, light, rounded

CHOICES = (2, 8)
CURVES = 5
POINTS, COLUMNS = 200, 33  # of a curve that is shown, and of one that is sketched


class QuestionDrawing(Drawing):
    """The question, its answer as the reader gives it, and the figure that it opens. Every word is in ``words``."""

    _esm = module("question")
    kind = traitlets.Unicode().tag(sync=True)
    words = traitlets.Dict().tag(sync=True)
    answer = traitlets.Any().tag(sync=True)
    tolerance = traitlets.Float().tag(sync=True)
    mistakes = traitlets.List().tag(sync=True)
    columns = traitlets.List().tag(sync=True)
    curves = traitlets.List().tag(sync=True)
    axes = traitlets.Dict().tag(sync=True)
    along = traitlets.Unicode("x").tag(sync=True)
    predicts = traitlets.Bool().tag(sync=True)
    given = traitlets.Any().tag(sync=True)
    shown = traitlets.Bool().tag(sync=True)


class Question(ipywidgets.VBox):
    """Ask the reader: a choice, a number, or a curve to sketch. Every answer gets its reason, and is kept in the reader's browser.

    A question may be tried again until it is right, or until the reader asks for the answer. One with ``opens`` or ``curves``,
    and every sketch, is a *prediction*: its first answer counts, the figure opens after it, and the reader's answer stands in it.
    The prompt is the name under which an answer is kept, so no two questions of a page should ask the same.

    Args:
        prompt: the question, in plain text.
        choices: 2 to 8 of them, from each choice to its reason: why it is right, or what is wrong with it.
        answer: the right choice.
        number: the right number, instead of ``choices``.
        sketch: the right curve, a pair ``(x, y)`` with rising ``x``, instead of ``choices``.
        tolerance: how far an answer may lie from ``number``, which has to be said; from a sketched curve on average, as a share of
            the vertical axis: 0.1 unless said otherwise.
        mistakes: recognised wrong answers: from a number to what is wrong with it; for a sketch pairs ``(y, what is wrong)`` with
            as many values as the curve. A wrong number counts as the nearest mistake within the same share of it.
        reason: why the number or the curve is what it is; needed with them.
        hint: what is said of a wrong answer that is no recognised mistake.
        unit: of the number, as it stands behind it.
        curves: from up to five names to pairs ``(x, y)``: a figure that opens after the answer. A number is marked in it; a choice of the
            same name is drawn bold. With a sketch the curve itself is always shown.
        along: the axis on which the number lies in the figure, ``"x"`` or ``"y"``.
        labels: of the horizontal and of the vertical axis.
        log: the axes that are logarithmic: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
        limits: (low, high) of the vertical axis; ``None`` takes what the curves and the mistakes need.
        opens: a widget that is hidden until the reader has answered.

    Attributes:
        given: trait, to read and observe: what the reader answered (a choice, a number, the heights of a curve), or ``None``.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, or if all of it is heavier than 300 kB.

    Example:
        >>> choices = {"w grows": "Only if the slope at w is negative.", "w falls": "A step goes against the slope."}
        >>> Question("The slope at w is positive. What does a step of descent do?", choices, answer="w falls")
        Question('The slope at w is positive. What does a step of descent do?')
        >>> halves = {0.25: "That is half of it: the factor is 1 - 2 lr."}
        >>> Question("J(w) = w². Which rate lands in one step?", number=0.5, tolerance=0.01, mistakes=halves, reason="1 - 2 lr = 0.")
        Question('J(w) = w². Which rate lands in one step?')
    """

    given = traitlets.Any()

    def __init__(
        self,
        prompt: str,
        choices: Mapping[str, str] | None = None,
        answer: str | None = None,
        *,
        number: float | None = None,
        sketch: tuple[Any, Any] | None = None,
        tolerance: float | None = None,
        mistakes: Mapping[float, str] | Sequence[tuple[Any, str]] = (),
        reason: str | None = None,
        hint: str = "",
        unit: str = "",
        curves: Mapping[str, tuple[Any, Any]] | None = None,
        along: str = "x",
        labels: tuple[str, str] = ("", ""),
        log: str = "",
        limits: tuple[float, float] | None = None,
        opens: ipywidgets.Widget | None = None,
    ):
        text("prompt", prompt)
        asked = [name for name, v in (("choices", choices), ("number", number), ("sketch", sketch)) if v is not None]
        if len(asked) != 1:
            raise ValueError(f"a question takes one of choices, number and sketch; got {' and '.join(asked) or 'none'}")
        if opens is not None and not isinstance(opens, ipywidgets.Widget):
            raise TypeError(f"opens must be a widget; got {type(opens).__name__}")
        (kind,) = asked
        words = {"prompt": prompt, "reason": reason, "hint": hint, "unit": unit, "x": labels[0], "y": labels[1]}
        for name in ("hint", "unit"):
            if not isinstance(words[name], str):
                raise TypeError(f"{name} must be a string; got {words[name]!r}")
        if kind == "choices":
            state = _choices(choices, answer)
        else:
            text("reason", reason)
            state = (
                _number(number, tolerance, mistakes) if kind == "number" else _sketch(sketch, tolerance, mistakes, log)
            )
        words |= state.pop("words")
        shown = _curves(curves or {}, sketch, reason)
        if shown:
            words["curves"] = list(shown)
            state["curves"] = [{"x": rounded(x), "y": rounded(y)} for x, y in shown.values()]
            state["axes"] = _axes(state["curves"], state, log, limits)
        drawing = QuestionDrawing(
            kind=kind,
            words=words,
            along=_check.one_of("along", along, ("x", "y")),
            predicts=opens is not None or bool(shown),
            **state,
        )
        light("a question", drawing)
        self.drawing = drawing
        super().__init__([drawing] if opens is None else [drawing, opens], layout={"width": "100%"})
        self.add_class("gd-prediction")
        names = list(choices) if kind == "choices" else None
        drawing.observe(lambda change: self._take(change["new"], names), "given")

    def _take(self, given: Any, names: list[str] | None) -> None:
        self.given = names[given] if names and given is not None else given

    def __repr__(self) -> str:
        return f"Question({self.drawing.words['prompt']!r})"


def _choices(choices: Any, answer: Any) -> dict:
    if not isinstance(choices, Mapping):
        raise TypeError(f"choices must map each choice to its reason; got {type(choices).__name__}")
    if not CHOICES[0] <= len(choices) <= CHOICES[1]:
        raise ValueError(f"choices must be {CHOICES[0]} to {CHOICES[1]}; got {len(choices)}")
    for choice, reason in choices.items():
        text("choices", choice)
        text(f"choices[{choice!r}]", reason)
    _check.one_of("answer", answer, choices)
    return {"words": {"choices": [list(pair) for pair in choices.items()]}, "answer": list(choices).index(answer)}


def _number(number: Any, tolerance: Any, mistakes: Any) -> dict:
    number = _check.number("number", number)
    if tolerance is None:
        raise ValueError("tolerance must be given with a number; got None")
    tolerance = _check.number("tolerance", tolerance, low=0)
    if mistakes != () and not isinstance(mistakes, Mapping):
        raise TypeError(f"mistakes must map numbers to what is wrong with them; got {type(mistakes).__name__}")
    for value, why in dict(mistakes).items():
        if abs(_check.number("mistakes", value) - number) <= tolerance:
            raise ValueError(f"mistakes must lie further than {tolerance:g} from {number:g}; got {value:g}")
        text(f"mistakes[{value!r}]", why)
    mistakes = {float(value): why for value, why in dict(mistakes).items()}
    words = {"mistakes": list(mistakes.values())}
    return {"words": words, "answer": number, "tolerance": tolerance, "mistakes": list(mistakes)}


def _sketch(sketch: Any, tolerance: Any, mistakes: Any, log: str) -> dict:
    x, y = _pair("sketch", sketch)
    f, back = (np.log, np.exp) if "x" in log else (lambda v: v, lambda v: v)
    if "x" in log and x[0] <= 0:
        raise ValueError(f"sketch must have positive x on a logarithmic axis; got {x[0]:g}")
    columns = back(np.linspace(f(x[0]), f(x[-1]), COLUMNS))
    if isinstance(mistakes, (str, Mapping)) or not isinstance(mistakes, Sequence):
        raise TypeError(f"mistakes must be pairs of a curve and what is wrong with it; got {type(mistakes).__name__}")
    wrong = []
    for pair in mistakes:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise TypeError(f"mistakes must be pairs of a curve and what is wrong with it; got {pair!r}")
        _, values = _pair("mistakes", (x, pair[0]))
        text("mistakes", pair[1])
        wrong.append(rounded(np.interp(f(columns), f(x), values)))
    tolerance = 0.1 if tolerance is None else _check.share("tolerance", tolerance)
    return {
        "words": {"mistakes": [pair[1] for pair in mistakes]},
        "answer": rounded(np.interp(f(columns), f(x), y)),
        "tolerance": tolerance,
        "mistakes": wrong,
        "columns": rounded(columns, 6),
    }


def _pair(name: str, pair: Any) -> tuple[np.ndarray, np.ndarray]:
    """A curve: rising x and as many y, at least two, all finite."""
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise TypeError(f"{name} must be a pair (x, y); got {pair!r}")
    x, y = column(name, pair[0]), column(name, pair[1])
    if x.shape != y.shape or len(x) < 2 or (np.diff(x) <= 0).any():
        raise ValueError(f"{name} must be rising x and as many y, at least two; got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"{name} must be finite; got a value that is not")
    return x, y


def _curves(curves: Any, sketch: Any, reason: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What the figure shows, each curve thinned; a sketched one is called "measured"."""
    if not isinstance(curves, Mapping):
        raise TypeError(f"curves must map names to pairs (x, y); got {type(curves).__name__}")
    if len(curves) > CURVES:
        raise ValueError(f"curves must be at most {CURVES}; got {len(curves)}")
    for name in curves:
        text("a curve's name", name)
    found = {name: _pair(f"curves[{name!r}]", pair) for name, pair in curves.items()}
    if sketch is not None:
        found = {"measured": _pair("sketch", sketch)} | found
    thin = {name: np.unique(np.linspace(0, len(x) - 1, POINTS).astype(int)) for name, (x, _) in found.items()}
    return {name: (x[thin[name]], y[thin[name]]) for name, (x, y) in found.items()}


def _axes(curves: list[dict], state: dict, log: Any, limits: Any) -> dict:
    """The ends of both axes, wide enough for the curves and for what may be answered."""
    _check.one_of("log", log, ("", "x", "y", "xy"))
    xs, ys = (np.concatenate([curve[side] for curve in curves]) for side in "xy")
    if state.get("columns"):
        ys = np.concatenate([ys, *state["mistakes"]])
    low, high = (ys.min(), ys.max()) if limits is None else [_check.number("limits", end) for end in limits]
    if limits is None:
        room = (high / low) ** 0.08 if "y" in log and low > 0 else 0.08 * (high - low) or 1.0
        low, high = (low / room, high * room) if "y" in log else (low - room, high + room)
    if not low < high:
        raise ValueError(f"limits must be (low, high) with low < high; got {limits!r}")
    for name, end in (("x", xs.min()), ("y", low)):
        if name in log and end <= 0:
            raise ValueError(f"log must name axes whose values are positive; got {log!r} with {name} down to {end:g}")
    ends = {"x": (xs.min(), xs.max()), "y": (low, high)}
    return {name: {"low": float(a), "high": float(b), "log": name in log} for name, (a, b) in ends.items()}
