"""What the calculator and the planner share: sliders for parameters, tokens and devices, and choices by name."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import ipywidgets
import traitlets

from gdlib import _check
from gdlib.choosing import cost
from gdlib.widgets._base import Drawing, Explorer, clamp, log_slider, slider

DEVICES = (1, 4096)


class ScaleExplorer(Explorer):
    """Sliders for parameters, tokens and devices over a drawing that has choices besides.

    Args:
        drawing: the kind of drawing.
        setting: what is shown first, by name.
        readout_format: of the two logarithmic sliders.
        tables: further traits of the drawing.
    """

    parameters = traitlets.Any()
    tokens = traitlets.Any()
    devices = traitlets.Any()
    hardware = traitlets.Any()
    _ranges: ClassVar[Mapping[str, tuple[float, float]]]
    _choices: ClassVar[Mapping[str, Collection]]

    def __init__(self, drawing: type[Drawing], setting: dict[str, Any], readout_format: str, **tables: Any):
        setting = {name: self._checked(name, value) for name, value in setting.items()}
        hardware = {name: device._asdict() for name, device in cost.HARDWARE.items()}
        made = drawing(hardware_table=hardware, setting=setting, **setting, **tables)
        sliders = {
            name: log_slider(name, setting[name], *self._ranges[name], step=0.05, readout_format=readout_format)
            for name in ("parameters", "tokens")
        }
        low, high = DEVICES
        sliders["devices"] = slider(
            ipywidgets.IntSlider, description="devices", value=setting["devices"], min=low, max=high
        )
        super().__init__(made, sliders, self._shown)

    def _checked(self, name: str, value: Any) -> Any:
        """``value``, moved into the range of its slider; an error where it is none of the choices, or no such number."""
        if name in self._choices:
            return _check.one_of(name, value, self._choices[name])
        if name == "devices":
            return int(clamp(name, _check.whole(name, value), *DEVICES))
        return clamp(name, _check.positive(name, value), *self._ranges[name])
