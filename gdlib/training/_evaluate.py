"""How good a model is on data: the mean loss, the accuracy, and whatever else is asked for, in pieces that fit the memory."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gdlib.data import leaves, tree_map
from gdlib.models import evaluating
from gdlib.training import distributed
from gdlib.training._objective import IGNORED, Objective, detached, joined
from gdlib.training.loading import Batch, Stream

if TYPE_CHECKING:
    from gdlib.training._trainer import Trainer

ROOM = 2**21
"""Bytes of inputs and outputs in a piece, where that is more samples than a training step takes at a time."""


@torch.no_grad()
def evaluate(
    trainer: "Trainer", source: Any, metrics: Mapping[str, Callable], batch_size: int | None, model: nn.Module
) -> dict[str, float]:
    """See `Trainer.evaluate`."""
    objective = trainer._objective if model is trainer.model else Objective(model, trainer.loss_fn)
    modules = [model, *([trainer._loss_module] if trainer._loss_module else [])]
    tally, outcomes, before = Tally(), [], None
    with evaluating(nn.ModuleList(modules)), trainer.precision.autocast(trainer.device):
        for batch, n, weight in _pieces(trainer, source, batch_size, tally):
            outputs, value = objective(model, batch)
            if not tally.pieces:
                objective.refuse_spread(outputs, batch.targets)
            if value.count is None and weight:
                piece = (outputs, batch.targets, n)
                if before is not None and not objective.warned and tally.pieces == 1:
                    objective.warn_if_inexact([before, piece])
                before = before or piece
            tally.add(outputs, batch, value, n * weight)
            if metrics and weight:
                outcomes.append(tree_map(_on_host, (_by_sample(detached(outputs), n), batch.targets)))
    shared = not isinstance(source, Stream)  # which every process has read whole
    found = tally.means(shared)
    if metrics:
        if shared:
            outcomes = [piece for share in distributed.everyone(outcomes) for piece in share]
        outputs, targets = joined(outcomes)
        found |= {name: float(metric(outputs, targets)) for name, metric in metrics.items()}
    return found


def _pieces(
    trainer: "Trainer", source: Any, batch_size: int | None, tally: "Tally"
) -> Iterator[tuple[Batch, int, float]]:
    """This process's share of the data, piece by piece, each with its number of samples and 1, or 0 where it fills up.

    Every process takes equally many: under FSDP the parameters are gathered for each, and all have to take part in that.
    """
    own = trainer.micro_batch_size or -(-trainer.batch_size(trainer.steps_done) // distributed.size())
    size, n = batch_size or own, source.length
    if isinstance(source, Stream):
        yield from ((batch, count, 1.0) for batch, count in source.in_order(size))
        return
    if distributed.size() == 1:
        first = min(size, n)
        yield from ((batch, count, 1.0) for batch, count in source.in_order(size, slice(0, first)))
        if batch_size is None:
            size = max(size, ROOM // tally.bytes_a_sample)
        yield from ((batch, count, 1.0) for batch, count in source.in_order(size, slice(first, n)))
        return
    share, weight = distributed.share(n)
    taken, needed = 0, math.ceil(math.ceil(n / distributed.size()) / size)
    while taken < needed:
        for batch, count in source.in_order(size, share):
            yield batch, count, 1.0 if weight else 0.0
            taken += 1
        share, weight = slice(share.stop - 1, share.stop), 0.0


class Tally:
    """Sums and counts over pieces."""

    def __init__(self):
        self.pieces, self.bytes_a_sample = 0, 1
        self.loss: Tensor | float = 0.0
        self.count: Tensor | float = 0.0
        self.right: Tensor | float = 0.0
        self.judged: Tensor | float = 0.0
        self.classes = True

    def add(self, outputs: Any, batch: Batch, value: Any, n: float) -> None:
        wide = torch.float64 if value.total.device.type != "mps" else torch.float32
        count = n if value.count is None else value.count * (n > 0)
        self.loss += value.total.to(wide) * (n if value.count is None else float(n > 0))
        self.count += count
        judgement = right_and_judged(outputs, batch.targets) if self.classes else None
        if judgement is None:
            self.classes = False
        else:
            self.right += judgement[0] * (n > 0)
            self.judged += judgement[1] * (n > 0)
        if not self.pieces:
            tensors = [leaf for leaf in leaves((batch.inputs, outputs)) if isinstance(leaf, Tensor)]
            self.bytes_a_sample = max(1, sum(leaf.nbytes for leaf in tensors) // max(1, int(n)))
        self.pieces += 1

    def means(self, shared: bool) -> dict[str, float]:
        sums = torch.tensor(
            [float(self.loss), float(self.count), float(self.right), float(self.judged)], dtype=torch.float64
        )
        if shared:
            sums = torch.stack(distributed.everyone(sums)).sum(0) if distributed.size() > 1 else sums
        loss, count, right, judged = sums.tolist()
        if not count and not self.pieces:
            raise ValueError("data must hold at least one sample to be evaluated on; got none")
        return {"loss": loss / count if count else 0.0} | (
            {"accuracy": right / judged} if self.classes and judged else {}
        )


def right_and_judged(outputs: Any, targets: Any) -> tuple[Any, Any] | None:
    """How many class numbers ``outputs`` get right, and of how many; ``None`` where the targets are no class numbers.

    Labels of -100 do not count. Outputs with one number for each target are the logits of a yes or no.
    """
    logits = getattr(outputs, "logits", outputs.get("logits") if isinstance(outputs, Mapping) else outputs)
    labels = targets.get("labels") if isinstance(targets, Mapping) else targets
    if (
        not isinstance(logits, Tensor)
        or not isinstance(labels, Tensor)
        or labels.is_floating_point()
        or labels.is_complex()
    ):
        return None
    if isinstance(targets, Mapping) and logits.ndim > 2:  # whether they are shifted by one, the model alone knows
        return None
    if logits.shape in (labels.shape, (*labels.shape, 1)):
        kept = labels != IGNORED
        if not ((labels == 0) | (labels == 1) | ~kept).all():
            return None
        guess = (logits.reshape(labels.shape) > 0).long()
    elif logits.ndim == labels.ndim + 1 and logits.shape[:-1] == labels.shape:
        guess, kept = logits.argmax(-1), labels != IGNORED
    elif logits.ndim == labels.ndim + 1 and logits.shape[:1] + logits.shape[2:] == labels.shape:
        guess, kept = logits.argmax(1), labels != IGNORED
    else:
        return None
    return ((guess == labels) & kept).sum(), kept.sum()


def _by_sample(outputs: Any, n: int) -> Any:
    """Outputs without what does not belong to single samples, such as a loss."""
    if isinstance(outputs, Mapping):
        return {
            k: v for k, v in outputs.items() if all(isinstance(x, Tensor) and x.ndim and len(x) == n for x in leaves(v))
        }
    return outputs


def _on_host(leaf: Any) -> Any:
    return leaf.cpu() if isinstance(leaf, Tensor) else leaf
