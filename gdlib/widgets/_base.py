"""What the explorers share: sliders and a drawing, linked twice."""

import warnings
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

HERE = Path(__file__).parent


def module(name: str) -> str:
    """The ES module of a widget: what all share, then its own."""
    return (HERE / "common.js").read_text(encoding="utf-8") + (HERE / f"{name}.js").read_text(encoding="utf-8")


class Drawing(anywidget.AnyWidget):
    """The part of an explorer that draws, in the browser. Its synchronised traits are all that the JavaScript sees."""

    _css = (HERE / "widgets.css").read_text(encoding="utf-8")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Explorer(ipywidgets.VBox):
    """Sliders over a drawing. What a slider shows, what is drawn and the trait in Python are one value.

    Sliders and drawing are linked in the browser (``jslink``), for the page without a kernel, and in Python, for Colab,
    where ``jslink`` has been reported broken (colabtools issue 1612).
    """

    def __init__(self, drawing: Drawing, sliders: dict[str, ipywidgets.Widget], names: tuple[str, ...]):
        self.drawing = drawing
        self._links = []
        for trait, slider in sliders.items():
            side = "index" if isinstance(slider, ipywidgets.SelectionSlider) else "value"
            self._links += [
                ipywidgets.jslink((slider, side), (drawing, trait)),
                traitlets.link((slider, side), (drawing, trait)),
            ]
        row = ipywidgets.HBox(list(sliders.values()), layout={"flex_flow": "row wrap", "width": "100%"})
        super().__init__([row, drawing], layout={"width": "100%"})
        for name in names:
            self._links.append(traitlets.link((drawing, name), (self, name)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._shown)})"

    _shown: tuple[str, ...] = ()


def slider(kind: type, **options: Any) -> ipywidgets.Widget:
    """A slider of the house's width, that acts while it is dragged and can shrink on a phone."""
    return kind(style={"description_width": "105px"}, layout={"width": "400px", "max_width": "100%"}, **options)


def clamp(name: str, value: float, low: float, high: float) -> float:
    """``value`` moved into the range of a slider, with a warning where it had to be."""
    inside = min(max(value, low), high)
    if inside != value:
        warnings.warn(f"{name} must lie between {low:g} and {high:g}; got {value!r}, took {inside:g}", stacklevel=2)
    return inside
