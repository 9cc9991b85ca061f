"""The cost calculator: what training a large model takes, in FLOPs, memory, days and money."""

from typing import Any, ClassVar

import traitlets

from gdlib.choosing import cost
from gdlib.widgets._base import Drawing, module
from gdlib.widgets._scale import ScaleExplorer


class CostDrawing(Drawing):
    """The four figures, and the memory of a device term by term; computed in the page, by the constants of `gdlib.choosing.cost`."""

    _esm = module("cost")
    hardware_table = traitlets.Dict().tag(sync=True)
    state_bytes = traitlets.Dict().tag(sync=True)
    low_rank = traitlets.Float(cost.LOW_RANK).tag(sync=True)
    utilization = traitlets.Float(0.4).tag(sync=True)
    tokens_per_device = traitlets.Int(2048).tag(sync=True)
    setting = traitlets.Dict().tag(sync=True)
    parameters = traitlets.Float().tag(sync=True)
    tokens = traitlets.Float().tag(sync=True)
    devices = traitlets.Int().tag(sync=True)
    precision = traitlets.Unicode().tag(sync=True)
    optimizer = traitlets.Unicode().tag(sync=True)
    hardware = traitlets.Unicode().tag(sync=True)
    remedy = traitlets.Unicode("none").tag(sync=True)


class CostCalculator(ScaleExplorer):
    """Sliders for parameters, tokens and devices, choices of precision, optimiser, hardware and remedy; the cost of all that.

    The page computes by the formulas of `gdlib.diagnose.cost` and writes their assumptions beside the result.

    Args:
        parameters: in [1e6, 1e13].
        tokens: in [1e6, 1e14].
        precision: ``"fp32"`` or ``"mixed"``.
        optimizer: ``"sgd"``, ``"momentum"`` or ``"adamw"``.
        devices: in [1, 4096].
        hardware: a name in ``gdlib.diagnose.cost.HARDWARE``.
        remedy: one of ``gdlib.diagnose.cost.REMEDIES``.

    A number outside its slider's range is clamped, with a warning.

    Attributes:
        parameters, tokens, devices, precision, optimizer, hardware, remedy: traits, to read, set and observe.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> calculator = CostCalculator(devices=8)
        >>> calculator.hardware = "H100"
        >>> calculator
        CostCalculator(parameters=7000000000.0, tokens=140000000000.0, devices=8, precision='mixed', optimizer='adamw', hardware='H100', remedy='none')
    """

    precision = traitlets.Any()
    optimizer = traitlets.Any()
    remedy = traitlets.Any()
    _shown = ("parameters", "tokens", "devices", "precision", "optimizer", "hardware", "remedy")
    _ranges: ClassVar = {"parameters": (1e6, 1e13), "tokens": (1e6, 1e14)}
    _choices: ClassVar = {
        "precision": ("fp32", "mixed"),
        "optimizer": cost.STATE_BYTES,
        "hardware": cost.HARDWARE,
        "remedy": cost.REMEDIES,
    }

    def __init__(
        self,
        parameters: float = 7e9,
        tokens: float = 1.4e11,
        precision: str = "mixed",
        optimizer: str = "adamw",
        devices: int = 64,
        hardware: str = "A100",
        remedy: str = "none",
    ):
        setting = {
            "parameters": parameters,
            "tokens": tokens,
            "devices": devices,
            "precision": precision,
            "optimizer": optimizer,
            "hardware": hardware,
            "remedy": remedy,
        }
        super().__init__(CostDrawing, setting, ".2s", state_bytes=cost.STATE_BYTES)

    @traitlets.validate(*_shown)
    def _valid(self, proposal: dict) -> Any:
        return self._checked(proposal["trait"].name, proposal["value"])
