"""The range-test explorer: what the test saw, the reader's own choice, and what a real run made of it."""

import numpy as np
import traitlets

from gdlib import _check
from gdlib.choosing import RangeTest, Sweep
from gdlib.widgets._base import Drawing, Explorer, choice_slider, clamp, module, settle
from gdlib.widgets._table import as_sweep, finals, pack, thin

POINTS = 60  # of a real run's curve


class RangeTestDrawing(Drawing):
    """Loss against learning rate with a choice that can be dragged, and the real run nearest to it."""

    _esm = module("range_test")
    seen = traitlets.Bytes().tag(sync=True)
    suggestion = traitlets.Float(None, allow_none=True).tag(sync=True)
    table = traitlets.Bytes().tag(sync=True)
    scale = traitlets.List(traitlets.Float()).tag(sync=True)
    lrs = traitlets.List(traitlets.Float()).tag(sync=True)
    batch_size = traitlets.Int().tag(sync=True)
    seeds = traitlets.Int().tag(sync=True)
    ends = traitlets.List(traitlets.Float()).tag(sync=True)
    finals = traitlets.List().tag(sync=True)
    raster = traitlets.List(traitlets.Float()).tag(sync=True)
    setting = traitlets.Dict().tag(sync=True)
    best = traitlets.Float(None, allow_none=True).tag(sync=True)
    lr_index = traitlets.Int().tag(sync=True)


class RangeTestExplorer(Explorer):
    """A range test in the reader's hands: drag the choice along the curve, and compare it with the suggestion.

    With ``runs`` the loss of the real run at the nearest rate stands beside it, so that one sees whether the suggestion was
    a good one. The choice is one of the rates tried, or that of the start; any other becomes the nearest, and one outside what
    was tested is clamped, with a warning.

    Args:
        found: what `gdlib.range_test` returned.
        lr: the choice at the start; ``None`` takes the suggestion or, where there is none, the middle of the rates tried.
        runs: real runs by learning rate, of one batch size, as `gdlib.sweep` returned them; ``None`` leaves them out.

    Attributes:
        lr: trait, to read, set and observe; it follows the slider.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> import numpy as np
        >>> lrs, losses = np.array([0.01, 0.1, 1.0]), np.array([2.0, 1.0, 1.5])
        >>> RangeTestExplorer(RangeTest(lrs, losses, losses, suggestion=0.1, reason="the steepest fall"))
        RangeTestExplorer(lr=0.1)
    """

    lr = traitlets.Any()
    _shown = ("lr",)

    def __init__(self, found: RangeTest, lr: float | None = None, runs: Sweep | None = None):
        if not isinstance(found, RangeTest):
            raise TypeError(f"found must be what gdlib.range_test returned; got {type(found).__name__}")
        if len(found.lrs) < 2:
            raise ValueError(f"found must hold at least two rates; got {found.lrs.tolist()}")
        tried = found.lrs.tolist()
        start = tried[len(tried) // 2] if found.suggestion is None else found.suggestion
        if lr is not None:
            start = clamp("lr", _check.positive("lr", lr), tried[0], tried[-1])
        self._rates = sorted({*tried, start})
        setting = {"lr_index": self._rates.index(start)}
        drawing = RangeTestDrawing(
            seen=np.stack([found.lrs, found.losses, found.smoothed]).astype("<f8").tobytes(),
            suggestion=found.suggestion,
            raster=self._rates,
            setting=setting,
            **({"best": found.suggestion} if runs is None else _runs(runs)),
            **setting,
        )
        super().__init__(drawing, {"lr_index": choice_slider("learning rate", self._rates, start)}, ())
        self._look_up("lr", "lr_index", self._rates)

    @traitlets.validate("lr")
    def _lr(self, proposal: dict) -> float:
        return settle("lr", _check.positive("lr", proposal["value"]), self._rates)


def _runs(runs: Sweep) -> dict:
    """The real runs as the drawing takes them."""
    as_sweep("runs", runs, sizes=1)
    order = np.argsort(runs.lr)
    runs = Sweep(runs.lr[order], runs.batch_size, runs.seeds, runs.losses[order])
    ends, means = thin(runs.losses, POINTS, log=False)
    table, scale = pack([means])
    return {
        "table": table,
        "scale": scale,
        "lrs": runs.lr.tolist(),
        "batch_size": int(runs.batch_size[0]),
        "seeds": len(runs.seeds),
        "ends": ends,
        "finals": [row[0] for row in finals(runs)],
        "best": runs.best()[0] if np.isfinite(runs.final().mean(-1)).any() else None,
    }
