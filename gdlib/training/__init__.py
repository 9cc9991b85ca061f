"""The loop, the step, the state and the files of a training run, on one device or many."""

from gdlib.training import checkpoint, device, distributed, loading
from gdlib.training._divergence import Divergence
from gdlib.training._history import History, Step
from gdlib.training._trainer import Trainer

__all__ = ["Divergence", "History", "Step", "Trainer", "checkpoint", "device", "distributed", "loading"]
