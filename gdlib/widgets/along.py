"""What the explorers of snapshots share: the loss curve of a run as a slider over what was seen along it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from gdlib import _check
from gdlib.widgets._base import Drawing, Explorer, settle, slider
from gdlib.widgets._table import thin

POINTS = 120  # of a curve
LIMIT = 300_000  # characters that a widget may add to a page


@dataclass(frozen=True, eq=False, repr=False)
class Snapshots:
    """What a run leaves behind for an explorer: the loss of every step, and what was seen at some of them.

    Args:
        losses: of shape (T,), the training loss of every step; not finite from some step on if the run diverged.
        steps: of shape (k,), rising: how many steps were done when each snapshot was taken, 0 before training.
        outputs: a snapshot for each of ``steps``; what it is, the explorer says.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> run = Snapshots(losses=[2.0, 1.0, 0.5], steps=[0, 3], outputs=["xqz", "def"])
        >>> list(run.outputs)
        ['xqz', 'def']
    """

    losses: Any
    steps: Any
    outputs: Any

    def __post_init__(self):
        losses, steps = column("losses", self.losses), as_array("steps", self.steps)
        if steps.ndim != 1 or not steps.size:
            raise ValueError(f"steps must be a row of whole numbers; got the shape {steps.shape}")
        steps = [_check.whole("steps", step, low=0) for step in steps.tolist()]
        if any(b <= a for a, b in zip(steps, steps[1:])):
            raise ValueError(f"steps must rise; got {steps}")
        if steps[-1] > len(losses):
            raise ValueError(f"steps must be at most the {len(losses)} that losses has; got {steps[-1]}")
        if not hasattr(self.outputs, "__len__") or isinstance(self.outputs, str):
            raise TypeError(f"outputs must hold a snapshot for each of steps; got {type(self.outputs).__name__}")
        if len(self.outputs) != len(steps):
            raise ValueError(f"outputs must hold {len(steps)} snapshots, as steps does; got {len(self.outputs)}")
        object.__setattr__(self, "losses", losses)
        object.__setattr__(self, "steps", steps)

    def __repr__(self) -> str:
        return f"Snapshots({len(self.losses)} losses, {len(self.steps)} snapshots)"


class AlongDrawing(Drawing):
    """Loss curves, one of which is a slider. What stands below it is for the heirs to draw."""

    curves = traitlets.List().tag(sync=True)
    steps = traitlets.List(traitlets.Int()).tag(sync=True)
    log = traitlets.Bool().tag(sync=True)
    setting = traitlets.Dict().tag(sync=True)
    best = traitlets.Dict().tag(sync=True)
    run = traitlets.Unicode().tag(sync=True)
    step_index = traitlets.Int().tag(sync=True)


class Along(Explorer):
    """A slider over the snapshots of some runs. ``score`` tells which is best: the highest, then that of the lowest loss."""

    run = traitlets.Any()
    step = traitlets.Any()
    _shown = ("run", "step")
    _drawing: type[AlongDrawing]

    def __init__(
        self, runs: Mapping[str, Snapshots], run: str | None, step: int | None, scores: list[list[float]], **more: Any
    ):
        self._names, self._steps = list(runs), sorted({step for taken in runs.values() for step in taken.steps})
        if len(self._steps) < 2:
            raise ValueError(f"runs must have snapshots at two steps or more; got {self._steps}")
        run = self._names[0] if run is None else _check.one_of("run", run, self._names)
        step = self._settle(runs[run].steps[-1] if step is None else step)
        moved = [step for step in self._steps if step]
        log = moved[len(moved) // 2] < 0.3 * moved[-1]
        curves = [{"name": name, **_curve(taken, log)} for name, taken in runs.items()]
        found = [
            (-score, loss_at(curve, step), i, step)
            for i, (curve, row) in enumerate(zip(curves, scores))
            for step, score in zip(curve["steps"], row)
        ]
        _, _, i, at = min(found)
        setting = {"run": run, "step_index": self._steps.index(step)}
        drawing = self._drawing(
            curves=curves, steps=self._steps, log=log, setting=setting,
            best={"run": self._names[i], "step_index": self._steps.index(at)}, **setting, **more,
        )  # fmt: skip
        light("runs", drawing)
        steps = slider(
            ipywidgets.SelectionSlider, description="step", options=[str(s) for s in self._steps], index=self._steps.index(step)
        )  # fmt: skip
        super().__init__(drawing, {"step_index": steps}, ("run",))
        self._look_up("step", "step_index", self._steps)

    def _settle(self, step: int) -> int:
        return settle("step", _check.whole("step", step, low=0), self._steps)

    @traitlets.validate("run")
    def _run(self, proposal: dict) -> str:
        return _check.one_of("run", proposal["value"], self._names)

    @traitlets.validate("step")
    def _step(self, proposal: dict) -> int:
        return self._settle(proposal["value"])


def as_runs(runs: Mapping[str, Snapshots]) -> dict[str, Snapshots]:
    """``runs``, which must map names to snapshots."""
    if not isinstance(runs, Mapping):
        raise TypeError(f"runs must map names to widgets.Snapshots; got {type(runs).__name__}")
    if not runs:
        raise ValueError("runs must hold at least one run; got none")
    for name, taken in runs.items():
        if not isinstance(name, str):
            raise TypeError(f"runs must have names as keys; got {name!r}")
        if not isinstance(taken, Snapshots):
            raise TypeError(f"runs must map names to widgets.Snapshots; {name!r} is {type(taken).__name__}")
    return dict(runs)


def as_array(name: str, value: Any) -> np.ndarray:
    """``value`` as an array of numbers: from lists, arrays and tensors."""
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except ValueError:  # rows of unequal length
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be an array of numbers; got {type(value).__name__}")
    return array


def column(name: str, value: Any) -> np.ndarray:
    """``value`` as a row of floats that is not empty."""
    array = as_array(name, value)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} must be a row of numbers, one a step; got the shape {array.shape}")
    return array.astype(float)


def unbroken(values: np.ndarray) -> int:
    """How many values there are before the first that is not finite."""
    finite = np.isfinite(values)
    return len(values) if finite.all() else int(finite.argmin())


def rounded(values: Sequence[float], digits: int = 4) -> list[float]:
    """To so many significant digits: what a picture can show, and short as text."""
    return [float(f"{value:.{digits}g}") for value in values]


def light(name: str, drawing: Drawing) -> None:
    """Refuse a drawing that would add more than 300 kB to a page."""
    state = drawing.get_state()
    size = sum(
        4 * len(value) // 3 if isinstance(value, bytes) else len(json.dumps(value))
        for key, value in state.items()
        if key not in ("layout", "comm")
    )
    if size > LIMIT - 2000:  # what a page needs besides
        raise ValueError(f"{name} must fit in {LIMIT // 1000} kB; got {size // 1000} kB: leave something out")


def loss_at(curve: dict, step: int) -> float:
    """The loss that the picture shows for a step: of the window it is in, or the last one known."""
    known = [loss for at, loss in zip(curve["at"], curve["losses"]) if at >= step] or curve["losses"][-1:]
    return known[0] if known else float("inf")


def _curve(taken: Snapshots, log: bool) -> dict:
    """A run's losses, thinned, up to where it diverged, and the steps of its snapshots."""
    until = unbroken(taken.losses)
    ends, means = thin(taken.losses[:until], POINTS, log) if until else ([], np.empty(0))
    return {
        "at": [int(end) - 1 for end in ends],  # losses[i] is known after i steps
        "losses": rounded(means, 5),
        "steps": taken.steps,
        "diverged": None if until == len(taken.losses) else until,
    }
