"""What the explorers share: sliders and a drawing, linked twice."""

import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import \{[^}]*\} from "(\./[^"]+)";\n', re.MULTILINE)
WORD = re.compile(r'^    ("[^"\n]+"):(?: |\n      )".*",\n', re.MULTILINE)
SAID = re.compile(r"say\(`([^`$]+)\$\{")  # a word of which the code names the beginning
ASIDE = re.compile(r"^\s*(//.*)?\n|^\s+", re.MULTILINE)


def module(name: str) -> str:
    """The widget NAME.js with all that it imports from files beside it, each once and before it is needed: one ES module.

    Without comments and indentation, which every notebook would carry, and without the sentences of other widgets. Terms that stand
    for themselves in English stay: a notebook may name them.
    """
    parts: dict[Path, str] = {}

    def read(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        for file in IMPORT.findall(text):
            if (needed := (path.parent / file).resolve()) not in parts:
                read(needed)
        parts[path] = IMPORT.sub("", text)

    read((HERE / f"{name}.js").resolve())
    table = (HERE / "shared" / "words.js").resolve()
    if table in parts:
        code = "".join(text for path, text in parts.items() if path != table)
        begins = tuple(f'"{begin}' for begin in SAID.findall(code))
        sentences = WORD.findall(parts[table].partition("  zh: {")[0])
        unsaid = {key for key in sentences if key not in code and not key.startswith(begins)}
        parts[table] = WORD.sub(lambda word: "" if word[1] in unsaid else word[0], parts[table])
    return ASIDE.sub("", "\n".join(parts.values()))


class Drawing(anywidget.AnyWidget):
    """The part of an explorer that draws, in the browser. Its synchronised traits are all that the JavaScript sees."""

    _css = (HERE / "shared" / "widgets.css").read_text(encoding="utf-8")

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

    def _look_up(self, name: str, index: str, values: list) -> None:
        """Link the trait ``name`` with the drawing's ``index`` into ``values``."""
        self._links.append(
            traitlets.link((self.drawing, index), (self, name), transform=(values.__getitem__, values.index))
        )

    def __repr__(self) -> str:
        """The same on every machine: a power of ten may differ in its last digit, and NumPy's numbers have names."""
        said = ((name, getattr(self, name)) for name in self._shown)
        plain = ((name, float(f"{value:.12g}") if isinstance(value, float) else value) for name, value in said)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in plain)})"

    _shown: tuple[str, ...] = ()


def slider(kind: type, **options: Any) -> ipywidgets.Widget:
    """A slider of the house's width, that acts while it is dragged and can shrink on a phone."""
    return kind(style={"description_width": "105px"}, layout={"width": "400px", "max_width": "100%"}, **options)


def log_slider(name: str, value: float, low: float, high: float, step: float, **options: Any) -> ipywidgets.Widget:
    """A slider over powers of ten, with ``value`` on its raster: one that is not would be moved there in the browser."""
    offset = math.log10(value) % step
    bounds = {
        "min": math.floor(math.log10(low) / step) * step + offset - step,
        "max": math.ceil(math.log10(high) / step) * step + offset,
    }
    return slider(ipywidgets.FloatLogSlider, description=name, value=value, step=step, **bounds, **options)


def choice_slider(name: str, values: Sequence[float], value: float) -> ipywidgets.Widget:
    """A slider over ``values``, at exactly ``value``; a float slider would move it to its own raster."""
    return slider(ipywidgets.SelectionSlider, description=name, options=labels_of(values), index=values.index(value))


def labels_of(values: Sequence[float]) -> list[str]:
    """``values`` in as few digits, at least three, as tell them apart."""
    written = ([f"{v:.{digits}g}" for v in values] for digits in range(3, 18))
    return next(labels for labels in written if len(set(labels)) == len(set(values)))


def text(name: str, value: Any) -> None:
    """Refuse what is not a string with something in it."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string; got {value!r}")
    if not value.strip():
        raise ValueError(f"{name} must not be empty; got {value!r}")


def clamp(name: str, value: float, low: float, high: float) -> float:
    """``value`` moved into the range of a slider, with a warning where it had to be."""
    inside = min(max(value, low), high)
    if inside != value:
        warnings.warn(f"{name} must lie between {low:g} and {high:g}; got {value!r}, took {inside:g}", stacklevel=2)
    return inside


def settle(name: str, value: float, values: Sequence[float]) -> float:
    """The nearest to ``value`` of a slider's rising ``values``; with a warning where it lies beyond them."""
    inside = clamp(name, value, values[0], values[-1])
    return min(values, key=lambda v: abs(v - inside))
