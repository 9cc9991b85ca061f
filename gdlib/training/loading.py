"""From data to batches on the device: whatever the data are, a batch is a function of (seed, samples seen).

So is what a data set draws while it gives a sample, such as an augmentation: the generators of torch, NumPy and Python are seeded with
(seed, place of the sample in the stream) before, and put back after. The same sample then comes out the same after a crash, on one
process or three, and with any number of workers.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler, default_collate

from gdlib.data import Dataset, as_dataset, as_tensor, batch_indices, epoch_order, leaves, tree_map, unpacked
from gdlib.training._seeded import Endless, Seeded

Place = tuple[int, int, slice]
"""(samples seen, batch size, part): which samples of the stream are wanted."""


class Batch(NamedTuple):
    """What goes into the model, and what the loss compares its outputs with; where samples are one dict, it is both."""

    inputs: Any
    targets: Any


def source(
    data: Any,
    device: torch.device,
    workers: int = 0,
    collate_fn: Callable[[list], Any] | None = None,
    ahead: Callable[[], Iterator[Place]] | None = None,
) -> "Source":
    """Batches of ``data``: ``source.batch(seed, samples_seen, batch_size, part)`` gives a `Batch` on the device.

    A `Dataset` is put on the device once if it fills at most half of the memory that is free there. One that does not fit stays
    in pinned memory; its batches are copied while the device still computes the last. So are those of a
    ``torch.utils.data.Dataset`` and of an iterable of samples. An iterable is read in its own order, again and again, and
    resuming reads past what was seen, so it must give the same samples each time.

    Args:
        data: a `Dataset`, a pair (inputs, targets), a dict of tensors, a ``torch.utils.data.Dataset`` or list of samples, or an
            iterable of samples. A sample is (input, target), each a tensor or a nest of tuples and dicts of them, or one dict.
        device: where the batches are wanted.
        workers: processes of torch's ``DataLoader`` that fetch samples ahead; an iterable has one at most, which keeps its order.
        collate_fn: makes a batch of a list of samples, such as one that pads; ``None`` is torch's ``default_collate``.
        ahead: the places that the coming steps will ask for, for the workers.

    Raises:
        TypeError: if ``data`` is none of these; a ``DataLoader`` is not, for it has made its batches already.
        ValueError: if it is empty.
    """
    if isinstance(data, DataLoader):
        raise TypeError("data must be samples, not batches: pass the DataLoader's dataset; got DataLoader")
    if isinstance(data, (str, bytes)):
        raise TypeError(f"data must hold samples; got {type(data).__name__} {data[:40]!r}")
    data = unpacked(data)
    if isinstance(data, Mapping):
        data = Dataset(data, data)
    if isinstance(data, list) and data and all(isinstance(sample, (tuple, Mapping)) for sample in data):
        return Items(data, device, workers, collate_fn, ahead)
    if isinstance(data, (Dataset, tuple, list)) or hasattr(data, "ndim"):
        return Tensors(as_dataset("data", data), device)
    if isinstance(data, IterableDataset) or (hasattr(data, "__iter__") and not _has_places(data)):
        return Stream(data, device, workers, collate_fn)
    if not _has_places(data):
        as_dataset("data", data)
    if len(data) == 0:
        raise ValueError(f"data must hold at least one sample; got an empty {type(data).__name__}")
    return Items(data, device, workers, collate_fn, ahead)


def _has_places(data: Any) -> bool:
    return hasattr(data, "__getitem__") and hasattr(data, "__len__")


class Tensors:
    """Batches of a `Dataset`, gathered row by row. ``length`` is how many samples it has."""

    def __init__(self, data: Dataset, device: torch.device):
        sides = list(leaves((data.inputs, data.targets)))
        size = sum(side.nbytes for side in sides)
        on_disk = any(isinstance(side, np.ndarray) for side in sides)
        self.where = device
        if on_disk or (device.type == "cuda" and size > torch.cuda.mem_get_info(device)[0] / 2):
            self.where = torch.device("cpu")
        self.whole = data.targets is data.inputs
        if not on_disk:
            data = data.to(self.where)
            if self.where != device:
                data = Dataset(
                    *(tree_map(lambda leaf: leaf.pin_memory(), side) for side in (data.inputs, data.targets))
                )
        self.inputs, self.targets, self.length, self.device = data.inputs, data.targets, len(data), device
        self.present = self.order = None  # seed and number of the present pass, and its order

    def batch(self, seed: int, samples_seen: int, batch_size: int, part: slice) -> Batch:
        epoch, begin = divmod(samples_seen, self.length)
        if begin + batch_size > self.length:
            return self._gather(batch_indices(self.length, samples_seen, batch_size, seed, self.where)[part])
        if self.present != (seed, epoch):
            self.present, self.order = (seed, epoch), epoch_order(self.length, epoch, seed, self.where)
        return self._gather(self.order[begin + part.start : begin + part.stop])

    def in_order(self, size: int, part: slice = slice(None)) -> Iterator[tuple[Batch, int]]:
        """One pass over the samples ``part`` in their own order, ``size`` at a time, each with its number of samples."""
        for start, stop in _chunks(self.length, size, part):
            yield self._gather(torch.arange(start, stop, device=self.where)), stop - start

    def _gather(self, rows: torch.Tensor) -> Batch:
        inputs = _picked(self.inputs, rows)
        targets = inputs if self.whole else _picked(self.targets, rows)
        return _moved(inputs, targets, self.device) if self.where != self.device else Batch(inputs, targets)


def _picked(side: Any, rows: torch.Tensor) -> Any:
    if isinstance(side, torch.Tensor):
        return side.index_select(0, rows)
    return tree_map(
        lambda leaf: leaf.index_select(0, rows) if isinstance(leaf, torch.Tensor) else as_tensor(leaf[rows.numpy()]),
        side,
    )


class Items:
    """Batches of samples that are asked for one by one, by number. ``length`` is how many there are."""

    def __init__(self, data: Any, device: torch.device, workers: int, collate_fn: Any, ahead: Any):
        self.samples, self.length, self.device = Seeded(data), len(data), device
        self.workers, self.collate, self.ahead = workers, collate_fn or default_collate, ahead
        self._coming: Iterator | None = None
        self._planned: deque = deque()

    def batch(self, seed: int, samples_seen: int, batch_size: int, part: slice) -> Batch:
        place = (samples_seen, batch_size, part)
        if not self.workers or self.ahead is None:
            fetched = self.collate(self.samples.__getitems__(self._asked_for(seed, place)))
        else:
            fetched = self._fetched(seed, place)
        return as_batch(fetched, self.device)

    def in_order(self, size: int, part: slice = slice(None)) -> Iterator[tuple[Batch, int]]:
        """One pass over the samples ``part`` in their own order, ``size`` at a time, each with its number of samples."""
        asked = [[(row, row, 0) for row in range(start, stop)] for start, stop in _chunks(self.length, size, part)]
        for batch, rows in zip(self._loader(asked), asked):
            yield as_batch(batch, self.device), len(rows)

    def _asked_for(self, seed: int, place: Place) -> list[tuple[int, int, int]]:
        """(row, place in the stream, seed) of each sample."""
        samples_seen, batch_size, part = place
        rows = batch_indices(self.length, samples_seen, batch_size, seed)[part].tolist()
        return [(row, samples_seen + part.start + i, seed) for i, row in enumerate(rows)]

    def _fetched(self, seed: int, place: Place) -> Any:
        """What the workers have ready; where the run goes another way than planned, they begin anew from here."""
        wanted = (seed, *place)
        try:
            if self._coming is not None:
                batch = next(self._coming, None)
                if self._planned and self._planned.popleft() == wanted:
                    return batch
            self._coming = iter(self._loader(_Plan(self, seed, place)))
            batch = next(self._coming)
            self._planned.popleft()
            return batch
        except BaseException:  # the workers may be gone: after Ctrl-C they are
            self._coming = None
            self._planned.clear()
            raise

    def _loader(self, batches: Any) -> DataLoader:
        return DataLoader(
            self.samples,
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=self.collate,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # the workers' seeds are not drawn from the run's
        )


class _Plan(Sampler):
    """What the workers fetch: this place, and what the coming steps will ask for; noted down in the order of asking."""

    def __init__(self, items: Items, seed: int, place: Place):
        self.items, self.seed, self.place = items, seed, place

    def __iter__(self) -> Iterator[list]:
        self.items._planned.clear()
        places = self.items.ahead()
        for place in places:
            if place == self.place or place[0] > self.place[0]:
                break
        for place in _then(self.place, places):
            self.items._planned.append((self.seed, *place))
            yield self.items._asked_for(self.seed, place)


def _then(first: Any, others: Iterator) -> Iterator:
    yield first
    yield from others


class Stream:
    """Batches of an iterable, read in its own order, again and again. ``length`` is what it says, ``None`` where it says nothing."""

    def __init__(self, data: Iterable, device: torch.device, workers: int, collate_fn: Any):
        self.data, self.device, self.workers = data, device, min(workers, 1)
        self.collate = collate_fn or default_collate
        try:
            self.length = len(data)
        except (TypeError, NotImplementedError):
            self.length = None
        self._samples, self._at, self._last, self._seed = None, 0, [], None

    def batch(self, seed: int, samples_seen: int, batch_size: int, part: slice) -> Batch:
        again = samples_seen == self._at - len(self._last) and len(self._last) == batch_size and seed == self._seed
        if not again:  # else it is the next part of the same batch
            self._read(seed, samples_seen, batch_size)
        return as_batch(self.collate(self._last[part]), self.device)

    def _read(self, seed: int, samples_seen: int, batch_size: int) -> None:
        if self._samples is None or samples_seen < self._at or seed != self._seed:
            self._samples, self._at, self._seed = self._from(seed, samples_seen), samples_seen, seed
        samples, self._samples = self._samples, None  # until this has gone well
        for _ in islice(samples, samples_seen - self._at):
            pass
        self._last = list(islice(samples, batch_size))
        self._samples, self._at = samples, samples_seen + batch_size

    def _from(self, seed: int, start: int) -> Iterator:
        chunks = Endless(self.data, seed, start, size=32 if self.workers else 1)
        if self.workers:
            chunks = DataLoader(chunks, batch_size=None, num_workers=1, generator=torch.Generator())
        return (sample for chunk in chunks for sample in chunk)

    def in_order(self, size: int, part: slice = slice(None)) -> Iterator[tuple[Batch, int]]:
        """One pass, ``size`` samples at a time; of those, ``part`` counts the ones wanted."""
        samples = islice(iter(self.data), part.start or 0, part.stop, part.step)
        while chunk := list(islice(samples, size)):
            yield as_batch(self.collate(chunk), self.device), len(chunk)


Source = Tensors | Items | Stream


def _chunks(length: int, size: int, part: slice) -> Iterator[tuple[int, int]]:
    begin, end, _ = part.indices(length)
    return ((start, min(start + size, end)) for start in range(begin, end, size))


def as_batch(fetched: Any, device: torch.device) -> Batch:
    """(inputs, targets) on the device from what a ``collate_fn`` gave: a pair, or one dict, which is then both."""
    if isinstance(fetched, Mapping):
        whole = _moved(dict(fetched), None, device).inputs
        return Batch(whole, whole)
    if not isinstance(fetched, (tuple, list)) or len(fetched) != 2:
        got = f"{len(fetched)} things" if isinstance(fetched, (tuple, list)) else type(fetched).__name__
        raise TypeError(f"data must give samples that are (input, target), or one dict; got {got}")
    return _moved(*fetched, device)


def _moved(inputs: Any, targets: Any, device: torch.device) -> Batch:
    """Both on the device, without waiting for the copy."""

    def move(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor) or leaf.device == device:
            return leaf
        if device.type == "cuda" and leaf.device.type == "cpu" and not leaf.is_pinned():
            leaf = leaf.pin_memory()
        return leaf.to(device, non_blocking=True)

    return Batch(tree_map(move, inputs), tree_map(move, targets))
