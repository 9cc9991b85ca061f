"""How large models are trained, small enough to read: the library that the book's chapters import."""

from gdlib import batching, data, descent, diagnose, models, optim, plots, problems, schedules, widgets
from gdlib.diagnose import gradient_noise_scale, range_test, recommend
from gdlib.divergence import Divergence
from gdlib.history import History, Step
from gdlib.sweep import Sweep, sweep
from gdlib.trainer import Trainer

__version__ = "0.1.0"
__all__ = [
    "Divergence",
    "History",
    "Step",
    "Sweep",
    "Trainer",
    "batching",
    "data",
    "descent",
    "diagnose",
    "gradient_noise_scale",
    "models",
    "optim",
    "plots",
    "problems",
    "range_test",
    "recommend",
    "schedules",
    "sweep",
    "widgets",
]
