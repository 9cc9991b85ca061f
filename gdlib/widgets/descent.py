"""The descent explorer: gradient descent on a two-parameter loss."""

from collections.abc import Sequence
from functools import cache

import ipywidgets
import traitlets

from gdlib import _check, data, problems
from gdlib.widgets._base import Drawing, Explorer, clamp, log_slider, module, slider

LR = (1e-4, 10**0.5)
MOMENTUM = (0.0, 0.98)
STEPS = (1, 1000)


@cache
def landscapes() -> dict[str, dict]:
    """The problems of the explorer, as `gdlib.problems` has them: what to draw, and the numbers that define each."""
    train = data.diabetes().train
    bowl, fit, valley = (
        problems.Quadratic((1.0, 10.0)),
        problems.LeastSquares(train.inputs[:, 4:6], train.targets),  # total cholesterol and LDL: r = 0.9
        problems.Rosenbrock(),
    )
    n = len(fit.y)
    given = {
        "quadratic": (
            bowl,
            "quadratic bowl",
            (-2.0, 2.0, -1.6, 1.6),
            (1.6, 1.0),
            {"curvatures": bowl.curvatures.tolist()},
        ),
        "least_squares": (
            fit,
            "least squares",
            (-2.5, 2.5, -2.0, 2.0),
            (-1.5, -1.0),
            {
                "A": (fit.x.T @ fit.x / n).tolist(),
                "b": (fit.x.T @ fit.y / n).tolist(),
                "c": (fit.y @ fit.y / n).item(),
            },
        ),
        "rosenbrock": (valley, "Rosenbrock valley", (-2.0, 2.0, -1.0, 3.0), (-1.2, 1.0), {}),
    }
    return {
        key: {
            "name": name,
            "extent": extent,
            "start": start,
            "axes": ["w₁", "w₂"],
            "minimum": problem.minimum.tolist(),
            "lowest": problem.loss(problem.minimum).item(),
            "limit": problem.max_stable_lr,
            **numbers,
        }
        for key, (problem, name, extent, start, numbers) in given.items()
    }


class DescentDrawing(Drawing):
    """Level lines with the path over them, and the loss along it; computed in the page."""

    _esm = module("descent")
    problems = traitlets.Dict().tag(sync=True)
    setting = traitlets.Dict().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)
    start = traitlets.List(traitlets.Float()).tag(sync=True)
    lr = traitlets.Float().tag(sync=True)
    momentum = traitlets.Float().tag(sync=True)
    steps = traitlets.Int().tag(sync=True)


class DescentExplorer(Explorer):
    """Gradient descent in the reader's hands: choose a loss, drag the starting point, move learning rate and momentum.

    The page computes the path itself, with the arithmetic of `gdlib.descent.descend` and its results to 1e-9. A value
    outside a slider's range is clamped, with a warning.

    Args:
        problem: ``"quadratic"`` (curvatures 1 and 10), ``"least_squares"`` (progression of diabetes from two
            cholesterol values, in standard units) or ``"rosenbrock"``.
        start: where the path begins, two numbers within the picture; ``None`` takes the problem's own.
        lr: learning rate, in [1e-4, 3.16].
        momentum: in [0, 0.98].
        steps: in [1, 1000].

    Attributes:
        problem, start, lr, momentum, steps: traits, to read, set and observe; they follow the sliders.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> explorer = DescentExplorer(lr=0.15)
        >>> explorer.lr = 0.21
        >>> explorer
        DescentExplorer(problem='quadratic', lr=0.21, momentum=0.0, steps=50)
    """

    problem = traitlets.Any()
    start = traitlets.Any()
    lr = traitlets.Any()
    momentum = traitlets.Any()
    steps = traitlets.Any()
    _shown = ("problem", "lr", "momentum", "steps")

    def __init__(
        self,
        problem: str = "quadratic",
        start: Sequence[float] | None = None,
        lr: float = 0.1,
        momentum: float = 0.0,
        steps: int = 50,
    ):
        _check.one_of("problem", problem, landscapes())
        setting = {
            "problem": problem,
            "start": _as_start(landscapes()[problem]["start"] if start is None else start, problem),
            "lr": clamp("lr", _check.positive("lr", lr), *LR),
            "momentum": clamp("momentum", _check.number("momentum", momentum, low=0.0), *MOMENTUM),
            "steps": int(clamp("steps", _check.whole("steps", steps), *STEPS)),
        }
        drawing = DescentDrawing(problems=landscapes(), setting=setting, **setting)
        sliders = {
            "lr": log_slider("learning rate", setting["lr"], *LR, step=0.05, readout_format=".4g"),
            "momentum": slider(
                ipywidgets.FloatSlider, description="momentum", value=setting["momentum"], min=0, max=0.98, step=0.02
            ),
            "steps": slider(ipywidgets.IntSlider, description="steps", value=setting["steps"], min=1, max=1000),
        }  # fmt: skip
        super().__init__(drawing, sliders, ("problem", "start", "lr", "momentum", "steps"))

    @traitlets.validate("problem")
    def _problem(self, proposal: dict) -> str:
        return _check.one_of("problem", proposal["value"], landscapes())

    @traitlets.validate("start")
    def _start(self, proposal: dict) -> list[float]:
        return _as_start(proposal["value"], self.problem)

    @traitlets.validate("lr")
    def _lr(self, proposal: dict) -> float:
        return clamp("lr", _check.positive("lr", proposal["value"]), *LR)

    @traitlets.validate("momentum")
    def _momentum(self, proposal: dict) -> float:
        return clamp("momentum", _check.number("momentum", proposal["value"], low=0.0), *MOMENTUM)

    @traitlets.validate("steps")
    def _steps(self, proposal: dict) -> int:
        return int(clamp("steps", _check.whole("steps", proposal["value"]), *STEPS))


def _as_start(start: Sequence[float], problem: str) -> list[float]:
    """``start`` as two numbers within the problem's picture; with a warning where one had to be moved there."""
    left, right, bottom, top = landscapes()[problem]["extent"]
    point = problems.as_point([_check.number("start", v) for v in start], 2, "start").tolist()
    return [clamp("start", v, *ends) for v, ends in zip(point, ((left, right), (bottom, top)))]
