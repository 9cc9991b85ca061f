"""The schedule workshop: choose a schedule, tune it, and see what real training made of the nearest one."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import traitlets

from gdlib import _check, schedules
from gdlib.choosing import Sweep
from gdlib.schedules import Schedule
from gdlib.widgets._base import Drawing, Explorer, choice_slider, module, settle
from gdlib.widgets._table import as_sweep, finals, pack, thin

POINTS = 40  # of a curve: 9 x 3 x 2 settings of 7 rates and 3 seeds stay below 200 kB
REACH = {"shape": 0.15, "warmup": 0.05}  # a run further away than this from the setting is not shown for it
SHAPE = (0.0, 1.0)
WARMUP = (0.0, 0.5)


def _end(shape: float) -> float:
    """What is left of the peak at the end: 1, 1/10, 1/100, ... for a shape of 0, 0.25, 0.5, ..."""
    return 10.0 ** (-4.0 * shape)


def _whole(value: float) -> int:
    """The nearest whole number; halves are rounded up, as JavaScript does."""
    return math.floor(value + 0.5)


STRATEGIES: dict[str, Callable[[float, int, float], Schedule]] = {
    "constant": lambda lr, steps, shape: schedules.constant(lr),
    "step": lambda lr, steps, shape: schedules.step_decay(
        lr, every=math.ceil(steps / 4), factor=_end(shape) ** (1 / 3)
    ),
    "exponential": lambda lr, steps, shape: schedules.exponential(lr, decay=_end(shape), every=steps),
    "time": lambda lr, steps, shape: schedules.time_based(lr, decay=(1.0 / _end(shape) - 1.0) / steps),
    "linear": lambda lr, steps, shape: schedules.polynomial(lr, steps, final=lr * _end(shape)),
    "cosine": lambda lr, steps, shape: schedules.cosine(lr, steps, final=lr * _end(shape)),
    "restarts": lambda lr, steps, shape: schedules.cosine_restarts(lr, math.ceil(steps / (2 + _whole(4.0 * shape)))),
    "one_cycle": lambda lr, steps, shape: schedules.one_cycle(lr, steps, rise=0.1 + 0.8 * shape),
    "wsd": lambda lr, steps, shape: schedules.warmup_stable_decay(lr, steps, warmup=0, decay=_whole(shape * steps)),
}
"""From a peak rate, a number of steps and a shape in [0, 1] to a schedule. What the shape means depends on the strategy:

- ``constant``: nothing.
- ``step`` (three falls, at each quarter), ``exponential``, ``time``, ``linear``, ``cosine``: how far the rate falls by the
  end, to ``10 ** (-4 * shape)`` of its peak.
