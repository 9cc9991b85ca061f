"""Samples of whatever kind: how many there are, some of them, and the loss of a model on them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, default_collate

from gdlib.data import Dataset, as_dataset, epoch_order, tree_map


def as_samples(name: str, data: Any) -> Any:
    """What can be taken apart: a `Dataset`, or something with a length and places, such as a torch data set.

    Raises:
        TypeError: if ``data`` is neither.
    """
    if isinstance(data, Mapping):
        return Dataset(data, data)
    if isinstance(data, list) and data and all(isinstance(sample, (tuple, Mapping)) for sample in data):
        return data
    places = (
        hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, (tuple, str, DataLoader))
    )
    return data if places and not isinstance(data, Dataset) and not hasattr(data, "ndim") else as_dataset(name, data)


def some(data: Any, rows: Tensor) -> Any:
    """The samples at these places, as data of their own."""
    if not isinstance(data, Dataset):
        return Subset(data, rows.tolist())
    inputs = tree_map(lambda leaf: leaf[rows], data.inputs)
    whole = data.targets is data.inputs
    return Dataset(inputs, inputs if whole else tree_map(lambda leaf: leaf[rows], data.targets))


def apart(data: Any, count: int, seed: int) -> tuple[Any, Any]:
    """The samples without the last ``count`` of one shuffle, and these."""
    order = epoch_order(len(data), 0, seed)
    return some(data, order[:-count]), some(data, order[-count:])


def batch(data: Any, rows: Tensor, device: torch.device) -> tuple[Any, Any]:
    """Inputs and targets of the samples at these places; both are the sample where that is one dict."""
    if isinstance(data, Dataset):
        part = some(data, rows).to(device)
        return part.inputs, part.inputs if data.targets is data.inputs else part.targets
    made = default_collate([data[row] for row in rows.tolist()])
    made = tree_map(lambda leaf: leaf.to(device), made)
    return (made, made) if isinstance(made, dict) else tuple(made)


def value(
    model: nn.Module, loss_fn: Callable | None, inputs: Any, targets: Any, forward: Callable | None = None
) -> Any:
    """What the loss, or a model that has its own, gives: a mean, or a sum and a count."""
    forward = forward or model
    if isinstance(inputs, Mapping):
        outputs = forward(**inputs)
    else:
        outputs = forward(*inputs) if isinstance(inputs, (tuple, list)) else forward(inputs)
    if loss_fn is not None:
        return loss_fn(outputs, targets)
    return outputs["loss"] if isinstance(outputs, Mapping) else getattr(outputs, "loss", outputs)


def best_constant(loss_fn: Callable | None, outputs: Tensor, targets: Any) -> Tensor | None:
    """The output, the same for all samples, whose mean loss is lowest; ``None`` where that cannot be asked.

    Args:
        loss_fn: the loss.
        outputs: of some model on some samples.
        targets: of these samples.
    """
    if loss_fn is None or not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        return None
    best = nn.Parameter(torch.zeros_like(outputs[:1]))
    search = torch.optim.LBFGS([best], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        loss = mean(loss_fn(best.expand_as(outputs), targets))
        loss.backward()
        return loss

    try:
        with torch.enable_grad():
            search.step(closure)
    except (RuntimeError, ValueError, TypeError, IndexError):
        return None
    return best.detach() if best.isfinite().all() else None


def mean(loss: Any) -> Tensor:
    """The mean of what a loss returned: that, or a sum and a count."""
    return loss[0] / loss[1] if isinstance(loss, tuple) else loss
