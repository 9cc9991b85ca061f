"""The cost calculator: what training a large model takes, in FLOPs, memory, days and money."""

import ipywidgets
import traitlets

from gdlib import _check
from gdlib.choosing import cost
from gdlib.widgets._base import Drawing, Explorer, clamp, log_slider, module, slider

PARAMETERS = (1e6, 1e13)
TOKENS = (1e6, 1e14)
DEVICES = (1, 4096)


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


class CostCalculator(Explorer):
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

    parameters = traitlets.Any()
    tokens = traitlets.Any()
    devices = traitlets.Any()
    precision = traitlets.Any()
    optimizer = traitlets.Any()
    hardware = traitlets.Any()
    remedy = traitlets.Any()
    _shown = ("parameters", "tokens", "devices", "precision", "optimizer", "hardware", "remedy")

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
            "parameters": clamp("parameters", _check.positive("parameters", parameters), *PARAMETERS),
            "tokens": clamp("tokens", _check.positive("tokens", tokens), *TOKENS),
            "devices": int(clamp("devices", _check.whole("devices", devices), *DEVICES)),
            "precision": _check.one_of("precision", precision, ("fp32", "mixed")),
            "optimizer": _check.one_of("optimizer", optimizer, cost.STATE_BYTES),
            "hardware": _check.one_of("hardware", hardware, cost.HARDWARE),
            "remedy": _check.one_of("remedy", remedy, cost.REMEDIES),
        }
        drawing = CostDrawing(
            hardware_table={name: device._asdict() for name, device in cost.HARDWARE.items()},
            state_bytes=cost.STATE_BYTES,
            setting=setting,
            **setting,
        )
        sliders = {
            "parameters": log_slider("parameters", setting["parameters"], *PARAMETERS, step=0.05, readout_format=".2s"),
            "tokens": log_slider("tokens", setting["tokens"], *TOKENS, step=0.05, readout_format=".2s"),
            "devices": slider(
                ipywidgets.IntSlider, description="devices", value=setting["devices"], min=1, max=4096
            ),
        }  # fmt: skip
        super().__init__(drawing, sliders, self._shown)

    @traitlets.validate("parameters")
    def _parameters(self, proposal: dict) -> float:
        return clamp("parameters", _check.positive("parameters", proposal["value"]), *PARAMETERS)

    @traitlets.validate("tokens")
    def _tokens(self, proposal: dict) -> float:
        return clamp("tokens", _check.positive("tokens", proposal["value"]), *TOKENS)

    @traitlets.validate("devices")
    def _devices(self, proposal: dict) -> int:
        return int(clamp("devices", _check.whole("devices", proposal["value"]), *DEVICES))

    @traitlets.validate("precision")
    def _precision(self, proposal: dict) -> str:
        return _check.one_of("precision", proposal["value"], ("fp32", "mixed"))

    @traitlets.validate("optimizer")
    def _optimizer(self, proposal: dict) -> str:
        return _check.one_of("optimizer", proposal["value"], cost.STATE_BYTES)

    @traitlets.validate("hardware")
    def _hardware(self, proposal: dict) -> str:
        return _check.one_of("hardware", proposal["value"], cost.HARDWARE)

    @traitlets.validate("remedy")
    def _remedy(self, proposal: dict) -> str:
        return _check.one_of("remedy", proposal["value"], cost.REMEDIES)