- ``restarts``: 1 to 5 restarts of a cosine that falls to 0.
- ``one_cycle``: the share of the steps in which the rate rises, from 0.1 to 0.9; 0.25 gives torch's 0.3.
- ``wsd`` (warmup, stable, decay): the share of the steps in which it falls, to 0; the warm-up is that of `schedule_of`.
"""


def schedule_of(strategy: str, lr: float, steps: int, shape: float = 0.5, warmup: float = 0.0) -> Schedule:
    """The schedule that the workshop draws.

    Args:
        strategy: a name in `STRATEGIES`.
        lr: the peak.
        steps: of the run, at least 2.
        shape: in [0, 1]; what it means depends on the strategy.
        warmup: share of the steps in which the rate is held back, in [0, 0.5].

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> rate = schedule_of("linear", 1.0, steps=100, shape=0.25, warmup=0.1)
        >>> [round(rate(step), 3) for step in (0, 10, 50, 100)]
        [0.0, 0.91, 0.55, 0.1]
    """
    _check.one_of("strategy", strategy, STRATEGIES)
    lr, steps = _check.positive("lr", lr), _check.whole("steps", steps, low=2)
    rate = STRATEGIES[strategy](lr, steps, _check.number("shape", shape, *SHAPE))
    warm = _whole(_check.number("warmup", warmup, *WARMUP) * steps)
    return schedules.warmup(rate, warm) if warm else rate


class ScheduleDrawing(Drawing):
    """A schedule, computed in the page, over the losses of the nearest run in a table."""

    _esm = module("schedule")
    table = traitlets.Bytes().tag(sync=True)
    scale = traitlets.List(traitlets.Float()).tag(sync=True)
    known = traitlets.List().tag(sync=True)
    reach = traitlets.Dict().tag(sync=True)
    lrs = traitlets.List(traitlets.Float()).tag(sync=True)
    seeds = traitlets.Int().tag(sync=True)
    steps = traitlets.Int().tag(sync=True)
    ends = traitlets.List(traitlets.Float()).tag(sync=True)
    finals = traitlets.List().tag(sync=True)
    setting = traitlets.Dict().tag(sync=True)
    best = traitlets.List().tag(sync=True)
    strategy = traitlets.Unicode().tag(sync=True)
    rasters = traitlets.Dict().tag(sync=True)
    lr_index = traitlets.Int().tag(sync=True)
    shape_index = traitlets.Int().tag(sync=True)
    warmup_index = traitlets.Int().tag(sync=True)


class ScheduleWorkshop(Explorer):
    """Choose a strategy, tune it, and see the learning rate over the steps and the loss that real training had with it.

    The page computes the schedule itself, with the results of `gdlib.schedules`. Below it stands the loss of the nearest
    run in the table: mean over the seeds, and the range between the lowest and the highest. Where no run is near, none is
    drawn. A number becomes the nearest on its slider, on which those of the table and of the start are; one outside the
    slider's range is clamped, with a warning.

    Args:
        runs: from (strategy, shape, warmup) to what `gdlib.sweep` returned with the schedule `schedule_of` of those; each
            of one batch size, all of the same learning rates (at least two), seeds and steps.
        strategy: a name in `STRATEGIES`; ``None`` takes the first of ``runs``.
        lr: the peak; ``None`` takes the middle one of the table's.
        shape: in [0, 1], the meaning of which depends on the strategy; ``None`` takes the first of the strategy's runs.
        warmup: share of the steps, from 0 to the largest of ``runs`` or 0.2; ``None`` takes that of the same run.

    Attributes:
        strategy, lr, shape, warmup: traits, to read, set and observe; they follow the sliders.
        schedule: the schedule that is drawn, to train with.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> import numpy as np
        >>> losses = np.linspace(2, 1, 40, dtype=np.float32) * np.ones((2, 1, 1, 1), np.float32)
        >>> runs = {("cosine", 0.5, 0.0): Sweep(np.array([0.1, 1.0]), np.array([32]), np.array([0]), losses)}
        >>> ScheduleWorkshop(runs, strategy="cosine", lr=0.1, shape=0.5)
        ScheduleWorkshop(strategy='cosine', lr=0.1, shape=0.5, warmup=0.0)
    """

    strategy = traitlets.Any()
    lr = traitlets.Any()
    shape = traitlets.Any()
    warmup = traitlets.Any()
    _shown = ("strategy", "lr", "shape", "warmup")

    def __init__(
        self,
        runs: Mapping[tuple[str, float, float], Sweep],
        strategy: str | None = None,
        lr: float | None = None,
        shape: float | None = None,
        warmup: float | None = None,
    ):
        known, sweeps = _as_runs(runs)
        lrs, self._steps = sorted(sweeps[0].lr.tolist()), sweeps[0].losses.shape[-1]
        strategy = known[0][0] if strategy is None else _check.one_of("strategy", strategy, STRATEGIES)
        _, near_shape, near_warmup = next((key for key in known if key[0] == strategy), known[0])
        start = {
            "lr": lrs[len(lrs) // 2] if lr is None else _check.positive("lr", lr),
            "shape": near_shape if shape is None else _check.number("shape", shape),
            "warmup": near_warmup if warmup is None else _check.number("warmup", warmup),
        }
        longest = max(0.2, *(warm for *_, warm in known))
        self._rasters = {
            "lr": _raster(
                [lrs[0] * (lrs[-1] / lrs[0]) ** (k / 40) for k in range(1, 40)], [*lrs, start["lr"]], lrs[0], lrs[-1]
            ),
            "shape": _raster([k / 20 for k in range(21)], [*(s for _, s, _ in known), start["shape"]], *SHAPE),
            "warmup": _raster([k / 100 for k in range(51)], [*(w for *_, w in known), start["warmup"]], 0.0, longest),
        }
        start = {name: self._settle(name, value) for name, value in start.items()}
        indices = {f"{name}_index": self._rasters[name].index(value) for name, value in start.items()}
        setting = {"strategy": strategy, **indices}
        order = np.argsort(sweeps[0].lr)
        thinned = [thin(sweep.losses[order, 0], POINTS, log=False) for sweep in sweeps]
        table, scale = pack(means for _, means in thinned)
        lowest = np.array([sweep.final()[order, 0].mean(-1) for sweep in sweeps])
        best = np.unravel_index(lowest.argmin(), lowest.shape) if np.isfinite(lowest).any() else ()
        drawing = ScheduleDrawing(
            table=table,
            scale=scale,
            known=[list(key) for key in known],
            reach=REACH,
            lrs=lrs,
            seeds=len(sweeps[0].seeds),
            steps=self._steps,
            ends=thinned[0][0],
            finals=[[finals(sweep)[i][0] for i in order] for sweep in sweeps],
            rasters=self._rasters,
            setting=setting,
            best=[int(i) for i in best],
            **setting,
        )
        names = {"lr": "peak rate", "shape": "shape", "warmup": "warm-up share"}
        sliders = {f"{key}_index": choice_slider(names[key], self._rasters[key], start[key]) for key in names}
        super().__init__(drawing, sliders, ("strategy",))
        for key in names:
            self._look_up(key, f"{key}_index", self._rasters[key])

    @property
    def schedule(self) -> Schedule:
        """The schedule that is drawn."""
        return schedule_of(self.strategy, self.lr, self._steps, self.shape, self.warmup)

    def _settle(self, name: str, value: float) -> float:
        checked = _check.positive(name, value) if name == "lr" else _check.number(name, value)
        return settle(name, checked, self._rasters[name])

    @traitlets.validate("strategy")
    def _strategy(self, proposal: dict) -> str:
        return _check.one_of("strategy", proposal["value"], STRATEGIES)

    @traitlets.validate("lr", "shape", "warmup")
    def _number(self, proposal: dict) -> float:
        return self._settle(proposal["trait"].name, proposal["value"])


def _raster(between: list[float], wanted: list[float], low: float, high: float) -> list[float]:
    """A slider's values from ``low`` to ``high``: what is wanted exactly, and in the gaps what lies between."""
    exact = {v for v in (low, high, *wanted) if low <= v <= high}
    rounded = {float(f"{v:.3g}") for v in between if low < v < high}
    return sorted(exact | {v for v in rounded if not any(math.isclose(v, e, rel_tol=0.01) for e in exact)})


