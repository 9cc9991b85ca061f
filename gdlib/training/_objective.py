"""Model and loss on a batch: how inputs go in, and what a mean is.

A loss that returns ``(sum, count)`` can be added up over micro-batches and processes, however a batch is cut. One that returns a mean is
taken for a mean over samples; `Objective.warn_if_inexact` sees where it is not.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gdlib.data import leaves, tree_map
from gdlib.training._generators import host_generators, set_host_generators
from gdlib.training.calling import own_loss, several, takes
from gdlib.training.loading import Batch

IGNORED = -100
"""The label that torch's losses leave out, and so does the accuracy."""


FEW = 2**22
"""Numbers among the outputs of which the mean of a part is looked at once more."""


class Value(NamedTuple):
    """A batch's loss: a mean over ``count`` things where the loss said so, over its samples where ``count`` is ``None``."""

    total: Tensor  # the sum, or the mean where count is None
    count: Tensor | float | None


class Objective:
    """What is made small: the model's outputs judged by ``loss_fn``, or the loss that the model itself returns."""

    def __init__(self, model: nn.Module, loss_fn: Callable | None):
        self.model, self.loss_fn = model, loss_fn
        self.whole: bool | None = None  # whether inputs that are several go in as one argument; not known yet
        self.fits: set[bool] = set()  # with a gradient and without: whether the first batch has been looked at
        self.warned = False

    def outputs(self, forward: Callable, inputs: Any) -> Any:
        """``forward(inputs)``, ``forward(*inputs)`` or ``forward(**inputs)``, as the model's signature has it."""
        if isinstance(inputs, Tensor):
            return forward(inputs)
        if self.whole is None:
            self.whole = not takes(self.model.forward, inputs) and takes(self.model.forward, (inputs,))
        if self.whole or not isinstance(inputs, (Mapping, tuple, list)):
            return forward(inputs)
        return forward(**inputs) if isinstance(inputs, Mapping) else forward(*inputs)

    def __call__(self, forward: Callable, batch: Batch) -> tuple[Any, Value]:
        """Outputs and loss; the first time with an error in the caller's terms where model, data and loss do not fit together."""
        if torch.is_grad_enabled() in self.fits:
            return self._judge(forward, batch)
        try:
            with warnings.catch_warnings(record=True) as heard:  # what is refused below needs no warning beside it
                outputs, value = self._judge(forward, batch)
        except (RuntimeError, IndexError, AttributeError, TypeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            shapes = f"inputs {_describe(batch.inputs)}, targets {_describe(batch.targets)}"
            raise ValueError(f"model, data and loss_fn do not fit together: {shapes}; torch says: {error}") from error
        self._check(outputs, batch.targets, value)
        for one in heard:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        self.fits.add(torch.is_grad_enabled())
        return outputs, value

    def _judge(self, forward: Callable, batch: Batch) -> tuple[Any, Value]:
        if self.loss_fn is None:
            both = batch.inputs is batch.targets
            inputs = batch.inputs if both else (*several(batch.inputs), *several(batch.targets))
            outputs = self.outputs(forward, inputs)
            return outputs, Value(own_loss(outputs), None)
        outputs = self.outputs(forward, batch.inputs)
        value = self.loss_fn(outputs, batch.targets)
        return outputs, Value(*value) if isinstance(value, tuple) and len(value) == 2 else Value(value, None)

    def _check(self, outputs: Any, targets: Any, value: Value) -> None:
        if not isinstance(value.total, Tensor) or value.total.ndim or not value.total.is_floating_point():
            raise ValueError(
                "loss_fn must return a scalar tensor of floating point, the mean over the batch, or such a sum with its count;"
                f" got {_describe(value.total)}"
            )
        if not isinstance(value.count, (Tensor, Real, type(None))) or (
            isinstance(value.count, Tensor) and (value.count.numel() != 1 or value.count.is_complex())
        ):
            raise ValueError(f"loss_fn must return a number as the count of its sum; got {_describe(value.count)}")
        if torch.is_grad_enabled() and not value.total.requires_grad:
            raise ValueError(
                "loss_fn must return a loss that depends on a parameter that is trained; got one without a gradient"
                " (is it detached, made of NumPy's numbers, or is the model frozen?)"
            )
        self.refuse_spread(outputs, targets)

    def refuse_spread(self, outputs: Any, targets: Any) -> None:
        """Raise a ``ValueError`` where the loss pairs every output with every target, as it does with (n, 1) and (n,) unless it
        squeezes by itself."""
        if self.loss_fn is None or not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
            return
        if outputs.ndim == 0 or not _would_spread(outputs, targets):
            return
        probes, n = [outputs.detach()], min(32, len(outputs))
        if (
            outputs.numel() == targets.numel()
        ):  # the targets' own values tell more: there a loss is zero, but not over all pairs
            probes.append(targets.detach().to(outputs.dtype).reshape(outputs.shape))
        rows = [[(probe[i : i + 1], targets[i : i + 1], 1) for i in range(n)] for probe in probes]
        if n > 1 and not all(map(self._adds_up, rows)):
            raise ValueError(
                f"targets must have the shape of the model's outputs, {tuple(outputs.shape)}; got"
                f" {tuple(targets.shape)}, which torch would spread over every pair of samples"
            )

    def warn_if_inexact(self, parts: list[tuple[Any, Any, int]]) -> None:
        """Warn, once, where the mean over a batch is not the mean of its parts' means.

        Args:
            parts: outputs, targets and number of samples of some parts of a batch.
        """
        if self.warned:
            return
        parts = [_few((detached(outputs), targets, n)) for outputs, targets, n in parts]
        if self.loss_fn is None:
            shares = {_labelled(targets) / n for _, targets, n in parts}
            exact = len(shares) == 1
        else:
            halves = [
                half
                for part in parts
                if part[2] > 1
                for half in (_rows(part, 0, part[2] // 2), _rows(part, part[2] // 2, part[2]))
            ]
            exact = all(self._adds_up(list(two)) for two in [*zip(parts, parts[1:]), *zip(halves[::2], halves[1::2])])
        if not exact:
            self.warned = True
            warnings.warn(
                "the loss of this batch is not the mean of its parts' losses (does it leave out labels, weigh, or pair samples?):"
                " in micro-batches and over processes its gradient differs from the whole batch's; let loss_fn return"
                " (sum, count) instead of the mean",
                stacklevel=2,
            )

    @torch.no_grad()
    def _adds_up(self, parts: list[tuple[Any, Any, int]]) -> bool:
        """Whether the loss of the parts together is the mean of their losses, weighed by their samples; true where it cannot be seen."""
        before = host_generators()
        try:
            with warnings.catch_warnings(action="ignore"):
                each = [self.loss_fn(outputs, targets) for outputs, targets, _ in parts]
                whole = self.loss_fn(*(joined([part[side] for part in parts]) for side in (0, 1)))
            if isinstance(whole, tuple):
                return True
            mean = sum(loss.item() * n for loss, (_, _, n) in zip(each, parts)) / sum(n for _, _, n in parts)
        except Exception:  # a loss that cannot be cut is nothing that could be compared
            return True
        finally:
            set_host_generators(before)
        rounding = max(1e-3, 4 * torch.finfo(whole.dtype).eps)
        return math.isclose(whole.item(), mean, rel_tol=rounding, abs_tol=1e-6) or math.isnan(whole.item())


def unlabelled(targets: Any) -> bool:
    """Whether every label is one that is left out, so that a mean over the others is one over nothing."""
    labels = targets.get("labels") if isinstance(targets, Mapping) else targets
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex():
        return False
    return not (labels != IGNORED).any().item()


def nothing(outputs: Any) -> Tensor:
    """A loss of 0 that is made of ``outputs``, so that the backward pass takes its way through the model all the same."""
    return sum(leaf.sum() for leaf in leaves(outputs) if isinstance(leaf, Tensor) and leaf.requires_grad) * 0.0


def detached(tree: Any) -> Any:
    """The same nest, apart from the graph."""
    return tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf, tree)


def joined(trees: list[Any]) -> Any:
    """Nests of tensors, one after another along their first dimension; of what is no such tensor, the first."""
    first = trees[0]
    if isinstance(first, Mapping):
        return {name: joined([tree[name] for tree in trees]) for name in first}
    if isinstance(first, (tuple, list)):
        return type(first)(joined(list(branches)) for branches in zip(*trees))
    return torch.cat(trees) if isinstance(first, Tensor) and first.ndim else first


def _rows(part: tuple[Any, Any, int], start: int, stop: int) -> tuple[Any, Any, int]:
    def cut(leaf: Any) -> Any:
        return leaf[start:stop] if isinstance(leaf, Tensor) and leaf.ndim and len(leaf) == part[2] else leaf

    return tree_map(cut, part[0]), tree_map(cut, part[1]), stop - start


def _few(part: tuple[Any, Any, int]) -> tuple[Any, Any, int]:
    """As many of a part's samples as can be judged a second time in little memory: the logits of a large vocabulary are most of a step's."""
    numbers = sum(leaf.numel() for leaf in leaves(part[0]) if isinstance(leaf, Tensor))
    n = max(1, part[2] * FEW // max(1, numbers))
    return part if n >= part[2] else _rows(part, 0, n)


def _labelled(targets: Any) -> int:
    labels = targets.get("labels") if isinstance(targets, Mapping) else targets
    return int((labels != IGNORED).sum()) if isinstance(labels, Tensor) else 0


def _would_spread(outputs: Tensor, targets: Tensor) -> bool:
    """Whether broadcasting pairs every output with every target, as (n, 1) and (n,) do."""
    try:
        size = torch.broadcast_shapes(outputs.shape, targets.shape).numel()
    except RuntimeError:
        return False
    return size > max(outputs.numel(), targets.numel())


def _describe(tree: Any) -> str:
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{name}: {_describe(branch)}" for name, branch in tree.items()) + "}"
    if isinstance(tree, (tuple, list)):
        return "(" + ", ".join(map(_describe, tree)) + ")"
    if not isinstance(tree, Tensor):
        return type(tree).__name__
    return f"{tuple(tree.shape)} {str(tree.dtype).removeprefix('torch.')}"
