"""What a step may spoil before it is known to be good, and how it is known.

The parameters need no copy: whether loss and gradients are finite is decided before the update, by the operation with which torch's
``GradScaler`` decides it. What the forward pass changes, buffers and generators, is kept, and put back after a step that failed.
"""

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from gdlib.optim import headroom
from gdlib.training import distributed
from gdlib.training._divergence import Divergence
from gdlib.training._generators import generators, same_generators, set_generators
from gdlib.training._state import own_generators

if TYPE_CHECKING:
    from gdlib.training._trainer import Trainer


class Guard:
    """Looks out for what is not finite, and keeps what a failed step has to give back.

    On a CPU each loss is looked at at once. A GPU works through its orders behind the loop's back, and to wait for each loss would
    leave it idle. So there, where the optimizer is a fused one that skips its update by a number on the device, the losses are copied
    to the host as they come and read `LAG` steps later; from the first bad step on nothing is changed any more.
    """

    LAG = 16

    def __init__(self, trainer: "Trainer"):
        self.trainer, device = trainer, trainer.device
        fused = all(group.get("fused") for group in trainer.optimizer.param_groups)
        self.late = device.type == "cuda" and fused and trainer._scaler is None and trainer._parallel != "fsdp"
        self.places = [
            (module._buffers, name)
            for part in trainer._parts
            for module in part.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        self.buffers: list[Tensor] = []
        self.kept = [distributed.local(owner[name]).detach().clone() for owner, name in self.places]
        self.several, self.learnt = True, False  # which generators the steps draw from; not known before the first
        self.found = torch.zeros((), device=device, dtype=torch.float32)
        self.many, self.rates, self.headroom = distributed.size() > 1, None, None
        if self.late:
            self.host = torch.empty(self.LAG + 1, 2, pin_memory=True, dtype=torch.float32)
            self.waiting: deque[tuple[int, int, float, Any, list[dict], torch.cuda.Event]] = deque()

    def begin(self) -> None:
        """Keep what the forward pass may change. Only the generators that the first step drew from are kept later on."""
        if self.places:
            self.buffers = [owner[name] for owner, name in self.places]
            self._keep([distributed.local(buffer) for buffer in self.buffers])
        self.drawn = generators(self.trainer.device) if self.several else {"torch": torch.get_rng_state()}
        self.own = own_generators(self.trainer.extra) if self.trainer.extra else []

    @torch.no_grad()
    def _keep(self, buffers: list[Tensor]) -> None:
        if self.late:
            self.kept = [torch.where(self.found == 0, new, old) for new, old in zip(buffers, self.kept)]
            return
        try:
            torch._foreach_copy_(self.kept, buffers)
        except RuntimeError:  # one was assigned anew, in another shape
            self.kept = [buffer.detach().clone() for buffer in buffers]

    def learn(self) -> None:
        """After the first forward and backward pass: which generators they drew from."""
        now = generators(self.trainer.device)
        used = {name for name in now if not same_generators({name: now[name]}, {name: self.drawn[name]})}
        self.several, self.learnt = bool(used - {"torch"}), True

    @torch.no_grad()
    def undo(self) -> None:
        """Put buffers and generators back as they were when the step began."""
        for (owner, name), buffer, kept in zip(self.places, self.buffers, self.kept):
            owner[name] = buffer  # the very one, also where the forward pass has assigned another
            distributed.local(buffer).copy_(kept)
        set_generators(generators(self.trainer.device) | self.drawn, self.trainer.device)
        for put_back in self.own:
            put_back()
        self.found.zero_()

    def look(self, index: int, lr: float, loss: Tensor, gradients: list[Tensor]) -> Tensor | float:
        """Take in the loss and the gradients of a step that is about to change the parameters; the loss as a number where that
        costs nothing.

        Raises:
            Divergence: if one of them is not finite; late, for an earlier step, on a GPU.
        """
        self.room(lr)
        if self.trainer._scaler is None:  # which looks for itself, and skips what is not finite
            self._look_for_large(gradients)
        if self.late:
            loss = loss.detach()
            self.found.masked_fill_(~loss.isfinite(), 1.0)  # 1 and no more: fused optimizers skip at 1 alone
            self._send(index, lr, loss)
            return loss
        value = loss.item()
        if not math.isfinite(value):
            raise Divergence(index, lr, value)
        if self.trainer._parallel == "fsdp":  # each process has looked at its own shards
            dist.all_reduce(self.found, dist.ReduceOp.MAX)
        if self.found.item():
            raise Divergence(index, lr, value, "gradient")
        return value

    def _look_for_large(self, gradients: list[Tensor]) -> None:
        """Note whether a gradient, times the power of two that the update needs above it, is not finite."""
        if self.many or any(g.is_complex() for g in gradients):
            gradients = [_real(distributed.local(g)) for g in gradients]
        for scale in self.scales:
            torch._amp_foreach_non_finite_check_and_unscale_(gradients, self.found, scale)

    def _send(self, index: int, lr: float, loss: Tensor) -> None:
        self.host[index % len(self.host)].copy_(torch.stack([loss.float(), self.found]), non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        seen = [dict(vars(plateau)) for plateau in self.trainer._plateaus]
        self.waiting.append((index, self.trainer.samples_seen, lr, self.drawn, seen, event))
        if len(self.waiting) > self.LAG:
            self._read()

    def room(self, lr: float) -> None:
        """Settle the groups' rates, and how many powers of two above the gradients are looked at, for an update with these rates to be
        finite where they are."""
        groups = self.trainer.optimizer.param_groups
        if not math.isnan(lr):
            self.trainer.warn_of_other_rates()
        rates = [group["lr"] if math.isnan(lr) else lr * group.get("lr_scale", 1.0) for group in groups]
        if rates != self.rates:
            self.rates, self.headroom = rates, headroom(self.trainer.optimizer, rates)
            up = self.headroom or 0
            powers = [up, -up] if up else [0]  # up and down again, which changes no digit
            self.scales = [torch.full_like(self.found, 2.0**power) for power in powers]

    def settle(self) -> None:
        """Read all losses that are still under way.

        Raises:
            Divergence: if one of them is not finite, or the gradient of its step is not.
        """
        while self.late and self.waiting:
            self._read()

    def _read(self) -> None:
        index, samples_seen, lr, drawn, seen, event = self.waiting.popleft()
        event.synchronize()
        value, bad = self.host[index % len(self.host)].tolist()
        if bad:  # from here on nothing was changed
            self.waiting.clear()
            self._rewind(index, samples_seen, drawn, seen)
            raise Divergence(index, lr, value, "gradient" if math.isfinite(value) else "loss")

    def _rewind(self, index: int, samples_seen: int, drawn: dict, seen: list[dict]) -> None:
        trainer = self.trainer
        trainer.steps_done, trainer.samples_seen, self.drawn = index, samples_seen, drawn
        for plateau, before in zip(trainer._plateaus, seen):
            vars(plateau).update(before)
        if trainer._history is not None:
            trainer._history.cut(index)
        self.undo()


def _real(gradient: Tensor) -> Tensor:
    return torch.view_as_real(gradient) if gradient.is_complex() else gradient
