"""What a run leaves behind."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gdlib.trainer import Step


class History:
    """The steps of a run as columns. Each column is an array with one entry a step.

    Example:
        >>> from gdlib import Trainer, data, models
        >>> import torch
        >>> trainer = Trainer(models.linear(10), data.diabetes().train, torch.nn.functional.mse_loss, lr=0.1)
        >>> history = trainer.fit(3)
        >>> len(history), history.batch_size.tolist(), history.samples_seen.tolist()
        (3, [64, 64, 64], [64, 128, 192])
    """

    COLUMNS = ("index", "lr", "batch_size", "samples_seen", "loss")

    def __init__(self):
        self._steps: list[Any] = []

    def append(self, step: "Step") -> None:
        """Add a step that ``Trainer.run`` gave. Its loss is fetched from the device only when the column is looked at."""
        self._steps.append(step)

    def __len__(self) -> int:
        return len(self._steps)

    def __repr__(self) -> str:
        return f"History({len(self)} steps)"

    def _column(self, name: str, dtype: type) -> np.ndarray:
        return np.array([getattr(step, name) for step in self._steps], dtype=dtype)

    @property
    def index(self) -> np.ndarray:
        """Number of the step, counted from 0; int64."""
        return self._column("index", np.int64)

    @property
    def lr(self) -> np.ndarray:
        """Learning rate of the step; float64, NaN where the optimizer kept its own."""
        return self._column("lr", np.float64)

    @property
    def batch_size(self) -> np.ndarray:
        """Samples in the step's batch; int64."""
        return self._column("batch_size", np.int64)

    @property
    def samples_seen(self) -> np.ndarray:
        """Samples used up to and including the step; int64."""
        return self._column("samples_seen", np.int64)

    @property
    def loss(self) -> np.ndarray:
        """Loss of the step's batch before its update; float64."""
        return self._column("loss", np.float64)

    def to_dict(self) -> dict[str, list]:
        """The columns as plain lists, by name; an lr that the optimizer kept to itself is ``None``."""
        columns = {name: getattr(self, name).tolist() for name in self.COLUMNS}
        columns["lr"] = [None if lr != lr else lr for lr in columns["lr"]]
        return columns

    def save(self, path: str | Path) -> None:
        """Write the columns as JSON."""
        Path(path).write_text(json.dumps(self.to_dict()), encoding="utf-8")
