"""Batches against their definition; data sets against the figures in their descriptions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdlib import data
from gdlib.data import Dataset, batch_indices, epoch_order


@given(n=st.integers(1, 50), seen=st.integers(0, 200), size=st.integers(1, 120), seed=st.integers(0, 5))
def test_a_batch_is_a_window_of_the_endless_stream(n, seen, size, seed):
    epochs = range((seen + size) // n + 1)
    stream = torch.cat([epoch_order(n, epoch, seed) for epoch in epochs])
    assert torch.equal(batch_indices(n, seen, size, seed), stream[seen : seen + size])


@given(n=st.integers(1, 60), sizes=st.lists(st.integers(1, 70), min_size=1, max_size=30), seed=st.integers(0, 9))
def test_no_sample_is_dropped_or_repeated_within_an_epoch(n, sizes, seed):
    seen, taken = 0, []
    for size in sizes:
        taken += batch_indices(n, seen, size, seed).tolist()
        seen += size
    for epoch in range(seen // n):
        assert sorted(taken[epoch * n : (epoch + 1) * n]) == list(range(n))
    rest = taken[seen // n * n :]
    assert len(set(rest)) == len(rest)


def test_the_order_is_the_one_that_is_documented():
    state = np.random.SeedSequence((3, 2)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
    assert torch.equal(epoch_order(100, epoch=2, seed=3), torch.randperm(100, generator=generator))
    assert not torch.equal(epoch_order(100, 0, 0), epoch_order(100, 1, 0))
    assert not torch.equal(epoch_order(100, 0, 0), epoch_order(100, 0, 1))


def test_drawing_batches_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    batch_indices(1000, 12345, 64, seed=77)
    assert torch.equal(torch.get_rng_state(), before)


def test_digits():
    split = data.digits()
    assert [len(part) for part in split] == [1437, 360]
    assert split.train.inputs.shape == (1437, 64)
    assert split.train.inputs.dtype == torch.float32
    assert (split.train.inputs.min(), split.train.inputs.max()) == (0, 1)
    assert split.train.targets.unique().tolist() == list(range(10))
    rows = {tuple(row) for row in split.train.inputs.tolist()}
    assert not any(tuple(row) in rows for row in split.test.inputs.tolist())


def test_diabetes():
    scaled, raw = data.diabetes(), data.diabetes(scaled=False)
    assert [len(part) for part in scaled] == [354, 88]
    for side in (scaled.train.inputs, scaled.train.targets):
        torch.testing.assert_close(side.mean(0), torch.zeros(side.shape[1]), atol=1e-6, rtol=0)
        torch.testing.assert_close(side.std(0, correction=0), torch.ones(side.shape[1]))
    targets = torch.cat([raw.train.targets, raw.test.targets])
    assert (targets.min(), targets.max()) == (25, 346)
    assert scaled.train.targets.shape == (354, 1)


def test_mnist1d():
    split = data.mnist1d()
    assert [len(part) for part in split] == [4000, 1000]
    assert split.train.inputs.shape == (4000, 40)
    assert split.train.targets.unique().tolist() == list(range(10))


def test_python_source():
    split = data.python_source(context=32, characters=100_000)
    assert split.train.inputs.shape[1:] == split.train.targets.shape[1:] == (32,)
    assert torch.equal(split.train.inputs[0, 1:], split.train.targets[0, :-1])
    assert torch.equal(split.train.inputs[1, 0], split.train.targets[0, -1])
    text = "".join(data.CHARACTERS[i] for i in split.train.inputs.flatten().tolist())
    assert "import " in text
    assert split.train.inputs.max() < len(data.CHARACTERS)
    assert len(split.train) + len(split.test) == pytest.approx(100_000 / 32, rel=0.001)


def test_dataset_takes_tensors_arrays_and_lists():
    assert Dataset(np.ones((3, 2)), [0, 1, 2]).inputs.dtype == torch.float32
    assert Dataset(torch.ones(3, 2, dtype=torch.float64), [0, 1, 2]).inputs.dtype == torch.float64
    moved = Dataset(np.ones((3, 2)), [0, 1, 2]).to(dtype=torch.float64)
    assert (moved.inputs.dtype, moved.targets.dtype) == (torch.float64, torch.int64)


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "said"),
    [
        ([], [], ValueError, "inputs must hold at least one sample"),
        ([1.0, 2.0], [1], ValueError, "one length; got 2 and 1"),
        ([1.0, float("nan")], [0, 1], ValueError, "inputs must be finite"),
        ([1.0, 2.0], [0.0, float("inf")], ValueError, "targets must be finite"),
        (["a", "b"], [0, 1], TypeError, "inputs must be a tensor or an array of numbers"),
        (3.0, 4.0, ValueError, r"at least one sample; got shape \(\)"),
    ],
)
def test_bad_data(inputs, targets, error, said):
    with pytest.raises(error, match=said):
        Dataset(inputs, targets)


def test_bad_context():
    with pytest.raises(ValueError, match="context must be a whole number of at least 1; got 0"):
        data.python_source(context=0)
    with pytest.raises(ValueError, match="characters"):
        data.python_source(context=64, characters=10)


def test_what_is_held_out_is_apart_and_follows_the_seed():
    whole = data.Dataset(torch.arange(10.0)[:, None], torch.arange(10))
    made = [data.hold_out(whole, 3, seed) for seed in (0, 0, 1)]
    assert sorted(torch.cat([made[0].train.targets, made[0].test.targets]).tolist()) == list(range(10))
    assert [len(part) for part in made[0]] == [7, 3]
    assert torch.equal(made[0].test.targets, made[1].test.targets)
    assert not torch.equal(made[0].test.targets, made[2].test.targets)
    with pytest.raises(ValueError, match="count must be below the 10 samples of data; got 10"):
        data.hold_out(whole, 10)
    with pytest.raises(ValueError, match="count must be a whole number of at least 1"):
        data.hold_out(whole, 0)


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        (
            np.array([[2**63]], dtype=np.uint64),
            ValueError,
            "inputs must fit into 64 bits with a sign; got 9223372036854775808",
        ),
        (np.ma.masked_array([[1.0]], [[True]]), ValueError, "inputs must be finite; got masked values in it"),
        (torch.eye(1).to_sparse(), TypeError, "inputs must be a dense tensor of numbers; got a sparse one"),
        (torch.ones(1, 1, device="meta"), TypeError, "got a meta one"),
        (torch.nn.Linear(2, 2)(torch.ones(1, 2)), ValueError, "inputs must be data, and no part of a graph"),
    ],
    ids=["too large", "masked", "sparse", "meta", "graph"],
)
def test_what_would_be_taken_for_something_else(inputs, error, said):
    with pytest.raises(error, match=said):
        data.Dataset(inputs, [0])


def test_small_things_that_numpy_and_torch_bring():
    made = data.Dataset(np.ones((2, 1), complex), torch.ones(2, requires_grad=True))
    assert made.inputs.dtype == torch.complex64 and not made.targets.requires_grad


def test_hold_out_takes_pairs_and_leaves_a_sample_that_is_one_dict_whole():
    assert len(data.hold_out((torch.arange(5.0), torch.arange(5)), 2).test) == 2
    samples = {"x": torch.arange(5.0)}
    split = data.hold_out(data.Dataset(samples, samples), 2)
    assert all(part.targets is part.inputs for part in split)
