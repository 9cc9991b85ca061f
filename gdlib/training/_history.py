"""What a run leaves behind: each step, and all of them as columns."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from gdlib.training._trainer import Trainer


class Step:
    """What one step did. ``loss`` and ``grad_norm`` are fetched from the device only when they are looked at.

    Attributes:
        index: number of the step, counted from 0.
        lr: learning rate it used; NaN where the optimizer kept its own.
        batch_size: samples in its batch.
        samples_seen: samples used up to and including this step.

    Example:
        >>> import torch
        >>> from gdlib import Trainer, data, models
        >>> _ = torch.manual_seed(0)
        >>> trainer = Trainer(models.linear(10), data.diabetes().train, torch.nn.functional.mse_loss, lr=0.05, batch_size=32)
        >>> step = next(trainer.run(1))
        >>> step.index, step.lr, step.batch_size, step.samples_seen, step.loss > 0, step.grad_norm > 0
        (0, 0.05, 32, 32, True, True)
    """

    __slots__ = ("_loss", "_trainer", "batch_size", "index", "lr", "samples_seen")

    def __init__(
        self, index: int, lr: float, batch_size: int, samples_seen: int, loss: Tensor | float, trainer: "Trainer"
    ):
        self.index, self.lr, self.batch_size, self.samples_seen = index, lr, batch_size, samples_seen
        self._loss, self._trainer = loss, trainer

    @property
    def loss(self) -> float:
        """Mean loss of the batch, before the update."""
        self._loss = float(self._loss)
        return self._loss

    @property
    def grad_norm(self) -> float:
        """Euclidean norm of the gradient over all parameters, before clipping; to be looked at before the next step.

        Raises:
            RuntimeError: if the trainer has gone on since.
        """
        if self._trainer.steps_done != self.index + 1:
            raise RuntimeError(f"grad_norm of step {self.index} must be looked at before the next step")
        return self._trainer._gradient_norm()

    def __repr__(self) -> str:
        return f"Step({self.index}, lr={self.lr:g}, batch_size={self.batch_size}, loss={self.loss:.4g})"


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

    COLUMNS: ClassVar = {"index": "i8", "lr": "f8", "batch_size": "i8", "samples_seen": "i8", "loss": "f8"}

    def __init__(self):
        self._steps: list[Step] = []  # those that are not in the columns yet
        self._columns = {name: np.empty(0, dtype) for name, dtype in self.COLUMNS.items()}

    def append(self, step: Step) -> None:
        """Add a step that ``Trainer.run`` gave. Its loss is fetched from the device only when the column is looked at."""
        self._steps.append(step)

    def __len__(self) -> int:
        return len(self._columns["index"]) + len(self._steps)

    def __repr__(self) -> str:
        return f"History({len(self)} steps)"

    def _column(self, name: str) -> np.ndarray:
        if self._steps:
            steps, self._steps = self._steps, []
            for key, dtype in self.COLUMNS.items():
                new = np.array([getattr(step, key) for step in steps], dtype=dtype)
                self._columns[key] = np.concatenate([self._columns[key], new])
        return self._columns[name].copy()

    @property
    def index(self) -> np.ndarray:
        """Number of the step, counted from 0; int64."""
        return self._column("index")

    @property
    def lr(self) -> np.ndarray:
        """Learning rate of the step; float64, NaN where the optimizer kept its own."""
        return self._column("lr")

    @property
    def batch_size(self) -> np.ndarray:
        """Samples in the step's batch; int64."""
        return self._column("batch_size")

    @property
    def samples_seen(self) -> np.ndarray:
        """Samples used up to and including the step; int64."""
        return self._column("samples_seen")

    @property
    def loss(self) -> np.ndarray:
        """Loss of the step's batch before its update; float64."""
        return self._column("loss")

    def to_dict(self) -> dict[str, list]:
        """The columns as plain lists, by name; an lr that the optimizer kept to itself is ``None``."""
        columns = {name: getattr(self, name).tolist() for name in self.COLUMNS}
        columns["lr"] = [None if lr != lr else lr for lr in columns["lr"]]
        return columns

    def save(self, path: str | Path) -> None:
        """Write the columns as JSON."""
        Path(path).write_text(json.dumps(self.to_dict()), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "History":
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not a history.
        """
        try:
            columns = json.loads(Path(path).read_text(encoding="utf-8"))
            columns["lr"] = [math.nan if lr is None else lr for lr in columns["lr"]]
            history = cls()
            history._columns = {name: np.array(columns[name], dtype) for name, dtype in cls.COLUMNS.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"path must name a history that History.save wrote; got {str(path)!r}: {error}") from error
        return history

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The columns as tensors, for a checkpoint."""
        return {name: torch.from_numpy(self._column(name)) for name in self.COLUMNS}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from what `state_dict` gave; steps appended since are forgotten."""
        self._steps, self._columns = [], {name: state[name].numpy().copy() for name in self.COLUMNS}
