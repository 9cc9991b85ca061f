"""The training loop, as an iterator: the body of ``for step in trainer.run(1000)`` belongs to the reader."""

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gdlib import _check, checkpoint
from gdlib import device as devices
from gdlib.batching import BatchSize, as_batch_size
from gdlib.data import Dataset, as_dataset, batch_indices
from gdlib.history import History
from gdlib.models import evaluating
from gdlib.schedules import Schedule, as_schedule, plateau, reacting


class Divergence(ArithmeticError):
    """The loss is no longer finite. The model holds the parameters and buffers of the last step whose loss was.

    Attributes:
        step: number of the step that failed, counted from 0.
        lr: its learning rate; NaN where the optimizer kept its own.
        loss: its loss, NaN or infinity.
    """

    def __init__(self, step: int, lr: float, loss: float):
        super().__init__(
            f"the loss is {loss} at step {step} with lr {lr:g}; try a third of that rate, a warmup, or look for"
            " extreme values in the data. The model keeps the parameters of the last step with a finite loss."
        )
        self.step, self.lr, self.loss = step, lr, loss


class Step:
    """What one step did. ``loss`` and ``grad_norm`` are fetched from the device only when they are looked at.

    Attributes:
        index: number of the step, counted from 0.
        lr: learning rate it used; NaN where the optimizer kept its own.
        batch_size: samples in its batch.
        samples_seen: samples used up to and including this step.
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
        """Euclidean norm of the gradient over all parameters; to be looked at before the next step.

        Raises:
            RuntimeError: if the trainer has gone on since.
        """
        if self._trainer.steps_done != self.index + 1:
            raise RuntimeError(f"grad_norm of step {self.index} must be looked at before the next step")
        gradients = [p.grad for p in self._trainer.model.parameters() if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients).item()

    def __repr__(self) -> str:
        return f"Step({self.index}, lr={self.lr:g}, batch_size={self.batch_size}, loss={self.loss:.4g})"


class Trainer:
    """Trains ``model`` on ``data``.

    Args:
        model: trained in place, on ``device``.
        data: a `Dataset`, or a pair (inputs, targets).
        loss_fn: ``loss_fn(model(inputs), targets)`` gives a scalar, the mean over the batch.
        optimizer: a function from the parameters to a ``torch.optim.Optimizer``, such as
            ``partial(torch.optim.SGD, momentum=0.9)``, or an optimizer that already holds the model's parameters.
        lr: learning rate, a positive number or a function of the step; a parameter group's ``"lr_scale"`` multiplies it.
            ``None`` leaves the optimizer's own alone. Assignable during a run.
        batch_size: samples a step, a whole number or a function of the step. Assignable during a run.
        device: ``"auto"`` (CUDA, else MPS, else CPU), a name or a ``torch.device``. The data is put there once.
        seed: fixes the order of the samples (`gdlib.data`). Initial weights and dropout follow torch's own generator.

    Attributes:
        model, optimizer, device, data, seed: as above, ``data`` on the device.
        steps_done: steps completed since the start.
        samples_seen: samples used by them.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> from gdlib import data, models
        >>> _ = torch.manual_seed(0)
        >>> split = data.digits()
        >>> trainer = Trainer(models.mlp(64, 32, 10), split.train, nn.functional.cross_entropy, lr=0.5, batch_size=64)
        >>> for step in trainer.run(200):
        ...     pass
        >>> trainer.steps_done, trainer.samples_seen, trainer.evaluate(split.test)["accuracy"] > 0.9
        (200, 12800, True)
    """

    def __init__(
        self,
        model: nn.Module,
        data: Dataset | tuple[Any, Any],
        loss_fn: Callable[[Tensor, Tensor], Tensor],
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | torch.optim.Optimizer = torch.optim.SGD,
        lr: float | Schedule | None = 0.1,
        batch_size: int | BatchSize = 64,
        device: str | torch.device = "auto",
        seed: int = 0,
    ):
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
        if not callable(loss_fn):
            raise TypeError(f"loss_fn must be a function of (outputs, targets); got {loss_fn!r}")
        self.seed = _check.whole("seed", seed, low=0)
        self.lr, self.batch_size = lr, batch_size
        self.loss_fn = loss_fn
        self.device = devices.resolve(device)
        self.data = as_dataset("data", data).to(self.device)
        self.model = model.to(self.device)
        self.optimizer = _as_optimizer(optimizer, model)
        self.steps_done = self.samples_seen = 0

    @property
    def lr(self) -> Schedule | None:
        """The learning rate as a function of the step; a number may be assigned."""
        return self._lr

    @lr.setter
    def lr(self, value: float | Schedule | None) -> None:
        self._lr = None if value is None else as_schedule(value)

    @property
    def batch_size(self) -> BatchSize:
        """The batch size as a function of the step; a whole number may be assigned."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int | BatchSize) -> None:
        self._batch_size = as_batch_size(value)

    def run(self, steps: int) -> Iterator[Step]:
        """Train, one step for each turn of the loop around it. Leaving the loop early leaves a trainer that can go on.

        Args:
            steps: how many more steps to take.

        Raises:
            TypeError, ValueError: if ``steps`` is not a whole number of at least 0, ``model`` and ``data`` do not fit, or
                a schedule gives a rate or a batch size that is not one.
            Divergence: when the loss is not finite.
        """
        return self._run(_check.whole("steps", steps, low=0))

    def _run(self, steps: int) -> Iterator[Step]:
        self.model.train()
        tensors = [*self.model.parameters(), *self.model.buffers()]
        last_finite = [t.detach().clone() for t in tensors]
        first = self.steps_done
        for index in range(first, first + steps):
            lr = self._set_lr(index)
            size = _check.whole("batch_size(step)", self._batch_size(index))
            rows = batch_indices(len(self.data), self.samples_seen, size, self.seed, self.device)
            inputs, targets = self.data.inputs[rows], self.data.targets[rows]

            self.optimizer.zero_grad()
            loss = self._first_loss(inputs, targets) if index == first else self.loss_fn(self.model(inputs), targets)
            value = loss.item()
            if not math.isfinite(value):
                _copy(last_finite, tensors)
                raise Divergence(index, lr, value)
            _copy(tensors, last_finite)
            loss.backward()
            self.optimizer.step()
            for schedule in self._reacting():
                schedule.observe(loss)

            self.steps_done, self.samples_seen = index + 1, self.samples_seen + size
            yield Step(index, lr, size, self.samples_seen, value, self)

    def _reacting(self) -> list[plateau]:
        """The schedules that want to be told the losses, each once."""
        found = [reacting(function) for function in (self._lr, self._batch_size)]
        return list(dict.fromkeys(schedule for schedule in found if schedule))

    def _set_lr(self, index: int) -> float:
        if self._lr is None:
            return math.nan
        lr = _check.number("lr(step)", self._lr(index), low=0.0)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        return lr

    def _first_loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss, with an error in the caller's terms where model, data and loss do not fit together."""
        shapes = f"inputs {_describe(inputs)}, targets {_describe(targets)}"
        try:
            outputs = self.model(inputs)
            if isinstance(outputs, Tensor) and targets.is_floating_point() and _would_spread(outputs, targets):
                raise ValueError(
                    f"targets must have the shape of the model's outputs, {tuple(outputs.shape)}; got"
                    f" {tuple(targets.shape)}, which torch would spread over every pair of samples"
                )
            loss = self.loss_fn(outputs, targets)
        except (RuntimeError, IndexError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(f"model, data and loss_fn do not fit together: {shapes}; torch says: {error}") from error
        if not isinstance(loss, Tensor) or loss.ndim:
            got = _describe(loss) if isinstance(loss, Tensor) else type(loss).__name__
            raise ValueError(f"loss_fn must return a scalar tensor, the mean over the batch; got {got}")
        return loss

    def fit(self, steps: int, progress: bool = False) -> History:
        """Train ``steps`` more steps and return them as columns; ``progress`` shows a bar."""
        history = History()
        for step in tqdm(self.run(steps), total=steps, disable=not progress, unit="step"):
            history.append(step)
        return history

    @torch.no_grad()
    def evaluate(self, data: Dataset | tuple[Any, Any]) -> dict[str, float]:
        """Mean loss over ``data`` in evaluation mode and, where the targets are class numbers, the accuracy in [0, 1].

        The model's mode is put back afterwards; no random number is drawn.
        """
        data = as_dataset("data", data)
        loss, right, judged = 0.0, 0, 0
        with evaluating(self.model):
            for inputs, targets in zip(data.inputs.split(2048), data.targets.split(2048)):
                inputs, targets = inputs.to(self.device), targets.to(self.device)
                outputs = self.model(inputs)
                loss += self.loss_fn(outputs, targets).item() * len(inputs)
                if not targets.is_floating_point() and outputs.ndim == targets.ndim + 1:
                    right += (outputs.argmax(1) == targets).sum().item()
                    judged += targets.numel()
        return {"loss": loss / len(data)} | ({"accuracy": right / judged} if judged else {})

    def save(self, path: str | Path) -> None:
        """Write all that the run needs to go on as if it had never stopped; see `gdlib.checkpoint.write`.

        The learning rate and the batch size are code, not state: give the resuming trainer the same ones. What a
        `gdlib.schedules.plateau` among them has seen is state, and is kept.
        """
        state = {
            "format": 1,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "optimizer_class": type(self.optimizer).__name__,
            "steps_done": self.steps_done,
            "samples_seen": self.samples_seen,
            "samples": len(self.data),
            "seed": self.seed,
            "rng": torch.get_rng_state(),
            "reacting": [schedule.state_dict() for schedule in self._reacting()],
        }
        if self.device.type == "cuda":
            state["cuda_rng"] = torch.cuda.get_rng_state(self.device)
        checkpoint.write(path, state)

    def load(self, path: str | Path) -> None:
        """Go on from a checkpoint: the steps that follow are, bit for bit, those of the run that wrote it.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is torn or does not fit this trainer's model, optimizer or data; nothing is changed then.
        """
        state = checkpoint.read(path)
        if not isinstance(state, dict) or state.get("format") != 1:
            raise ValueError(
                f"path must name a checkpoint of Trainer.save; got {str(path)!r}, which holds something else"
            )
        shapes = {name: tuple(t.shape) for name, t in state["model"].items()}
        here = {name: tuple(t.shape) for name, t in self.model.state_dict().items()}
        unlike = [name for name in here | shapes if shapes.get(name) != here.get(name)]
        if unlike:
            name = unlike[0]
            raise ValueError(
                f"path must name a checkpoint of this model; {str(path)!r} has {shapes.get(name)} for {name!r}, the model"
                f" {here.get(name)} ({len(unlike)} differ)"
            )
        for what, mine in (("optimizer_class", type(self.optimizer).__name__), ("samples", len(self.data))):
            if state[what] != mine:
                raise ValueError(f"path must name a checkpoint with {what} {mine!r}; {str(path)!r} has {state[what]!r}")
        reacting_here = self._reacting()
        if len(state["reacting"]) != len(reacting_here):
            raise ValueError(
                f"path must name a checkpoint with as many plateau schedules as lr and batch_size have,"
                f" {len(reacting_here)}; {str(path)!r} has {len(state['reacting'])}"
            )
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise ValueError(f"path must name a checkpoint of this optimizer; {str(path)!r}: {error}") from error
        self.model.load_state_dict(state["model"])
        for schedule, seen in zip(reacting_here, state["reacting"]):
            schedule.load_state_dict(seen)
        self.steps_done, self.samples_seen, self.seed = state["steps_done"], state["samples_seen"], state["seed"]
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda" and "cuda_rng" in state:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)


def _as_optimizer(optimizer: Any, model: nn.Module) -> torch.optim.Optimizer:
    wanted = "a function from the parameters to a torch.optim.Optimizer, or such an optimizer"
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("model must have a parameter to train; got none that requires a gradient")
    if not isinstance(optimizer, torch.optim.Optimizer):
        if not callable(optimizer):
            raise TypeError(f"optimizer must be {wanted}; got {optimizer!r}")
        optimizer = optimizer(parameters)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be {wanted}; it gave {type(optimizer).__name__}")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not held & {id(p) for p in parameters}:
        raise ValueError("optimizer must hold the model's parameters; got one that holds none of them")
    return optimizer


@torch.no_grad()
def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for s, t in zip(source, target):
        t.copy_(s)


def _would_spread(outputs: Tensor, targets: Tensor) -> bool:
    """Whether broadcasting pairs every output with every target, as (n, 1) and (n,) do."""
    try:
        size = torch.broadcast_shapes(outputs.shape, targets.shape).numel()
    except RuntimeError:
        return False
    return size > max(outputs.numel(), targets.numel())


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
