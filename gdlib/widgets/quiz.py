"""The run quiz: sick training runs, to be diagnosed from their curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from gdlib import _check
from gdlib.widgets._base import Drawing, Explorer, clamp, module, slider, text
from gdlib.widgets.along import as_array, column, light, rounded, unbroken

CASES = (2, 20)
LINES = 4  # of a case, at most
WINDOWS = 60  # of a line that is thinned; of each the lowest and the highest value stay


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """A run that went wrong, and what was wrong with it.

    Args:
        name: shown once the case is solved.
        losses: from a line's name, such as ``"train loss"``, ``"test loss"``, ``"gradient norm"`` or ``"learning rate"``, to
            one value a step, or to a pair ``(steps, values)``; at most four. A line ends at the first value that is not finite.
        diagnosis: in a few words, as it stands in the menu.
        cure: a sentence.
        path: questions with their answers that lead from what is seen to the diagnosis, at least one.
        healthy: like ``losses``, the same run after the cure; ``None`` has nothing to compare with.
        task: what was trained, in a line that is shown from the start: data, model, optimizer. ``""`` says nothing.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> path = [("Does the loss fall?", "No, it rises from the first step.")]
        >>> Case("lr 3", {"train loss": [1.0, 9.0, 80.0]}, "rate too high", "Divide the rate by ten.", path)
        Case('lr 3')
    """

    name: str
    losses: Mapping[str, Any]
    diagnosis: str
    cure: str
    path: Sequence[tuple[str, str]]
    healthy: Mapping[str, Any] | None = None
    task: str = ""

    def __post_init__(self):
        if not isinstance(self.task, str):
            raise TypeError(f"task must be a string; got {self.task!r}")
        for name in ("name", "diagnosis", "cure"):
            text(name, getattr(self, name))
        if isinstance(self.path, str) or not isinstance(self.path, Sequence):
            raise TypeError(f"path must be a list of (question, answer); got {self.path!r}")
        if not self.path:
            raise ValueError("path must hold at least one (question, answer); got none")
        for pair in self.path:
            if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
                raise TypeError(f"path must be a list of (question, answer); got {pair!r}")
            for part in pair:
                text("path", part)
        object.__setattr__(self, "losses", _lines("losses", self.losses))
        object.__setattr__(self, "healthy", None if self.healthy is None else _lines("healthy", self.healthy))

    def __repr__(self) -> str:
        return f"Case({self.name!r})"


class QuizDrawing(Drawing):
    """The curves of a case, the menu of diagnoses and the questions; what was guessed stays in the page."""

    _esm = module("quiz")
    cases = traitlets.List().tag(sync=True)
    setting = traitlets.Int().tag(sync=True)
    case = traitlets.Int().tag(sync=True)


class RunQuiz(Explorer):
    """Look at a run that went wrong, and say what is wrong with it.

    The menu offers the diagnoses of all cases, and an answer counts when it is checked. Who is not sure is asked what there is to
    see, question by question, each with its answer. The reason, the cure and the cured run come after the answer, or when the reader
    asks for them; what was told is not counted as solved. The case at the start keeps its place, the others are shuffled for each
    reader. Order and answers are kept in the reader's browser.

    Args:
        cases: 2 to 20 of them, with at least two diagnoses.
        case: the case shown at the start, counted from 0; ``None`` takes the first.

    Attributes:
        case: trait, to read, set and observe: the place in the reader's order; it follows the slider. One that does not exist is clamped, with a warning.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, or if all of it is heavier than 300 kB.

    Example:
        >>> path = [("Does the loss fall?", "Look at the first ten steps.")]
        >>> high = Case("lr 3", {"train loss": [1.0, 9.0, 80.0]}, "rate too high", "Divide the rate by ten.", path)
        >>> low = Case("lr 1e-6", {"train loss": [1.0, 1.0, 1.0]}, "rate too low", "Raise it.", path)
        >>> RunQuiz([high, low])
        RunQuiz(case=0)
    """

    case = traitlets.Any()
    _shown = ("case",)

    def __init__(self, cases: Sequence[Case], case: int | None = None):
        if isinstance(cases, str) or not isinstance(cases, Sequence):
            raise TypeError(f"cases must be a list of widgets.Case; got {type(cases).__name__}")
        for item in cases:
            if not isinstance(item, Case):
                raise TypeError(f"cases must be a list of widgets.Case; got {type(item).__name__} in it")
        if not CASES[0] <= len(cases) <= CASES[1]:
            raise ValueError(f"cases must be {CASES[0]} to {CASES[1]}; got {len(cases)}")
        if len({item.diagnosis for item in cases}) < 2:
            raise ValueError(f"cases must have at least two diagnoses; got only {cases[0].diagnosis!r}")
        self._last = len(cases) - 1
        case = self._settle(0 if case is None else case)
        drawing = QuizDrawing(
            cases=[
                {
                    "name": item.name,
                    "task": item.task,
                    "lines": item.losses,
                    "healthy": item.healthy,
                    "diagnosis": item.diagnosis,
                    "cure": item.cure,
                    "path": [list(pair) for pair in item.path],
                }
                for item in cases
            ],
            setting=case,
            case=case,
        )
        light("cases", drawing)
        numbers = slider(
            ipywidgets.SelectionSlider, description="case", options=[str(i + 1) for i in range(len(cases))], index=case
        )
        super().__init__(drawing, {"case": numbers}, ("case",))

    def _settle(self, case: int) -> int:
        return int(clamp("case", _check.whole("case", case, low=-(10**9)), 0, self._last))

    @traitlets.validate("case")
    def _case(self, proposal: dict) -> int:
        return self._settle(proposal["value"])


def _lines(name: str, lines: Mapping[str, Any]) -> list[dict]:
    """The lines of a case as the page takes them."""
    if not isinstance(lines, Mapping):
        raise TypeError(f"{name} must map the names of lines to values; got {type(lines).__name__}")
    if not 1 <= len(lines) <= LINES:
        raise ValueError(f"{name} must hold 1 to {LINES} lines; got {len(lines)}")
    return [{"name": key, **_line(f"{name}[{key!r}]", key, value)} for key, value in lines.items()]


def _line(name: str, key: Any, value: Any) -> dict:
    """Steps and values, thinned, up to the first value that is not finite, and the step of that one."""
    text("a line's name", key)
    if isinstance(value, tuple) and len(value) == 2 and all(hasattr(part, "__len__") for part in value):
        steps, values = as_array(name, value[0]), column(name, value[1])
        if steps.shape != values.shape or (np.diff(steps) <= 0).any() or steps[0] < 0:
            raise ValueError(f"{name} must be rising steps and as many values; got {steps.shape} and {values.shape}")
    else:
        values = column(name, value)
        steps = np.arange(len(values))
    until = unbroken(values)
    kept = _kept(values[:until])
    return {
        "steps": [int(step) for step in steps[kept]],
        "values": rounded(values[kept]),
        "stops": None if until == len(values) else int(steps[until]),
    }


def _kept(values: np.ndarray) -> list[int]:
    """Which values a line keeps: all, or the lowest and the highest of each window and the ends."""
    if len(values) <= 2 * WINDOWS:
        return list(range(len(values)))
    edges = np.linspace(0, len(values), WINDOWS + 1).astype(int)
    found = {0, len(values) - 1}
    for a, b in zip(edges, edges[1:]):
        found |= {a + int(values[a:b].argmin()), a + int(values[a:b].argmax())}
    return sorted(found)
