"""When the loss is no longer finite: the error, and how it is noticed without waiting for the device."""

import math
from collections import deque
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gdlib.training import distributed

if TYPE_CHECKING:
    from gdlib.training._trainer import Trainer


class Divergence(ArithmeticError):
    """The loss is no longer finite. The model holds the parameters and buffers of the last step whose loss was.

    Attributes:
        step: number of the step that failed, counted from 0.
        lr: its learning rate; NaN where the optimizer kept its own.
        loss: its loss, NaN or infinity.

    Example:
        >>> from gdlib import Trainer, data, models
        >>> trainer = Trainer(models.linear(10), data.diabetes().train, torch.nn.functional.mse_loss, lr=10.0)
        >>> try:
        ...     _ = trainer.fit(1000)
        ... except Divergence as error:
        ...     print(error.lr, math.isfinite(error.loss))
        10.0 False
    """

    def __init__(self, step: int, lr: float, loss: float):
        super().__init__(
            f"the loss is {loss} at step {step} with lr {lr:g}; try a third of that rate, a warmup, or look for"
            " extreme values in the data. The model keeps the parameters of the last step with a finite loss."
        )
        self.step, self.lr, self.loss = step, lr, loss


class Watch:
    """Looks out for a loss that is not finite, and keeps the parameters and buffers of the last step whose loss was.

    On a CPU each loss is looked at at once. A GPU works through its orders behind the loop's back, and to wait for each loss
    would leave it idle. So its losses are copied to the host as they come, read `LAG` steps later, and the copy of the
    parameters is made by the GPU itself, as long as every loss so far was finite. All processes notice at the same step.
    """

    LAG = 16

    def __init__(self, trainer: "Trainer"):
        self.trainer, self.behind = trainer, trainer.device.type == "cuda"
        tensors = [*trainer.model.parameters(), *trainer.model.buffers()]
        self.tensors = [distributed.local(t.detach()) for t in tensors]
        self.kept = [t.clone() for t in self.tensors]
        self.buffers = len(list(trainer.model.buffers()))
        if self.behind:
            self.fine = torch.ones((), dtype=torch.bool, device=trainer.device)
            self.host = torch.empty(self.LAG + 1, pin_memory=True)
            self.waiting: deque[tuple[int, int, float, torch.cuda.Event]] = deque()

    def look(self, index: int, lr: float, loss: Tensor) -> Tensor | float:
        """Take in the loss of a step that is about to change the parameters; as a number where that costs nothing."""
        if not self.behind:
            value = loss.item()
            if not math.isfinite(value):
                raise Divergence(index, lr, value)
            torch._foreach_copy_(self.kept, self.tensors)
            return value
        self.fine &= loss.isfinite()
        for kept, tensor in zip(self.kept, self.tensors):
            torch.where(self.fine, tensor, kept, out=kept)
        self.host[index % len(self.host)].copy_(loss, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self.waiting.append((index, self.trainer.samples_seen, lr, event))
        if len(self.waiting) > self.LAG:
            self._read()
        return loss

    def settle(self) -> None:
        """Read all losses that are still under way."""
        while self.behind and self.waiting:
            self._read()

    def _read(self) -> None:
        index, samples_seen, lr, event = self.waiting.popleft()
        event.synchronize()
        value = self.host[index % len(self.host)].item()
        if not math.isfinite(value):
            self.waiting.clear()
            self.trainer.steps_done, self.trainer.samples_seen = index, samples_seen
            raise Divergence(index, lr, value)

    def restore(self) -> None:
        """Put back the last parameters and buffers with a finite loss."""
        torch._foreach_copy_(self.tensors, self.kept)

    def restore_buffers(self) -> None:
        """Put back the buffers alone, after a forward pass that did not end."""
        if self.buffers:
            torch._foreach_copy_(self.tensors[-self.buffers :], self.kept[-self.buffers :])
