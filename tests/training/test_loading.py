"""Batches from whatever holds the data: the same samples in the same order."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset, TensorDataset

from gdlib import data
from gdlib.data import batch_indices
from gdlib.training.loading import Tensors, source

CPU = torch.device("cpu")
x, y = torch.arange(20.0).view(10, 2), torch.arange(10)
dataset = data.Dataset(x, y)


class Doubled(TensorDataset):
    """A data set that makes its samples itself, as one that augments them does."""

    def __getitem__(self, index):
        inputs, target = super().__getitem__(index)
        return 2 * inputs, target


def test_a_part_of_a_tensor_data_set_is_gathered_at_once_and_one_that_makes_its_samples_is_asked_for_them():
    part = Subset(Subset(TensorDataset(x, y), [9, 8, 7, 1, 0]), [0, 4, 2])
    given = source(part, CPU)
    assert isinstance(given, Tensors)
    rows = torch.tensor([9, 0, 7])[batch_indices(3, 1, 4, 3)]
    inputs, targets = given.batch(3, 1, 4, slice(0, 4))
    assert torch.equal(inputs, x[rows])
    assert torch.equal(targets, y[rows])
    for own in (Doubled(x, y), Subset(Doubled(x, y), range(10))):
        inputs, _ = source(own, CPU).batch(3, 0, 4, slice(0, 4))
        assert torch.equal(inputs, 2 * x[batch_indices(10, 0, 4, 3)])


class Stream:
    """An iterable without a length or places, that counts how often it is begun."""

    def __init__(self):
        self.begun = 0

    def __iter__(self):
        self.begun += 1
        return iter(zip(x, y))


@pytest.mark.parametrize("given", [dataset, (x, y), (x.numpy(), y.numpy()), TensorDataset(x, y)])
def test_data_with_places_is_drawn_by_seed_and_samples_seen(given):
    given = source(given, CPU)
    assert given.length == 10
    batch = partial(given.batch, 3)
    for seen, size, part in ((0, 4, slice(0, 4)), (7, 6, slice(2, 5)), (29, 15, slice(0, 15))):
        rows = batch_indices(10, seen, size, 3)[part]
        inputs, targets = batch(seen, size, part)
        assert torch.equal(inputs, x[rows])
        assert torch.equal(targets, y[rows])


def test_an_iterable_is_read_in_its_order_again_and_again():
    stream = Stream()
    given = source(stream, CPU)
    assert given.length is None
    batch = partial(given.batch, 3)
    assert batch(0, 4, slice(0, 4))[1].tolist() == [0, 1, 2, 3]
    assert batch(0, 4, slice(2, 4))[1].tolist() == [2, 3]
    assert batch(4, 8, slice(0, 8))[1].tolist() == [4, 5, 6, 7, 8, 9, 0, 1]
    assert stream.begun == 2
    assert batch(23, 3, slice(0, 3))[1].tolist() == [3, 4, 5], "reads past what a resumed run has seen"
    assert batch(2, 3, slice(0, 3))[1].tolist() == [2, 3, 4], "begins again to go back"


def test_a_generator_that_has_ended_says_so():
    batch = partial(source(iter(list(zip(x, y))), CPU).batch, 0)
    batch(0, 10, slice(0, 10))
    with pytest.raises(ValueError, match="data has come to its end and gives nothing more"):
        batch(10, 1, slice(0, 1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (DataLoader(TensorDataset(x, y)), "data must be samples, not batches: pass the DataLoader's dataset"),
        (data.digits(), "data must be a Dataset; got a Split"),
        (7, "data must be a gdlib.data.Dataset or a pair"),
    ],
)
def test_not_data(given, said):
    with pytest.raises(TypeError, match=said):
        source(given, CPU)


@pytest.mark.gpu
def test_what_does_not_fit_is_streamed_through_pinned_memory(monkeypatch):
    cuda = torch.device("cuda")
    on_device = source(dataset, cuda)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 100))
    streamed = source(dataset, cuda)
    for given in (on_device, streamed, source(TensorDataset(x, y), cuda)):
        inputs, targets = given.batch(3, 7, 6, slice(2, 5))
        rows = batch_indices(10, 7, 6, 3)[2:5]
        assert inputs.device.type == targets.device.type == "cuda"
        assert torch.equal(inputs.cpu(), x[rows])
        assert torch.equal(targets.cpu(), y[rows])


class Augmented(torch.utils.data.Dataset):
    """Samples that draw from every generator there is, as augmentations do."""

    def __init__(self, draws=True):
        self.draws = draws

    def __len__(self):
        return 40

    def __getitem__(self, i):
        noise = torch.rand(1) + np.random.rand() + random.random() if self.draws else torch.zeros(1)
        return torch.tensor([float(i)]) + noise.float(), i % 2


class AugmentedStream(torch.utils.data.IterableDataset):
    """The same as an iterable, in an order that it draws anew for each pass."""

    def __len__(self):
        return 40

    def __iter__(self):
        samples = Augmented()
        yield from (samples[int(i)] for i in np.random.permutation(40))


def stream_of(make, workers, seed=3, resume=None, cut=None):
    """The samples of eight steps of seven; ``resume`` begins anew, before that step, ``cut`` takes each batch in two parts."""
    places = [(7 * k, 7, slice(0, 7)) for k in range(8)]
    found, given = [], None
    for k, (seen, size, part) in enumerate(places):
        if given is None or k == resume:
            given = source(make(), CPU, workers, ahead=lambda k=k: iter(places[k:]))
        parts = [slice(0, 3), slice(3, 7)] if cut else [part]
        for one in parts:
            found += given.batch(seed, seen, size, one).inputs[:, 0].tolist()
    return found


@pytest.mark.parametrize("make", [Augmented, AugmentedStream])
def test_an_augmentation_is_a_function_of_seed_and_place(make):
    """After a crash, in parts, with any number of workers, and whatever else is drawn meanwhile."""
    torch.manual_seed(0)
    expected = stream_of(make, 0)
    assert len(set(expected)) == 56
    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    assert stream_of(make, 0, resume=5) == expected
    assert torch.equal(torch.get_rng_state(), state[0])
    assert (np.random.get_state()[1] == state[1]).all()
    assert random.getstate() == state[2]
    torch.rand(5), np.random.rand(5), random.random()
    assert stream_of(make, 0, cut=True) == expected
    assert stream_of(make, 2) == expected
    assert stream_of(make, 1, resume=3) == expected
    assert stream_of(make, 0, seed=4) != expected


def test_workers_go_another_way_when_the_run_does():
    """What comes is not what was planned: another batch size, then back."""
    given = source(Augmented(draws=False), CPU, 2, ahead=lambda: iter([(4 * k, 4, slice(0, 4)) for k in range(99)]))
    for seen, size in ((0, 4), (4, 4), (8, 6), (14, 3), (4, 4), (8, 4)):
        rows = batch_indices(40, seen, size, 0)
        assert given.batch(0, seen, size, slice(0, size)).inputs[:, 0].tolist() == rows.tolist()


def test_a_collate_fn_pads():
    words = [torch.arange(1, 1 + n) for n in (3, 1, 5, 2)]

    def pad(samples):
        return torch.nn.utils.rnn.pad_sequence([w for w, _ in samples], batch_first=True), torch.tensor(
            [y for _, y in samples]
        )

    given = source(list(zip(words, [0, 1, 0, 1])), CPU, collate_fn=pad)
    inputs, targets = given.batch(0, 0, 4, slice(0, 4))
    assert inputs.shape == (4, 5)
    assert sorted(inputs.sum(1).tolist()) == sorted(w.sum().item() for w in words)
    assert sorted(targets.tolist()) == [0, 0, 1, 1]


def test_arrays_on_disk_stay_there(tmp_path):
    tokens = np.memmap(tmp_path / "tokens.bin", dtype=np.uint16, mode="w+", shape=1001)
    tokens[:] = np.arange(1001) * 60
    windows = np.lib.stride_tricks.sliding_window_view(tokens, 11)[::10]
    held = data.Dataset(windows[:, :-1], windows[:, 1:])
    assert isinstance(held.inputs, np.ndarray)
    given = source(held, CPU)
    inputs, targets = given.batch(1, 0, 5, slice(0, 5))
    rows = batch_indices(100, 0, 5, 1)
    assert inputs.dtype == torch.int64
    assert torch.equal(inputs, torch.from_numpy(windows[rows][:, :-1].astype(np.int64)))
    assert torch.equal(targets[:, :-1], inputs[:, 1:])
    tokens[:] = 7  # on the disk: the next batch sees it
    assert (given.batch(1, 0, 5, slice(0, 5)).inputs == 7).all()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (x, TypeError, "got Tensor: a model that is its own target takes"),
        (x.numpy(), TypeError, "got ndarray: a model that is its own target takes"),
        ([], TypeError, "data must be a gdlib.data.Dataset or a pair"),
        ([(x[0], y[0], 1)] * 3, TypeError, "samples that are .input, target., or one dict; got 3 things"),
        (TensorDataset(x, x, y), TypeError, "got 3 things"),
    ],
)
def test_data_that_are_no_samples_say_so(given, error, said):
    with pytest.raises(error, match=said):
        source(given, CPU).batch(0, 0, 2, slice(0, 2))


def test_odd_arrays_are_taken():
    for array in (np.arange(8.0)[::-1], np.arange(8, dtype=">f8"), np.arange(8, dtype=np.uint32), np.arange(8) > 3):
        held = data.Dataset(array[:, None], np.arange(8))
        assert torch.equal(held.inputs[:, 0].double(), torch.tensor(array.astype(np.float64).copy()))
    torch.set_default_dtype(torch.float64)
    try:
        assert data.Dataset(np.zeros((2, 1)), [0, 1]).inputs.dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    with pytest.raises(ValueError, match="inputs must be finite"):
        data.Dataset(np.array([1 + 2j, np.nan]), [0, 1])


@pytest.mark.parametrize("data", ["hello", b"abc"])
def test_text_is_not_data(data):
    with pytest.raises(TypeError, match="data must hold samples; got (str|bytes)"):
        source(data, CPU)
