"""The phase diagram: what became of every learning rate with every batch size."""

from collections.abc import Mapping

import numpy as np
import traitlets

from gdlib import _check
from gdlib.choosing import Sweep
from gdlib.widgets._base import module
from gdlib.widgets._grid import GridDrawing, GridExplorer, lr_place, size_place
from gdlib.widgets._table import as_sweep, pack, summary, thin

POINTS = 50  # of a curve: 2 optimisers x 10 x 10 x 3 runs stay below 90 kB


class PhaseDrawing(GridDrawing):
    """A map of final losses, and the curve behind each; drawn in the page."""

    _esm = module("phase")
    table = traitlets.Bytes().tag(sync=True)
    scale = traitlets.List(traitlets.Float()).tag(sync=True)
    grids = traitlets.Dict().tag(sync=True)
    samples = traitlets.Int().tag(sync=True)
    setting = traitlets.Dict().tag(sync=True)
    optimizer = traitlets.Unicode().tag(sync=True)
    compare = traitlets.Unicode().tag(sync=True)


class PhaseDiagram(GridExplorer):
    """The final loss of real runs, learning rate by batch size, as a map; choosing a cell shows its loss curve.

    The best rate of each batch size is a ridge, over which the linear and the square-root rule are drawn through a base
    point, and a vertical line at the critical batch size. The colours compare runs after equal steps or equal samples. A
    cell in which a seed diverged is crossed out; one that was not run, or not for long enough, is empty.

    Args:
        runs: from the name of an optimiser to what `gdlib.sweep` returned; each may have rates and batch sizes of its own.
        optimizer: one of the names; ``None`` takes the first.
        lr, batch_size: the cell chosen at the start; ``None`` takes the best of the optimiser's.
        compare: ``"steps"`` or ``"samples"``.
        base_lr: the rate through which both rules go, for all or by optimiser; ``None`` takes the best at the base batch.
        base_batch_size: ``None`` takes the smallest of the optimiser's.
        critical: by optimiser, the critical batch size; an optimiser that is not in it has no line.
        samples: after so many samples ``compare="samples"`` compares; ``None`` takes those that the smallest batch sees.

    Attributes:
        optimizer, lr, batch_size, compare: traits, to read, set and observe; they follow the sliders. A rate or a batch
            size that no optimiser ran becomes the nearest that one did, with a warning.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> import numpy as np
        >>> losses = np.linspace(2, 1, 40, dtype=np.float32) * np.ones((2, 2, 1, 1), np.float32)
        >>> PhaseDiagram({"SGD": Sweep(np.array([0.1, 1.0]), np.array([8, 32]), np.array([0]), losses)}, lr=0.1, batch_size=8)
        PhaseDiagram(optimizer='SGD', lr=0.1, batch_size=8, compare='steps')
    """

    optimizer = traitlets.Any()
    compare = traitlets.Any()
    _shown = ("optimizer", "lr", "batch_size", "compare")

    def __init__(
        self,
        runs: Mapping[str, Sweep],
        optimizer: str | None = None,
        lr: float | None = None,
        batch_size: int | None = None,
        compare: str = "steps",
        base_lr: float | Mapping[str, float] | None = None,
        base_batch_size: int | None = None,
        critical: Mapping[str, float] | None = None,
        samples: int | None = None,
    ):
        if not isinstance(runs, Mapping):
            raise TypeError(f"runs must map the names of optimisers to sweeps; got {type(runs).__name__}")
        self._names = list(runs)
        if not self._names:
            raise ValueError("runs must hold at least one sweep; got none")
        if not all(isinstance(name, str) for name in self._names):
            raise TypeError(f"runs must have the names of optimisers as keys; got {self._names!r}")
        sweeps = {name: _sorted(as_sweep("runs", sweep)) for name, sweep in runs.items()}
        lrs = sorted({rate for sweep in sweeps.values() for rate in sweep.lr.tolist()})
        sizes = sorted({size for sweep in sweeps.values() for size in sweep.batch_size.tolist()})
        if len(lrs) < 2 or len(sizes) < 2:
            raise ValueError(f"runs must have two learning rates and batch sizes or more; got {lrs}, {sizes}")
        if samples is None:
            samples = min(sweep.losses.shape[-1] * int(sweep.batch_size.min()) for sweep in sweeps.values())
        samples = _check.whole("samples", samples)
        bases, limits = _by_name("base_lr", base_lr, self._names), _by_name("critical", critical, self._names)
        base_size = None if base_batch_size is None else _check.whole("base_batch_size", base_batch_size)

        chosen = self._names[0] if optimizer is None else _check.one_of("optimizer", optimizer, self._names)
        best = sweeps[chosen].best()
        setting = {
            "optimizer": chosen,
            "lr_index": lr_place(best[0] if lr is None else lr, lrs),
            "batch_index": size_place(best[1] if batch_size is None else batch_size, sizes),
            "compare": _check.one_of("compare", compare, ("steps", "samples")),
        }
        grids, curves, first = {}, [], 0
        for name, sweep in sweeps.items():
            ends, means = thin(sweep.losses, POINTS, log=False)
            curves.append(means)
            size = int(sweep.batch_size.min()) if base_size is None else base_size
            grids[name] = {
                "lrs": sweep.lr.tolist(),
                "sizes": sweep.batch_size.tolist(),
                "seeds": len(sweep.seeds),
                "ends": ends,
                "first": first,
                "start": _start(sweep),
                "steps": _outcomes(sweep, [sweep.losses.shape[-1]] * len(sweep.batch_size)),
                "samples": _outcomes(sweep, (samples // sweep.batch_size).tolist()),
                "base": [size, bases.get(name) or _best_near(sweep, size)],
                "critical": limits.get(name),
            }
            first += means.size
        table, scale = pack(curves)
        drawing = PhaseDrawing(
            table=table, scale=scale, grids=grids, lrs=lrs, batch_sizes=sizes, samples=samples,
            setting=setting, **setting,
        )  # fmt: skip
        super().__init__(drawing, ("optimizer", "compare"))

    @traitlets.validate("optimizer")
    def _optimizer(self, proposal: dict) -> str:
        return _check.one_of("optimizer", proposal["value"], self._names)

    @traitlets.validate("compare")
    def _compared(self, proposal: dict) -> str:
        return _check.one_of("compare", proposal["value"], ("steps", "samples"))


def _sorted(runs: Sweep) -> Sweep:
    rows, columns = np.argsort(runs.lr), np.argsort(runs.batch_size)
    return Sweep(runs.lr[rows], runs.batch_size[columns], runs.seeds, runs.losses[rows][:, columns])


def _by_name(name: str, value: float | Mapping[str, float] | None, names: list[str]) -> dict[str, float]:
    """A positive number for each name that has one."""
    if value is None:
        return {}
    given = value if isinstance(value, Mapping) else dict.fromkeys(names, value)
    return {_check.one_of(name, key, names): _check.positive(name, number) for key, number in given.items()}


def _start(runs: Sweep) -> float:
    """The loss before training: where the colours end."""
    first = runs.losses[..., 0]
    return float(f"{first[np.isfinite(first)].mean():.6g}")


def _outcomes(runs: Sweep, steps: list[int]) -> list[list[list[float] | None]]:
    """For each rate and batch size, the final loss had the run ended after so many steps: mean, lowest and highest.

    The number of seeds that had diverged by then, alone in a list, where any had; ``None`` where the run is too short.
    """
    found = [[None] * len(runs.batch_size) for _ in runs.lr]
    for j, count in enumerate(steps):
        if 1 <= count <= runs.losses.shape[-1]:
            final = Sweep(runs.lr, runs.batch_size, runs.seeds, runs.losses[..., :count]).final()[:, j]
            for i, losses in enumerate(final):
                found[i][j] = summary(losses) or [int((~np.isfinite(losses)).sum())]
    return found


def _best_near(runs: Sweep, batch_size: int) -> float:
    """The best rate at the batch size nearest to the one given."""
    return runs.best(int(runs.batch_size[np.abs(np.log(runs.batch_size / batch_size)).argmin()]))[0]
