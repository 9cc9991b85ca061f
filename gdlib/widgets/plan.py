"""Plan your own run: from parameters, tokens and devices to memory, parallelism, batch, rate, days and money."""

import ipywidgets
import traitlets

from gdlib import _check
from gdlib.choosing import cost
from gdlib.widgets._base import Drawing, Explorer, clamp, log_slider, module, slider

PARAMETERS = (3e7, 1e12)
TOKENS = (1e8, 1e14)
DEVICES = (1, 4096)
UTILIZATIONS = (0.1, 0.2, 0.3, 0.4, 0.5)
RULES = {
    "proportion": cost.PROPORTION,
    "vocabulary": cost.VOCABULARY,
    "context": 1024,
    "room": cost.ROOM,
    "sequences": cost.SEQUENCES,
}


class PlanDrawing(Drawing):
    """Eight figures, each with its rule, and the memory of a device; computed in the page, as `gdlib.choosing.cost.plan` does."""

    _esm = module("plan")
    hardware_table = traitlets.Dict().tag(sync=True)
    links = traitlets.Dict().tag(sync=True)
    utilizations = traitlets.List().tag(sync=True)
    rules = traitlets.Dict().tag(sync=True)
    most_tokens = traitlets.Float(TOKENS[1]).tag(sync=True)
    setting = traitlets.Dict().tag(sync=True)
    parameters = traitlets.Float().tag(sync=True)
    tokens = traitlets.Float().tag(sync=True)
    devices = traitlets.Int().tag(sync=True)
    hardware = traitlets.Unicode().tag(sync=True)
    utilization = traitlets.Float().tag(sync=True)
    link = traitlets.Unicode().tag(sync=True)


class RunPlanner(Explorer):
    """Sliders for parameters, tokens and devices, a choice of hardware; two more in a fold. What follows from them, with each rule.

    The page computes what `gdlib.diagnose.cost.plan` does, to all digits.

    Args:
        parameters: all of them, in [3e7, 1e12].
        tokens: in [1e8, 1e14].
        devices: in [1, 4096].
        hardware: a name in ``gdlib.diagnose.cost.HARDWARE``.
        utilization: MFU: 0.1, 0.2, 0.3, 0.4 or 0.5.
        link: a name in ``gdlib.diagnose.cost.LINKS``.

    A number outside its slider's range is clamped, with a warning.

    Attributes:
        parameters, tokens, devices, hardware, utilization, link: traits, to read, set and observe.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> planner = RunPlanner(devices=8)
        >>> planner.hardware = "A100"
        >>> planner
        RunPlanner(parameters=124000000.0, tokens=2500000000.0, devices=8, hardware='A100', utilization=0.2, link='InfiniBand')
    """

    parameters = traitlets.Any()
    tokens = traitlets.Any()
    devices = traitlets.Any()
    hardware = traitlets.Any()
    utilization = traitlets.Any()
    link = traitlets.Any()
    _shown = ("parameters", "tokens", "devices", "hardware", "utilization", "link")

    def __init__(
        self,
        parameters: float = 124e6,
        tokens: float = 2.5e9,
        devices: int = 1,
        hardware: str = "H100",
        utilization: float = 0.2,
        link: str = "InfiniBand",
    ):
        setting = {
            "parameters": clamp("parameters", _check.positive("parameters", parameters), *PARAMETERS),
            "tokens": clamp("tokens", _check.positive("tokens", tokens), *TOKENS),
            "devices": int(clamp("devices", _check.whole("devices", devices), *DEVICES)),
            "hardware": _check.one_of("hardware", hardware, cost.HARDWARE),
            "utilization": _check.one_of("utilization", utilization, UTILIZATIONS),
            "link": _check.one_of("link", link, cost.LINKS),
        }
        drawing = PlanDrawing(
            hardware_table={name: device._asdict() for name, device in cost.HARDWARE.items()},
            links=cost.LINKS,
            utilizations=list(UTILIZATIONS),
            rules=RULES,
            setting=setting,
            **setting,
        )
        sliders = {
            "parameters": log_slider("parameters", setting["parameters"], *PARAMETERS, step=0.05, readout_format=".3s"),
            "tokens": log_slider("tokens", setting["tokens"], *TOKENS, step=0.05, readout_format=".3s"),
            "devices": slider(
                ipywidgets.IntSlider, description="devices", value=setting["devices"], min=DEVICES[0], max=DEVICES[1]
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

    @traitlets.validate("hardware")
    def _hardware(self, proposal: dict) -> str:
        return _check.one_of("hardware", proposal["value"], cost.HARDWARE)

    @traitlets.validate("utilization")
    def _utilization(self, proposal: dict) -> float:
        return _check.one_of("utilization", proposal["value"], UTILIZATIONS)

    @traitlets.validate("link")
    def _link(self, proposal: dict) -> str:
        return _check.one_of("link", proposal["value"], cost.LINKS)
