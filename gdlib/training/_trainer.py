"""The training loop, as an iterator: the body of ``for step in trainer.run(1000)`` belongs to the reader."""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gdlib import _check
from gdlib.batching import BatchSize, as_batch_size
from gdlib.models import evaluating
from gdlib.schedules import Schedule, as_schedule, plateau, plateaus
from gdlib.training import checkpoint, distributed, loading
from gdlib.training import device as devices
from gdlib.training._divergence import Divergence, Watch
from gdlib.training._history import History, Step

RETRY = 1 / 3  # of the rate, after a divergence


class Trainer:
    """Trains ``model`` on ``data``: on a CPU, a GPU, or, under ``torchrun``, many.

    It keeps one copy of the parameters, to go back to when the loss is no longer finite.

    Args:
        model: trained in place, on ``device``.
        data: a `Dataset`, a pair (inputs, targets), a ``torch.utils.data.Dataset`` or an iterable of samples; see
            `gdlib.training.loading.source` for where they are kept.
        loss_fn: ``loss_fn(model(inputs), targets)`` gives a scalar, the mean over the batch.
        optimizer: a function from the parameters to a ``torch.optim.Optimizer``, such as
            ``partial(torch.optim.SGD, momentum=0.9)``, or an optimizer that already holds the model's parameters. A function
            that takes ``fused`` is given it on a GPU.
        lr: learning rate, a positive number or a function of the step; a parameter group's ``"lr_scale"`` multiplies it.
            ``None`` leaves the optimizer's own alone. Assignable during a run.
        batch_size: samples a step, over all processes; a whole number or a function of the step. Assignable during a run.
        device: ``"auto"`` (CUDA, else MPS, else CPU), a name or a ``torch.device``.
        precision: ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"fp16"``; see `gdlib.training.device.precision`.
        micro_batch_size: samples that go through the model at a time, in each process; their gradients add up to that of the
            whole batch. ``None`` takes the whole share, and halves it, once and for all, whenever memory runs out. Batch norm
            sees micro-batches, not batches.
        clip_norm: the gradient is scaled down to this norm where it is larger; ``None`` leaves it.
        compile: ``True`` compiles the model (``torch.compile``); a string names a backend.
        seed: fixes the order of the samples (`gdlib.data`). Initial weights and dropout follow torch's own generator.
        parallel: under torchrun ``"auto"`` (DDP), ``"ddp"`` or ``"fsdp"``, which needs ``optimizer`` as a function.

    Attributes:
        model, optimizer, device, data, seed: as above.
        steps_done: steps completed since the start.
        samples_seen: samples used by them.
        micro_batch_size: the present one; ``None`` until memory has run out.

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
        data: Any,
        loss_fn: Callable[[Tensor, Tensor], Tensor],
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | torch.optim.Optimizer = torch.optim.SGD,
        lr: float | Schedule | None = 0.1,
        batch_size: int | BatchSize = 64,
        device: str | torch.device = "auto",
        precision: str = "auto",
        micro_batch_size: int | None = None,
        clip_norm: float | None = None,
        compile: bool | str = False,
        seed: int = 0,
        parallel: str = "auto",
    ):
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
        if not callable(loss_fn):
            raise TypeError(f"loss_fn must be a function of (outputs, targets); got {loss_fn!r}")
        if not isinstance(compile, (bool, str)):
            raise TypeError(f"compile must be True, False or the name of a backend; got {compile!r}")
        self.lr, self.batch_size = lr, batch_size
        self.micro_batch_size = None if micro_batch_size is None else _check.whole("micro_batch_size", micro_batch_size)
        self.clip_norm = None if clip_norm is None else _check.positive("clip_norm", clip_norm)
        self.loss_fn = loss_fn
        parameters = [p for p in model.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError("model must have a parameter to train; got none that requires a gradient")
        self._parallel, self.device = distributed.join(parallel, devices.resolve(device))
        if self._parallel == "fsdp" and isinstance(optimizer, torch.optim.Optimizer):
            raise ValueError(
                "optimizer must be a function from the parameters with parallel='fsdp', which replaces them"
            )
        self.precision = devices.precision(precision, self.device, parameters[0].dtype)
        self.data = data
        self.reseed(seed)
        self.model = model.to(self.device)
        self._module = distributed.wrap(self.model, self._parallel, self.device)
        self.optimizer = _as_optimizer(optimizer, self.model, self.device)
        self._forward = self._module
        if compile:
            self._forward = torch.compile(self._module, backend="inductor" if compile is True else compile)
        scaled = self.precision.dtype == torch.float16
        self._scaler = torch.amp.GradScaler(self.device.type) if scaled else None
        self.steps_done = self.samples_seen = 0
        self._lr_factor, self._first_loss, self._norm, self._history = 1.0, math.inf, None, None

    def reseed(self, seed: int) -> None:
        """Draw the batches that follow as a trainer with this ``seed`` would."""
        self.seed = _check.whole("seed", seed, low=0)
        self._batch, self._samples = loading.source(self.data, self.seed, self.device)

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

    @property
    def epochs_done(self) -> int:
        """Whole passes over the data; 0 where nobody knows how long it is."""
        return self.samples_seen // self._samples if self._samples else 0

    def run(
        self,
        steps: int,
        checkpoint: str | Path | None = None,
        every: int = 100,
        retries: int = 0,
        history: History | None = None,
    ) -> Iterator[Step]:
        """Train, one step for each turn of the loop around it. Leaving the loop early leaves a trainer that can go on.

        With a ``checkpoint`` the same line starts a run and, after a crash, goes on with it: if the file exists, it is loaded
        first, and the steps done before count among ``steps``.

        Args:
            steps: how many more steps to take.
            checkpoint: file to save to, after the loop's body, every so many steps and at the end.
            every: how many steps apart.
            retries: how often to go back to the checkpoint when the loss is no longer finite, each time with a third of the
                rate, for good. A checkpoint is then written only while the loss is below twice that of the first step of all, so
                that there is something good to go back to.
            history: each step is appended to it. It travels in the checkpoint, so that after a crash it begins where the run did.

        Raises:
            TypeError, ValueError: if an argument is not what is said above, ``model`` and ``data`` do not fit, or a schedule
                gives a rate or a batch size that is not one.
            Divergence: when the loss is not finite. On a GPU it is noticed some steps late, and told as of its own step.
        """
        steps, every = _check.whole("steps", steps, low=0), _check.whole("every", every)
        if _check.whole("retries", retries, low=0) and checkpoint is None:
            raise ValueError("checkpoint must be given, for retries to go back to")
        path = None if checkpoint is None else Path(checkpoint)
        return self._run(self.steps_done + steps, path, every, retries, history)

    def _run(self, end: int, path: Path | None, every: int, retries: int, history: History | None) -> Iterator[Step]:
        self._history = history
        if path is not None:
            self.load(path) if path.exists() else self.save(path)
        self.model.train()
        watch, due, self._fits, self._draws = Watch(self), False, False, True
        while True:
            try:
                if due or self.steps_done >= end:
                    watch.settle()
                if due:
                    self.save(path)
                if self.steps_done >= end:
                    return
                step = self._step(watch)
            except Divergence as error:
                watch.restore()
                if not retries:
                    raise
                retries -= 1
                self.load(path)
                self._lr_factor *= RETRY
                self.save(path)
                watch, due = Watch(self), False
                told = error.args[0].split(";")[0]
                warnings.warn(f"{told}: back to step {self.steps_done} with a third of the rate", stacklevel=2)
                continue
            if history is not None:
                history.append(step)
            yield step
            due = path is not None and (self.steps_done % every == 0 or self.steps_done >= end)
            if due and retries:
                due = step.loss - self._first_loss <= abs(self._first_loss)

    def _step(self, watch: "Watch") -> Step:
        index = self.steps_done
        lr, size = self._set_lr(index), _check.whole("batch_size(step)", self._batch_size(index))
        loss = self._whole_batch(size, watch)
        loss = watch.look(index, lr, loss)
        if self._scaler:
            self._scaler.unscale_(self.optimizer)
        self._norm = None
        if self.clip_norm is not None:
            self._norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        if self._scaler:
            self._scaler.step(self.optimizer)
            self._scaler.update()
        else:
            self.optimizer.step()
        for schedule in self._reacting():
            schedule.observe(loss)
        self.steps_done, self.samples_seen = index + 1, self.samples_seen + size
        if index == 0:
            self._first_loss = loss
        return Step(index, lr, size, self.samples_seen, loss, self)

    def _whole_batch(self, size: int, watch: "Watch") -> Tensor:
        """Gradients and loss of a batch, in micro-batches that fit the memory."""
        while True:
            micro = self.micro_batch_size or -(-size // distributed.size())
            first, state = not self._fits, devices.random_state(self.device) if self._draws else {}
            try:
                loss = self._accumulate(size, distributed.micro_batches(size, micro))
                if first:  # to keep the state of the generators costs as much as a small layer
                    now = devices.random_state(self.device)
                    self._draws = not all(torch.equal(now[name], state[name]) for name in now)
                return loss
            except torch.OutOfMemoryError:
                if micro == 1 or distributed.size() > 1:  # the other processes would wait for ever
                    raise
                self.micro_batch_size = (micro + 1) // 2
                if state:
                    devices.set_random_state(state, self.device)
                watch.restore_buffers()
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                warnings.warn(f"out of memory: micro_batch_size is now {self.micro_batch_size}", stacklevel=5)

    def _accumulate(self, size: int, parts: list[tuple[slice, float]]) -> Tensor:
        for group in self.optimizer.param_groups:
            for p in group["params"]:
                p.grad = None  # what zero_grad() does, without its hooks, which cost more than a small layer
        total = None
        for k, (part, weight) in enumerate(parts, start=1):
            inputs, targets = self._batch(self.samples_seen, size, part)
            with distributed.exchanging(self._module, now=k == len(parts)):
                with self.precision.autocast(self.device):
                    loss = self._loss(inputs, targets)
                share = loss if weight == 1.0 else loss * weight
                (self._scaler.scale(share) if self._scaler else share).backward()
            total = share.detach() if total is None else total + share.detach()
        return distributed.mean(total)

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss; the first time with an error in the caller's terms where model, data and loss do not fit together."""
        if self._fits:
            return self.loss_fn(self._forward(inputs), targets)
        shapes = f"inputs {_describe(inputs)}, targets {_describe(targets)}"
        try:
            outputs = self._forward(inputs)
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
        self._fits = True
        return loss

    def _set_lr(self, index: int) -> float:
        if self._lr is None:
            return math.nan
        lr = _check.number("lr(step)", self._lr(index), low=0.0) * self._lr_factor
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_scale", 1.0)
        return lr

    def _reacting(self) -> list[plateau]:
        """The schedules that want to be told the losses, each once."""
        return plateaus(self._lr, self._batch_size)

    def _gradient_norm(self) -> float:
        if self._norm is None:
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            self._norm = nn.utils.get_total_norm(gradients)
        return distributed.whole(self._norm).item()

    def fit(
        self,
        steps: int,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        every: int = 100,
        retries: int = 0,
    ) -> History:
        """Train ``steps`` more steps and return them as columns.

        Args:
            steps: how many more steps to take.
            progress: show a bar.
            checkpoint, every, retries: as for `run`.
        """
        history, first = History(), self.steps_done
        run = self.run(steps, checkpoint, every, retries, history)
        with tqdm(total=steps, disable=not progress or distributed.rank() > 0, unit="step") as bar:
            for _ in run:
                bar.update(self.steps_done - first - bar.n)
        return history

    @torch.no_grad()
    def evaluate(self, data: Any) -> dict[str, float]:
        """Mean loss over ``data`` in evaluation mode and, where the targets are class numbers, the accuracy in [0, 1].

        ``data`` is what ``Trainer`` takes, with a length. The model's mode is put back afterwards; no random number is drawn.
        """
        batch, n = loading.source(data, 0, self.device)
        if n is None:
            raise TypeError(f"data must have a length to be evaluated on; got {type(data).__name__}")
        loss, right, judged = 0.0, 0, 0
        with evaluating(self.model), self.precision.autocast(self.device):
            for start in range(0, n, 2048):
                inputs, targets = batch(0, n, slice(start, min(start + 2048, n)))
                outputs = self.model(inputs)
                loss += self.loss_fn(outputs, targets).item() * len(inputs)
                if not targets.is_floating_point() and outputs.ndim == targets.ndim + 1:
                    classes = -1 if outputs.shape[:-1] == targets.shape else 1
                    right += (outputs.argmax(classes) == targets).sum().item()
                    judged += targets.numel()
        return {"loss": loss / n} | ({"accuracy": right / judged} if judged else {})

    def save(self, path: str | Path) -> None:
        """Write all that the run needs to go on as if it had never stopped; see `gdlib.training.checkpoint.save`.

        The learning rate and the batch size are code, not state: give the resuming trainer the same ones. What a
        `gdlib.schedules.plateau` among them has seen is state, and is kept.
        """
        checkpoint.save(self, path)

    def load(self, path: str | Path) -> None:
        """Go on from a checkpoint: the steps that follow are, bit for bit, those of the run that wrote it.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is torn or does not fit this trainer's model, optimizer or data; nothing is changed then.
        """
        checkpoint.load(self, path)


