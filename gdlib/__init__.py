"""How large models are trained, small enough to read: the library that the book's chapters import.

To train: `Trainer` (an iterator over its steps, each a `Step`), `History`, `Divergence`; a learning rate and a batch size are functions of
the step, from `schedules` and `batching`. To choose them: `range_test`, `sweep`, `gradient_noise_scale`, `recommend`, `diagnose`. To read:
`problems`, `descent`, `optim`, `models`, `data`. To see: `plots`, `widgets`. From a shell: ``python -m gdlib --help``.

A name is loaded when it is first used, so that a process that only trains imports torch and NumPy alone.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    **dict.fromkeys(("Divergence", "History", "Step", "Trainer"), "training"),
    **dict.fromkeys(("Sweep", "gradient_noise_scale", "range_test", "recommend", "sweep"), "choosing"),
}
_MODULES = {
    **{
        name: name
        for name in ("batching", "data", "descent", "diagnose", "models", "optim", "problems", "schedules", "widgets")
    },
    **{name: f"training.{name}" for name in ("checkpoint", "device", "distributed")},
    "plots": "drawing",
}
__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"gdlib.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"gdlib.{_MODULES[name]}")
    else:
        raise AttributeError(f"module 'gdlib' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
