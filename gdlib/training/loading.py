"""From data to batches on the device: whatever the data are, a batch is a function of (seed, samples seen)."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from gdlib.data import Dataset, as_dataset, batch_indices

Batch = tuple[Tensor, Tensor]
Source = Callable[[int, int, slice], Batch]
"""``source(samples_seen, batch_size, part)``: the samples ``part`` of a batch, as (inputs, targets) on the device."""


def source(data: Any, seed: int, device: torch.device) -> tuple[Source, int | None]:
    """Batches of ``data``, and how many samples it has; ``None`` where nobody knows.

    A `Dataset` is put on the device once if it fills at most half of the memory that is free there. One that does not fit stays
    in pinned memory; its batches are copied while the device still computes the last. So are those of a
    ``torch.utils.data.Dataset`` and of an iterable of samples. An iterable is read in its own order, again and again, and
    resuming reads past what was seen, so it must give the same samples each time.

    Args:
        data: a `Dataset`, a pair (inputs, targets), a ``torch.utils.data.Dataset`` of (input, target) with a length, or an
            iterable of (input, target).
        seed: fixes the order, where the data has none.
        device: where the batches are wanted.

    Raises:
        TypeError: if ``data`` is none of these; a ``DataLoader`` is not, for it has made its batches already.
    """
    if isinstance(data, DataLoader):
        raise TypeError("data must be samples, not batches: pass the DataLoader's dataset; got DataLoader")
    if isinstance(data, (Dataset, tuple, list)) or (not hasattr(data, "__iter__") and not hasattr(data, "__getitem__")):
        return _from_tensors(as_dataset("data", data), seed, device)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return _from_items(data, seed, device)
    if not hasattr(data, "__iter__"):
        as_dataset("data", data)
    return _from_iterable(data, device), None


def _from_tensors(data: Dataset, seed: int, device: torch.device) -> tuple[Source, int]:
    size = sum(side.numel() * side.element_size() for side in (data.inputs, data.targets))
    if device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] / 2:
        data = data.to(device)
        where = device
    else:
        data, where = Dataset(data.inputs.cpu().pin_memory(), data.targets.cpu().pin_memory()), torch.device("cpu")
    n = len(data)

    def batch(samples_seen: int, batch_size: int, part: slice) -> Batch:
        rows = batch_indices(n, samples_seen, batch_size, seed, where)
        if part.stop - part.start < batch_size:
            rows = rows[part]
        return _moved((data.inputs.index_select(0, rows), data.targets.index_select(0, rows)), device)

    return batch, n


def _from_items(data: Any, seed: int, device: torch.device) -> tuple[Source, int]:
    n = len(data)

    def batch(samples_seen: int, batch_size: int, part: slice) -> Batch:
        rows = batch_indices(n, samples_seen, batch_size, seed)[part].tolist()
        return _moved(default_collate([data[row] for row in rows]), device)

    return batch, n


def _from_iterable(data: Iterable, device: torch.device) -> Source:
    def endless() -> Iterator[Any]:
        while True:
            empty = True
            for sample in data:
                empty = False
                yield sample
            if empty:
                raise ValueError(
                    "data has come to its end and gives nothing more: pass something that can be read again, not a generator"
                )

    samples, at, last = endless(), 0, []

    def batch(samples_seen: int, batch_size: int, part: slice) -> Batch:
        nonlocal samples, at, last
        if samples_seen == at - len(last) and len(last) == batch_size:
            return _moved(default_collate(last[part]), device)  # the next part of the same batch
        if samples_seen < at:
            samples, at = endless(), 0
        for _ in islice(samples, samples_seen - at):
            pass
        last = list(islice(samples, batch_size))
        at = samples_seen + batch_size
        return _moved(default_collate(last[part]), device)

    return batch


def _moved(batch: Any, device: torch.device) -> Batch:
    """(inputs, targets) on the device, without waiting for the copy."""
    inputs, targets = batch
    if inputs.device == device == targets.device:
        return inputs, targets
    if device.type == "cuda" and inputs.device.type == "cpu":
        inputs, targets = (side if side.is_pinned() else side.pin_memory() for side in (inputs, targets))
    return inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