def _as_optimizer(optimizer: Any, model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    wanted = "a function from the parameters to a torch.optim.Optimizer, or such an optimizer"
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not isinstance(optimizer, torch.optim.Optimizer):
        if not callable(optimizer):
            raise TypeError(f"optimizer must be {wanted}; got {optimizer!r}")
        fused = device.type == "cuda" and _takes_fused(optimizer)
        optimizer = optimizer(parameters, fused=True) if fused else optimizer(parameters)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be {wanted}; it gave {type(optimizer).__name__}")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not held & {id(p) for p in parameters}:
        raise ValueError("optimizer must hold the model's parameters; got one that holds none of them")
    return optimizer


def _takes_fused(optimizer: Callable) -> bool:
    """Whether a function takes ``fused`` and its caller has not chosen yet."""
    try:
        known = inspect.signature(optimizer).parameters
    except (TypeError, ValueError):
        return False
    chosen = getattr(optimizer, "keywords", {})
    return "fused" in known and not {"fused", "foreach", "differentiable"} & set(chosen)


def _would_spread(outputs: Tensor, targets: Tensor) -> bool:
    """Whether broadcasting pairs every output with every target, as (n, 1) and (n,) do."""
    try:
        size = torch.broadcast_shapes(outputs.shape, targets.shape).numel()
    except RuntimeError:
        return False
    return size > max(outputs.numel(), targets.numel())


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