def _as_runs(runs: Mapping[tuple[str, float, float], Sweep]) -> tuple[list[tuple[str, float, float]], list[Sweep]]:
    """The keys and the sweeps of a table, which must belong together."""
    if not isinstance(runs, Mapping):
        raise TypeError(f"runs must map (strategy, shape, warmup) to sweeps; got {type(runs).__name__}")
    if not runs:
        raise ValueError("runs must hold at least one sweep; got none")
    known, sweeps = [], [as_sweep("runs", sweep, sizes=1) for sweep in runs.values()]
    for key in runs:
        if not isinstance(key, tuple) or len(key) != 3:
            raise ValueError(f"runs must have keys (strategy, shape, warmup); got {key!r}")
        _check.one_of("strategy", key[0], STRATEGIES)
        known.append((key[0], _check.number("shape", key[1], *SHAPE), _check.number("warmup", key[2], *WARMUP)))
    first = sweeps[0]
    for key, sweep in zip(known, sweeps):
        same = np.array_equal(sweep.lr, first.lr) and np.array_equal(sweep.seeds, first.seeds)
        if not same or sweep.losses.shape != first.losses.shape:
            raise ValueError(f"runs must all have the same lr, seeds and steps; {key} and {known[0]} do not")
    if len(first.lr) < 2:
        raise ValueError(f"runs must have at least two learning rates; got {first.lr.tolist()}")
    return known, sweeps
