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


_EXTRAS = {"anywidget": "widgets", "ipywidgets": "widgets", "matplotlib": "plots", "sklearn": "data", "scipy": "data"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gdlib' has no attribute {name!r}")
    try:
        module = import_module(f"gdlib.{_HOME.get(name) or _MODULES[name]}")
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        extra = _EXTRAS[error.name]
        raise ModuleNotFoundError(
            f"gdlib.{name} needs {error.name}: pip install 'gdlib-book[{extra}]'", name=error.name
        ) from error
    globals()[name] = value = getattr(module, name) if name in _HOME else module
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
