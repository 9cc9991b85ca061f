"""The training loop, as an iterator: the body of ``for step in trainer.run(1000)`` belongs to the reader."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import EllipsisType
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gdlib import _check, optim
from gdlib.batching import BatchSize, as_batch_size
from gdlib.schedules import Schedule, as_schedule, plateaus
from gdlib.training import _state, checkpoint, distributed, loading
from gdlib.training import device as devices
from gdlib.training._divergence import Divergence
from gdlib.training._evaluate import evaluate
from gdlib.training._guard import Guard
from gdlib.training._history import History, Step
from gdlib.training._interrupts import protect, release
from gdlib.training._objective import Objective
from gdlib.training._step import take
from gdlib.training._trained import as_optimizer, brings_its_rate, gradients, held, trainable
from gdlib.training.calling import module_of
from gdlib.training.checkpoint import place

DEFAULT_LR = 0.1
RETRY = 1 / 3  # of the rate, after a divergence


class Trainer:
    """Trains ``model`` on ``data``: on a CPU, a GPU, or, under ``torchrun``, many.

    Args:
        model: trained in place, on ``device``. Parts of it that are in evaluation mode while the model itself is in training mode, such
            as a frozen batch norm, stay so.
        data: samples (input, target), each a tensor or a nest of tuples and dicts of them, or samples that are one dict: a
            `Dataset`, a pair (inputs, targets), a dict of tensors, a ``torch.utils.data.Dataset`` or an iterable; see
            `gdlib.training.loading.source` for where they are kept. A tuple of inputs goes into ``model(*inputs)``, a dict into
            ``model(**inputs)``, or whole where that is what the model takes. A sample that is one dict goes into the model whole.
        loss_fn: ``loss_fn(outputs, targets)`` gives the mean over the batch's samples, or ``(sum, count)`` where the mean is over
            something else: tokens that have a label, weights, pairs. Then micro-batches and processes add up to the whole batch. Where a
            sample is one dict, that is the targets. ``None`` where the model returns its loss. Parameters of a loss that is a module
            are trained and saved along.
        optimizer: a function from the parameters to a ``torch.optim.Optimizer``, such as ``partial(torch.optim.SGD, momentum=0.9)``,
            or an optimizer that already holds the model's parameters. A function gets all of them, also the frozen ones, which it
            leaves alone until they are unfrozen; one that takes ``fused`` is given it on a GPU.
        lr: learning rate, a positive number or a function of the step; a parameter group's ``"lr_scale"`` multiplies it (groups with
            rates of their own lose them, and a warning says so). If it is not given, an optimizer that brings its own rate keeps it,
            and its groups theirs: one that is ready, a function of yours, or a partial with ``lr``; other optimizers get 0.1. ``None``
            always leaves the optimizer's own alone. Assignable during a run.
        batch_size: samples a step, over all processes; a whole number or a function of the step. Assignable during a run.
        device: ``"auto"`` (CUDA, else MPS, else CPU), a name or a ``torch.device``.
        precision: ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"fp16"``; see `gdlib.training.device.precision`.
        micro_batch_size: samples that go through the model at a time, in each process; their gradients add up to that of the
            whole batch. ``None`` takes the whole share, and halves it, once and for all, whenever memory runs out. Batch norm
            sees micro-batches, not batches.
        clip_norm: the gradient is scaled down to this norm where it is larger; ``None`` leaves it.
        compile: ``True`` compiles the model (``torch.compile``); a string names a backend.
        seed: fixes the order of the samples and what a data set draws for each (`gdlib.training.loading`). Initial weights and dropout
            follow torch's own generator.
        parallel: under torchrun ``"auto"`` (DDP), ``"ddp"`` or ``"fsdp"``, which needs ``optimizer`` as a function.
        workers: processes of torch's ``DataLoader`` that fetch samples ahead; 0 fetches them in this one. For data whose samples are
            made one by one; tensors need none.
        collate_fn: makes a batch of a list of samples, such as one that pads them; ``None`` is torch's ``default_collate``.

    Attributes:
        model, optimizer, device, data, seed, loss_fn: as above; ``data`` and ``seed`` may be assigned.
        steps_done: steps completed since the start.
        samples_seen: samples used by them.
        micro_batch_size: the present one; ``None`` until memory has run out.
        extra: a dict for things of yours that travel in the checkpoint: numbers (a best score, patience), tensors, generators, and
            whatever has ``state_dict`` and ``load_state_dict`` (an average of the weights, a second optimizer).

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
        loss_fn: Callable[[Any, Any], Any] | None,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | torch.optim.Optimizer = torch.optim.SGD,
        lr: float | Schedule | EllipsisType | None = ...,
        batch_size: int | BatchSize = 64,
        device: str | torch.device = "auto",
        precision: str = "auto",
        micro_batch_size: int | None = None,
        clip_norm: float | None = None,
        compile: bool | str = False,
        seed: int = 0,
        parallel: str = "auto",
        workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
    ):
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
        if loss_fn is not None and not callable(loss_fn):
            raise TypeError(f"loss_fn must be a function of (outputs, targets), or None; got {loss_fn!r}")
        if not isinstance(compile, (bool, str)):
            raise TypeError(f"compile must be True, False or the name of a backend; got {compile!r}")
        if isinstance(compile, str):
            _check.one_of("compile", compile, torch.compiler.list_backends(exclude_tags=()))
        if collate_fn is not None and not callable(collate_fn):
            raise TypeError(f"collate_fn must be a function of a list of samples; got {collate_fn!r}")
        self._lr_factor, self._lr, self._batch_size = 1.0, None, None
        self.lr = (None if brings_its_rate(optimizer) else DEFAULT_LR) if lr is ... else lr
        self.batch_size = batch_size
        self.micro_batch_size = None if micro_batch_size is None else _check.whole("micro_batch_size", micro_batch_size)
        self.clip_norm = None if clip_norm is None else _check.positive("clip_norm", clip_norm)
        self.loss_fn, self._loss_module = loss_fn, module_of(loss_fn)
        self._parallel, self.device = distributed.join(parallel, devices.resolve(device))
        first = trainable(model, self._loss_module)
        if self._parallel == "fsdp" and isinstance(optimizer, torch.optim.Optimizer):
            raise ValueError(
                "optimizer must be a function from the parameters with parallel='fsdp', which replaces them"
            )
        self.precision = devices.precision(precision, self.device, first.dtype)
        self._workers, self._collate = _check.whole("workers", workers, low=0), collate_fn
        self.seed = _check.whole("seed", seed, low=0)
        self.extra: dict[str, Any] = {}
        self.steps_done = self.samples_seen = 0
        self.data = data
        self._in_eval = {module for module in model.modules() if model.training and not module.training}
        self._model = model.to(self.device)
        if self._loss_module is not None:
            self._loss_module.to(self.device)
        self._parts = [part for part in (self.model, self._loss_module) if part is not None]
        self._compile = "inductor" if compile is True else compile
        self._wrap()
        self._alone = (
            [p for p in self._loss_module.parameters() if p not in set(model.parameters())] if self._loss_module else []
        )
        distributed.same_everywhere(self._alone)
        self.optimizer = as_optimizer(optimizer, [*self.model.parameters(), *self._alone], self.device)
        if self._lr is not None:
            optim.warn_if_levelled(self.optimizer)
        self._frozen = {p for p in self.parameters() if not p.requires_grad}
        self._objective = Objective(self.model, loss_fn)
        scaled = self.precision.dtype == torch.float16
        self._scaler = torch.amp.GradScaler(self.device.type) if scaled else None
        self._first_loss: Tensor | float = math.inf
        self._history: History | None = None
        self._guard: Guard | None = None
        self._running = False
        self._ahead_of_plan, self._evaluated = 0, (..., None)
        # An optimizer, and the rates of its groups as the last step wrote them.
        self._written: tuple[Any, list[float]] = (None, [])
        self._warned_of_rates = False

    # What may be assigned

    @property
    def model(self) -> nn.Module:
        """The model. Another one needs a trainer of its own."""
        return self._model

    @property
    def lr(self) -> Schedule | None:
        """The learning rate as a function of the step, what retries took from it included; a number may be assigned."""
        if self._lr is None or self._lr_factor == 1.0:
            return self._lr
        return lambda step, schedule=self._lr, factor=self._lr_factor: schedule(step) * factor

    @lr.setter
    def lr(self, value: float | Schedule | None) -> None:
        self._lr, self._lr_factor = None if value is None else as_schedule(value), 1.0
        if value is not None and hasattr(self, "optimizer"):
            optim.warn_if_levelled(self.optimizer)
        self._plateaus = plateaus(self._lr, self._batch_size)

    @property
    def batch_size(self) -> BatchSize:
        """The batch size as a function of the step; a whole number may be assigned."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int | BatchSize) -> None:
        self._batch_size = as_batch_size(value)
        self._plateaus = plateaus(self._lr, self._batch_size)

    @property
    def data(self) -> Any:
        """What is trained on. Other data may be assigned; the batches that follow are theirs."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        self._source = loading.source(value, self.device, self._workers, self._collate, self._coming)
        self._data = value

    def _coming(self) -> Iterator[loading.Place]:
        """What the steps from here on will ask of the data, as far as anybody knows now."""
        index, seen = self.steps_done, self.samples_seen
        while True:
            size = self.batch_size(index)
            micro = self.micro_batch_size or -(-size // distributed.size())
            yield from ((seen, size, part) for part, _ in distributed.micro_batches(size, micro))
            index, seen = index + 1, seen + size

    def reseed(self, seed: int) -> None:
        """Draw the batches that follow as a trainer with this ``seed`` would; the same as assigning ``seed``."""
        self.seed = _check.whole("seed", seed, low=0)

    @property
    def epochs_done(self) -> int:
        """Whole passes over the data; 0 where nobody knows how long it is."""
        return self.samples_seen // self._source.length if self._source.length else 0

    def parameters(self) -> list[nn.Parameter]:
        """Those of the model and of the loss, and any others that the optimizer holds, each once."""
        return list(dict.fromkeys([*self.model.parameters(), *self._alone, *held(self.optimizer)]))

    # The loop

    def run(
        self,
        steps: int | None = None,
        checkpoint: str | Path | None = None,
        every: int = 100,
        retries: int = 0,
        history: History | None = None,
        *,
        until: int | None = None,
    ) -> Iterator[Step]:
        """Train, one step for each turn of the loop around it. Leaving the loop early leaves a trainer that can go on; to have the
        checkpoint from there too, call ``save`` before.

        With a ``checkpoint`` the same line starts a run and, after a crash, goes on with it: if the file exists, it is loaded
        first, and the steps done before count.

        Args:
            steps: how many more steps to take.
            checkpoint: file to save to, after the loop's body, every so many steps and at the end.
            every: how many steps apart.
            retries: how often to go back to the checkpoint when a step is not finite, each time with a third of the rate, until
                another is assigned. A checkpoint is then written only while the loss has not risen above the first step's by more than
                that loss's size, so that there is something good to go back to.
            history: each step is appended to it. It travels in the checkpoint, so that after a crash it begins where the run did.
            until: in place of ``steps``: how many steps there shall have been since the start, so that the same lines after a crash
                do the same work.

        Raises:
            TypeError, ValueError: if an argument is not what is said above, ``model`` and ``data`` do not fit, or a schedule
                gives a rate or a batch size that is not one.
            Divergence: when a loss, a gradient or an update is not finite. On a GPU it is noticed some steps late, and told as of its
                own step; the state is that of before it.
        """
        end = self._end(steps, until)
        every = _check.whole("every", every)
        if _check.whole("retries", retries, low=0) and checkpoint is None:
            raise ValueError("checkpoint must be given, for retries to go back to")
        path = None if checkpoint is None else place(checkpoint)
        return self._run(end, path, every, retries, history)

    def _end(self, steps: int | None, until: int | None) -> int:
        if (steps is None) == (until is None):
            raise ValueError(f"one of steps and until must be given; got steps={steps!r}, until={until!r}")
        if until is not None:
            return _check.whole("until", until, low=0)
        return self.steps_done - self._ahead_of_plan + _check.whole("steps", steps, low=0)

    def _run(self, end: int, path: Path | None, every: int, retries: int, history: History | None) -> Iterator[Step]:
        self._history, due = history, False
        try:
            self._running = True
            if path is not None:
                self.load(path) if path.exists() else self.save(path)
            # A checkpoint that lies beyond this run's end belongs to a later one of the same script, which counts from this end.
            self._ahead_of_plan = max(0, self.steps_done - end)
            self._begin()
            while True:
                try:
                    if due or self.steps_done >= end:
                        self._guard.settle()
                    if due:
                        self.save(path)
                    if self.steps_done >= end:
                        return
                    step = take(self, self._guard)
                except Divergence as error:
                    if not retries:
                        raise
                    retries, due = retries - 1, False
                    self._retry(path, error)
                    continue
                self._ahead_of_plan = 0
                yield step
                due = path is not None and (self.steps_done % every == 0 or self.steps_done >= end)
                if due and retries:
                    due = step.loss - self._first_loss <= abs(self._first_loss)
        finally:
            self._running = False
            release()

    def _begin(self) -> None:
        """Before the first step of a run: into training mode, and whatever the reader may have changed since the last."""
        if not torch.is_grad_enabled():
            raise RuntimeError(
                "training needs gradients, and torch.no_grad() or torch.inference_mode() is on around it"
            )
        if not self.model.training:
            self.model.train()
            for module in self._in_eval:
                module.eval()
        if self._loss_module is not None:
            self._loss_module.train()
        protect()
        self._everything = self.parameters()
        self._guard = Guard(self)

    def _wrap(self) -> None:
        self._module = distributed.wrap(self.model, self._parallel, self.device, self.precision.dtype)
        self._exchanged = distributed.trained(self.model)
        self._forward = torch.compile(self._module, backend=self._compile) if self._compile else self._module

    def _retry(self, path: Path, error: Divergence) -> None:
        self.load(path)
        if self._lr is None:
            for group in self.optimizer.param_groups:
                group["lr"] *= RETRY
        self._lr_factor *= RETRY
        self.save(path)
        self._guard = Guard(self)
        told = error.args[0].split(";")[0]
        warnings.warn(f"{told}: back to step {self.steps_done} with a third of the rate", stacklevel=3)

    def clear_gradients(self) -> None:
        """Forget the gradients of all parameters, also of those that the optimizer does not hold."""
        ddp = self._parallel == "ddp"
        if ddp and distributed.trained(self.model) != self._exchanged:
            self._wrap()
        for p in self._everything:
            if ddp and p.grad is not None and p.requires_grad:
                p.grad.zero_()  # a view of DDP's buckets; without it micro-batches would add up in a copy
            else:
                p.grad = None  # what zero_grad() does, without its hooks, which cost more than a small layer
        if self._frozen and (melted := {p for p in self._frozen if p.requires_grad}):
            self._frozen.difference_update(melted)
            kept = set(held(self.optimizer))
            if lost := [name for name, p in self.model.named_parameters() if p in melted and p not in kept]:
                warnings.warn(
                    f"{', '.join(lost[:3])} ({len(lost)} in all) now require a gradient, but the optimizer does not hold them:"
                    " they stay as they are; call optimizer.add_param_group",
                    stacklevel=6,
                )

    def tell(self, values: Mapping[str, Any]) -> None:
        """Tell the plateaus among the schedules what they watch."""
        for plateau in self._plateaus:
            if plateau.watch in values:
                plateau.observe(values[plateau.watch])

    def warn_of_other_rates(self) -> None:
        """Warn, once, where a group's rate is not what the last step wrote there."""
        optimizer, rates = self._written
        if optimizer is not self.optimizer or self._warned_of_rates:
            return
        for group, written in zip(optimizer.param_groups, rates):
            if group["lr"] != written:
                self._warned_of_rates = True
                warnings.warn(
                    f"something else has set the optimizer's lr to {group['lr']:g} (a scheduler of torch's?); trainer.lr writes over"
                    " it at each step. Pass lr=None to leave the rate to the optimizer, or the schedule as lr",
                    stacklevel=6,
                )
                return

    def gradient_norm(self) -> Tensor:
        """Norm of the gradient that the last step used, over all that the optimizer holds."""
        return nn.utils.get_total_norm(gradients(self.optimizer))

    def fit(
        self,
        steps: int | None = None,
        progress: bool = False,
        checkpoint: str | Path | None = None,
        every: int = 100,
        retries: int = 0,
        *,
        until: int | None = None,
    ) -> History:
        """Train as `run` does, and return the steps as columns.

        Args:
            steps, until: how many more steps to take, or how many there shall have been since the start.
            progress: show a bar.
            checkpoint, every, retries: as for `run`.
        """
        history, end, first = History(), self._end(steps, until), self.steps_done
        run = self.run(steps, checkpoint, every, retries, history, until=until)
        with tqdm(total=max(0, end - first), disable=not progress or distributed.rank() > 0, unit="step") as bar:
            for _ in run:
                bar.update(self.steps_done - first - bar.n)
        return history

    def evaluate(
        self,
        data: Any,
        metrics: Mapping[str, Callable[[Any, Any], float]] | None = None,
        batch_size: int | None = None,
        model: nn.Module | None = None,
    ) -> dict[str, float]:
        """Mean loss over ``data`` in evaluation mode, the accuracy in [0, 1] where the targets are class numbers, and ``metrics``.

        Labels of -100 do not count. Outputs with one number for each target of 0 or 1 are the logits of a yes or no. The modes are put
        back afterwards; no random number is drawn. Several processes share the work.

        Args:
            data: what `Trainer` takes; an iterable is read once.
            metrics: from a name to a function of all outputs and all targets, on the CPU, such as ``{"f1": f1}``. One called
                "accuracy" takes the place of the trainer's own; "loss" is taken.
            batch_size: samples at a time; ``None`` takes as many as a training step does, or more where they are small.
            model: judged in place of the trainer's own, such as an average of its weights.

        Raises:
            TypeError, ValueError: if an argument is not what is said above, or ``data`` is empty.
        """
        if batch_size is not None:
            _check.whole("batch_size", batch_size)
        if model is not None and not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
        if metrics is not None and not (isinstance(metrics, Mapping) and all(map(callable, metrics.values()))):
            raise TypeError(f"metrics must be a dict from names to functions of (outputs, targets); got {metrics!r}")
        if metrics and "loss" in metrics:
            raise ValueError("metrics must leave the name 'loss' to the loss itself; call it otherwise")
        if self._evaluated[0] is not data:  # what was checked and moved once need not be again
            self._evaluated = (data, loading.source(data, self.device, self._workers, self._collate))
        return evaluate(self, self._evaluated[1], metrics or {}, batch_size, self.model if model is None else model)

    # The state

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, as a dict of tensors and plain values that later steps leave alone.

        In it are model (extra state and buffers that are not saved too), loss, optimizer, generators (torch's, NumPy's, Python's, and
        those in ``extra``), counters, what plateaus have seen, the factor of the rate after retries, the loss scale, and ``extra``. The
        learning rate and the batch size are code, not state: give the resuming trainer the same ones. All processes must call it
        together.

        Raises:
            TypeError: if something in it is neither a tensor nor a plain value.
        """
        if self._guard is not None:
            self._guard.settle()
        return _state.copied(_state.capture(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, here or elsewhere: the steps that follow are, bit for bit, the same.

        Raises:
            ValueError: if it does not fit this trainer's model, loss, optimizer or data; nothing is changed then.
        """
        _state.restore(self, _state.copied(state))  # torch's optimizers go on with the very tensors that they load
        self._guard = None if self._guard is None else Guard(self)

    @contextmanager
    def scratch(self) -> Iterator["Trainer"]:
        """Within the ``with`` block do what you like with the trainer; afterwards it is, bit for bit, as before.

        Example:
            >>> from gdlib import data, models
            >>> trainer = Trainer(models.linear(10), data.diabetes().train, nn.functional.mse_loss, lr=0.1)
            >>> with trainer.scratch():
            ...     _ = trainer.fit(5)
            >>> trainer.steps_done
            0
        """
        state, parameters, own = self.state_dict(), self.parameters(), self.extra
        gradients = [p.grad for p in parameters]
        kept = {name: getattr(self, name) for name in (
            "_lr", "_batch_size", "_plateaus", "_lr_factor", "_data", "_source", "_history", "_guard", "_ahead_of_plan",
            "_written", "micro_batch_size", "clip_norm", "loss_fn", "_in_eval", "_frozen", "_running",
        )}  # fmt: skip
        extra, frozen = dict(self.extra), set(self._frozen)
        modes = [(module, module.training) for part in self._parts for module in part.modules()]
        asked = [p.requires_grad for p in parameters]
        try:
            yield self
        finally:
            vars(self).update(kept)
            self._frozen = frozen
            self.extra = own
            own.clear()
            own |= extra
            _state.restore(self, state)
            self.micro_batch_size = kept["micro_batch_size"]
            for module, training in modes:
                module.training = training
            for p, gradient, wanted in zip(parameters, gradients, asked):
                p.grad = gradient
                p.requires_grad_(wanted)

    def save(self, path: str | Path) -> None:
        """Write `state_dict`, and the history of the run, to a file; see `gdlib.training.checkpoint.write`.

        Raises:
            TypeError: if something in the state could not be read back; nothing is written then.
            FileNotFoundError: if the folder of ``path`` does not exist.
            ValueError: if ``path`` is something else than a file.
        """
        if self._guard is not None:
            self._guard.settle()
        history = self._history.state_dict() if self._history is not None else None
        checkpoint.write(path, _state.capture(self) | {"history": history})

    def load(self, path: str | Path) -> None:
        """Go on from a checkpoint: the steps that follow are, bit for bit, those of the run that wrote it.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is torn or does not fit this trainer's model, loss, optimizer or data; nothing is changed then.
        """
        state = checkpoint.read(path, partial(_state.layout, self))
        fresh = self.steps_done == 0
        if not isinstance(state, dict) or "format" not in state:
            raise ValueError(
                f"path must name a checkpoint of Trainer.save; got {str(path)!r}, which holds something else"
            )
        differing = _state.settings_that_differ(self, state) if fresh else []
        _state.restore(self, state, f"path {str(path)!r}")
        if differing and distributed.rank() == 0:
            warnings.warn(f"the checkpoint's settings of the optimizer go on: {', '.join(differing)}", stacklevel=2)
        if state["history"] is not None:
            if self._history is None or not self._running:  # one that was handed out stays as it is
                self._history = History()
            self._history.load_state_dict(state["history"])
        self._guard = None if self._guard is None else Guard(self)
