"""What a run leaves behind: each step, and all of them as columns."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from gdlib.training import distributed

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

    __slots__ = ("_loss", "_norm", "_trainer", "batch_size", "index", "lr", "recorded", "samples_seen")

    def __init__(
        self, index: int, lr: float, batch_size: int, samples_seen: int, loss: Tensor | float,
        trainer: "Trainer", norm: Tensor | None = None,
    ):  # fmt: skip
        self.index, self.lr, self.batch_size, self.samples_seen = index, lr, batch_size, samples_seen
        self._loss, self._trainer, self._norm = loss, trainer, norm
        self.recorded: dict[str, Tensor | float] = {} if norm is None else {"grad_norm": norm}

    @property
    def loss(self) -> float:
        """Mean loss of the batch, before the update."""
        self._loss = float(self._loss)
        return self._loss

    @property
    def grad_norm(self) -> float:
        """Euclidean norm of the gradient over all that is trained, before clipping. Where nothing is clipped, it is to be looked at
        before the next step.

        Raises:
            RuntimeError: if the trainer has gone on since.
        """
        norm = self._norm
        if norm is None:
            if self._trainer is None or self._trainer.steps_done != self.index + 1:
                raise RuntimeError(f"grad_norm of step {self.index} must be looked at before the next step")
            norm = self._trainer.gradient_norm()
        return distributed.whole(norm).item()

    def record(self, **values: float) -> None:
        """Add columns of the reader's own to the run's history, such as ``step.record(validation=0.3)``; NaN at other steps.

        A `gdlib.schedules.plateau` that watches such a name is told.

        Raises:
            TypeError, ValueError: if a value is not a number, or its name is that of a column that every step has.
        """
        for name, value in values.items():
            if name in History.COLUMNS:
                raise ValueError(f"{name} is a column that every step has; record it under another name")
            self.recorded[name] = float(value)
        if self._trainer is not None:
            self._trainer.tell(values)

    def __repr__(self) -> str:
        return f"Step({self.index}, lr={self.lr:g}, batch_size={self.batch_size}, loss={self.loss:.4g})"

    def __reduce__(self) -> tuple:
        made = (self.index, self.lr, self.batch_size, self.samples_seen, self.loss, None)
        return Step, made, (None, {"recorded": {name: float(value) for name, value in self.recorded.items()}})


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

    def cut(self, length: int) -> None:
        """Forget the steps whose number is ``length`` or more."""
        self._steps = [step for step in self._steps if step.index < length]
        kept = self._columns["index"] < length
        self._columns = {name: column[kept] for name, column in self._columns.items()}

    def __len__(self) -> int:
        return len(self._columns["index"]) + len(self._steps)

    def __repr__(self) -> str:
        return f"History({len(self)} steps)"

    @property
    def columns(self) -> list[str]:
        """The names of the columns: those of every step, then what was recorded (`Step.record`; the gradient's norm under clipping)."""
        return list(dict.fromkeys([*self._columns, *(name for step in self._steps for name in step.recorded)]))

    def __getitem__(self, name: str) -> np.ndarray:
        """A column by name; those that were recorded are float64, NaN at the steps without a value.

        Raises:
            KeyError: if there is no such column.
        """
        if name not in self.columns:
            raise KeyError(f"history has the columns {', '.join(self.columns)}; got {name!r}")
        self._move(self._steps[:-1])  # to the last one something may still be added
        return self._joined(name, self._steps)

    def _joined(self, name: str, steps: list[Step]) -> np.ndarray:
        """A column, and what some steps add to it."""
        before = self._columns.get(name, np.full(len(self._columns["index"]), math.nan))
        new = [getattr(s, name) if name in self.COLUMNS else float(s.recorded.get(name, math.nan)) for s in steps]
        return np.concatenate([before, np.array(new, dtype=self.COLUMNS.get(name, "f8"))])

    def _move(self, steps: list[Step]) -> None:
        """Take the first steps into the columns."""
        if steps:
            self._columns = {name: self._joined(name, steps) for name in self.columns}
            self._steps = self._steps[len(steps) :]

    def __getstate__(self) -> dict:
        self._move(self._steps)
        return {"_steps": [], "_columns": self._columns}

    @property
    def index(self) -> np.ndarray:
        """Number of the step, counted from 0; int64."""
        return self["index"]

    @property
    def lr(self) -> np.ndarray:
        """Learning rate of the step; float64, NaN where the optimizer kept its own."""
        return self["lr"]

    @property
    def batch_size(self) -> np.ndarray:
        """Samples in the step's batch; int64."""
        return self["batch_size"]

    @property
    def samples_seen(self) -> np.ndarray:
        """Samples used up to and including the step; int64."""
        return self["samples_seen"]

    @property
    def loss(self) -> np.ndarray:
        """Loss of the step's batch before its update; float64."""
        return self["loss"]

    def to_dict(self) -> dict[str, list]:
        """The columns as plain lists, by name; ``None`` for an lr that the optimizer kept to itself, and where nothing was recorded."""
        return {name: [None if value != value else value for value in self[name].tolist()] for name in self.columns}

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
            history = cls()
            for name in [*cls.COLUMNS, *columns]:
                values = [math.nan if value is None else value for value in columns[name]]
                history._columns[name] = np.array(values, cls.COLUMNS.get(name, "f8"))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"path must name a history that History.save wrote; got {str(path)!r}: {error}") from error
        return history

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The columns as tensors, for a checkpoint."""
        return {name: torch.from_numpy(self[name]) for name in self.columns}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from what `state_dict` gave; steps appended since are forgotten."""
        self._steps, self._columns = [], {name: column.numpy().copy() for name, column in state.items()}
