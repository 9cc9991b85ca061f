"""Plan your own run: from parameters, tokens and devices to memory, parallelism, batch, rate, days and money."""

from typing import Any, ClassVar

import traitlets

from gdlib.choosing import cost
from gdlib.widgets._base import Drawing, module
from gdlib.widgets._scale import ScaleExplorer

TOKENS = (1e8, 1e14)
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


class RunPlanner(ScaleExplorer):
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

    utilization = traitlets.Any()
    link = traitlets.Any()
    _shown = ("parameters", "tokens", "devices", "hardware", "utilization", "link")
    _ranges: ClassVar = {"parameters": (3e7, 1e12), "tokens": TOKENS}
    _choices: ClassVar = {"hardware": cost.HARDWARE, "utilization": UTILIZATIONS, "link": cost.LINKS}

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
            "parameters": parameters,
            "tokens": tokens,
            "devices": devices,
            "hardware": hardware,
            "utilization": utilization,
            "link": link,
        }
        tables = {"links": cost.LINKS, "utilizations": list(UTILIZATIONS), "rules": RULES}
        super().__init__(PlanDrawing, setting, ".3s", **tables)

    @traitlets.validate(*_shown)
    def _valid(self, proposal: dict) -> Any:
        return self._checked(proposal["trait"].name, proposal["value"])
