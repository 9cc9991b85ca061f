"""One step of a run, from top to bottom: the batch, its gradients, whether they are good, and the change."""

import math
import warnings
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from gdlib import _check
from gdlib.training import distributed
from gdlib.training._divergence import Divergence
from gdlib.training._guard import Guard
from gdlib.training._history import Step
from gdlib.training._interrupts import Uninterrupted, protect
from gdlib.training._objective import nothing, unlabelled
from gdlib.training._trained import clip, gradients, held, update
from gdlib.training.calling import at_least_one

if TYPE_CHECKING:
    from gdlib.training._trainer import Trainer


def take(trainer: "Trainer", guard: Guard) -> Step:
    """Take one step. The state of the run changes at the end, all of it or, where anything fails, nothing."""
    index, optimizer, schedule = trainer.steps_done, trainer.optimizer, trainer.lr
    lr = math.nan if schedule is None else _check.number("lr(step)", schedule(index), low=0.0)
    size = _check.whole("batch_size(step)", trainer.batch_size(index))
    if index % 16 == 0:  # a notebook sets its own handler for every cell
        protect()
    guard.begin()
    try:
        trainer.clear_gradients()
        loss = _gradients(trainer, guard, size)
        if not guard.learnt:
            guard.learn()
        if trainer._scaler:
            trainer._scaler.unscale_(optimizer)
        loss = guard.look(index, lr, loss, gradients(optimizer))
        norm = None if trainer.clip_norm is None else clip(optimizer, trainer.clip_norm)
        with Uninterrupted():
            if schedule is not None:
                for group, rate in zip(optimizer.param_groups, guard.rates):
                    group["lr"] = rate
                trainer._written = (optimizer, guard.rates)
            _update(trainer, guard, index, lr, loss)
            trainer.steps_done, trainer.samples_seen = index + 1, trainer.samples_seen + size
            trainer._first_loss = loss if index == 0 else trainer._first_loss
            step = Step(index, lr, size, trainer.samples_seen, loss, trainer, norm)
            trainer.tell({"loss": loss})
            if trainer._history is not None:
                trainer._history.append(step)
        return step
    except BaseException:
        if trainer.steps_done == index:
            guard.undo()
        raise


def _gradients(trainer: "Trainer", guard: Guard, size: int) -> Tensor:
    """Gradients and loss of a batch: at once, or in micro-batches that fit the memory."""
    while True:
        micro = trainer.micro_batch_size or size
        try:
            if micro >= size and not guard.many:
                return _at_once(trainer, size)
            return _in_parts(trainer, size, distributed.micro_batches(size, micro))
        except torch.OutOfMemoryError:
            if micro == 1 or guard.many:  # the other processes would wait for ever
                raise
            trainer.micro_batch_size = (micro + 1) // 2
            trainer.clear_gradients()
            guard.undo()
            if trainer.device.type == "cuda":
                torch.cuda.empty_cache()
            warnings.warn(f"out of memory: micro_batch_size is now {trainer.micro_batch_size}", stacklevel=6)


def _at_once(trainer: "Trainer", size: int) -> Tensor:
    batch = trainer._source.batch(trainer.seed, trainer.samples_seen, size, slice(0, size))
    with trainer.precision.autocast(trainer.device):
        _, (loss, count) = trainer._objective(trainer._forward, batch)
        if count is not None:
            loss = loss / at_least_one(count)
    (trainer._scaler.scale(loss) if trainer._scaler else loss).backward()
    return loss


def _in_parts(trainer: "Trainer", size: int, parts: list[tuple[slice, float]]) -> Tensor:
    """The gradient of the whole batch, part by part: of its mean over samples, or of the sum of all parts over their count."""
    total, count, seen, watched = 0.0, None, [], _look_at(trainer.steps_done)
    for k, (part, weight) in enumerate(parts, start=1):
        batch = trainer._source.batch(trainer.seed, trainer.samples_seen, size, part)
        with distributed.exchanging(trainer._module, now=k == len(parts)):
            with trainer.precision.autocast(trainer.device):
                outputs, value = trainer._objective(trainer._forward, batch)
                loss = value.total
            if value.count is not None:
                here = float(bool(weight))  # 0 for a process that has no sample of this batch
                count = value.count * here + (0 if count is None else count)
                loss = loss * (here / size)
            elif (watched or trainer.device.type == "cpu") and unlabelled(batch.targets):
                loss = nothing(outputs)
            else:
                loss = loss * weight
            (trainer._scaler.scale(loss) if trainer._scaler else loss).backward()
        total = loss.detach() + total
        if watched and value.count is None and weight:
            seen = [*seen[-1:], (outputs, batch.targets, part.stop - part.start)]
            trainer._objective.warn_if_inexact(seen)
    distributed.average_gradients(trainer._alone)
    return distributed.mean(total) if count is None else _divide_by_count(trainer, size, total, count)


def _divide_by_count(trainer: "Trainer", size: int, total: Tensor, count: Any) -> Tensor:
    """Gradients and loss of sums that were divided by the number of samples: divide them by the count of all parts instead."""
    n = distributed.size()
    wide = torch.promote_types(total.dtype, torch.float32)
    both = torch.stack([torch.as_tensor(value, device=total.device).to(wide) for value in (total, count)])
    if n > 1:
        dist.all_reduce(both)
    factor = size / at_least_one(both[1])
    for p in trainer.parameters():
        if p.grad is not None:
            distributed.local(p.grad).mul_((n * factor).to(p.grad.dtype))
    return (both[0] * factor).to(total.dtype)


def _look_at(index: int) -> bool:
    """Whether a step's parts are held against each other: at steps 0, 1, 2, 4, 8, ..."""
    return index & (index - 1) == 0


def _update(trainer: "Trainer", guard: Guard, index: int, lr: float, loss: Any) -> None:
    optimizer = trainer.optimizer
    if guard.late:
        optimizer.found_inf, optimizer.grad_scale = guard.found, None
        try:
            optimizer.step()
        finally:
            del optimizer.found_inf, optimizer.grad_scale
    elif trainer._scaler:
        trainer._scaler.step(optimizer)
        trainer._scaler.update()
    elif guard.headroom is not None:
        update(optimizer)
    else:
        _update_or_not(optimizer, index, lr, loss)


@torch.no_grad()
def _update_or_not(optimizer: torch.optim.Optimizer, index: int, lr: float, loss: Any) -> None:
    """An update by a rule that nobody knows here: with a copy of what it changes for as long as it takes, to go back to."""
    parameters = held(optimizer)
    before = [p.clone() for p in parameters]
    state = {
        p: {k: v.clone() if isinstance(v, Tensor) else v for k, v in own.items()} for p, own in optimizer.state.items()
    }
    try:
        with torch.enable_grad():
            optimizer.step()
        changed = [*parameters, *(v for own in optimizer.state.values() for v in own.values() if isinstance(v, Tensor))]
        if not all(distributed.local(t).isfinite().all() for t in changed):
            raise Divergence(index, lr, float(loss), "update")
    except BaseException:
        for p, old in zip(parameters, before):
            p.copy_(old)
        optimizer.state.clear()
        optimizer.state.update(state)
        raise
