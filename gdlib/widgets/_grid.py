"""What the explorers of a grid of runs share: a learning rate and a batch size that are among those of the runs."""

import ipywidgets
import traitlets

from gdlib import _check
from gdlib.widgets._base import Drawing, Explorer, choice_slider, slider
from gdlib.widgets._table import nearest


class GridDrawing(Drawing):
    """A drawing of which the page chooses a learning rate and a batch size by their places."""

    lrs = traitlets.List(traitlets.Float()).tag(sync=True)
    batch_sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    lr_index = traitlets.Int().tag(sync=True)
    batch_index = traitlets.Int().tag(sync=True)


class GridExplorer(Explorer):
    """Two sliders over the rates and batch sizes that were run. A value that was not becomes the nearest, with a warning."""

    lr = traitlets.Any()
    batch_size = traitlets.Any()

    def __init__(self, drawing: GridDrawing, names: tuple[str, ...]):
        self._lrs, self._sizes = list(drawing.lrs), list(drawing.batch_sizes)
        sizes = {"options": [str(size) for size in self._sizes], "index": drawing.batch_index}
        sliders = {
            "lr_index": choice_slider("learning rate", self._lrs, self._lrs[drawing.lr_index]),
            "batch_index": slider(ipywidgets.SelectionSlider, description="batch size", **sizes),
        }
        super().__init__(drawing, sliders, names)
        self._look_up("lr", "lr_index", self._lrs)
        self._look_up("batch_size", "batch_index", self._sizes)

    @traitlets.validate("lr")
    def _lr(self, proposal: dict) -> float:
        return self._lrs[lr_place(proposal["value"], self._lrs)]

    @traitlets.validate("batch_size")
    def _batch_size(self, proposal: dict) -> int:
        return self._sizes[size_place(proposal["value"], self._sizes)]


def lr_place(lr: float, lrs: list[float]) -> int:
    """Where among ``lrs`` the nearest to a learning rate is."""
    return nearest("lr", _check.positive("lr", lr), lrs)


def size_place(batch_size: int, sizes: list[int]) -> int:
    """Where among ``sizes`` the nearest to a batch size is."""
    return nearest("batch_size", _check.whole("batch_size", batch_size), sizes)
