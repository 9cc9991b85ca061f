"""Samples of whatever kind: how many there are, some of them, and the loss of a model on them."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Subset, default_collate
from torch.utils.flop_counter import flop_registry

from gdlib.data import Dataset, as_dataset, epoch_order, samples_at, tree_map, unpacked
from gdlib.training.calling import at_least_one, module_of, own_loss, several, takes


def as_samples(name: str, data: Any) -> Any:
    """What can be taken apart: a `Dataset`, or something with a length and places, such as a torch data set.

    Raises:
        TypeError: if ``data`` is neither.
    """
    data = unpacked(data)
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
    return samples_at(data, rows) if isinstance(data, Dataset) else Subset(data, rows.tolist())


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
    if loss_fn is None and inputs is not targets:
        inputs = (*several(inputs), *several(targets))
    if isinstance(inputs, Mapping) and takes(model.forward, inputs):
        outputs = forward(**inputs)
    elif isinstance(inputs, (tuple, list)) and takes(model.forward, inputs):
        outputs = forward(*inputs)
    else:
        outputs = forward(inputs)
    return own_loss(outputs) if loss_fn is None else loss_fn(outputs, targets)


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
    """The mean of what a loss returned: that, or a sum and a count; 0 where the count is."""
    if not isinstance(loss, tuple):
        return loss
    total, count = loss
    return total / at_least_one(count)


def stateful(loss_fn: Callable | None) -> nn.Module | None:
    """The module with parameters or buffers that a loss is, is a method of, or is a partial of."""
    own = module_of(loss_fn)
    return own if own is not None and (*own.parameters(), *own.buffers()) else None


def of_its_own(loss_fn: Callable | None) -> Callable | None:
    """The loss for one run among several: a copy where it has parameters or buffers, which each run changes for itself."""
    return loss_fn if stateful(loss_fn) is None else copy.deepcopy(loss_fn)


def makes_models(make_model: Any) -> None:
    """Raise a ``TypeError`` where ``make_model`` is not a function that returns a model."""
    if isinstance(make_model, nn.Module) or not callable(make_model):
        got = type(make_model).__name__
        raise TypeError(f"make_model must be a function that returns a fresh model; got {got}")


class _Counted(TorchDispatchMode):
    """Counts what products of matrices cost, by torch's own formulas."""

    total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # torch would import its compiler, for a second, to keep that away from here
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if formula := flop_registry.get(func._overloadpacket):
            self.total += formula(*args, **(kwargs or {}), out_val=made)
        return made


def operations(model: nn.Module, data: Any, loss_fn: Callable | None, device: torch.device) -> float:
    """About how many operations a sample costs in a training step: products of matrices, there and back; at least six a parameter."""
    rows = torch.arange(min(2, len(data)))
    least = 6.0 * sum(p.numel() for p in model.parameters())
    try:
        with torch.no_grad(), _Counted() as counted:
            value(model, of_its_own(loss_fn), *batch(data, rows, device))
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError):
        return least
    return max(least, 3.0 * counted.total / len(rows))
