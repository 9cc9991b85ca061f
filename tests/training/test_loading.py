"""Batches from whatever holds the data: the same samples in the same order."""

from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from gdlib import data
from gdlib.data import batch_indices
from gdlib.training.loading import source

CPU = torch.device("cpu")
x, y = torch.arange(20.0).view(10, 2), torch.arange(10)
dataset = data.Dataset(x, y)


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
