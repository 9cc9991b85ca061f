"""Real data sets as tensors, and batches from (seed, samples seen). Nothing is downloaded.

Samples come in an endless stream: one shuffled pass over the data set after another. A batch is the next ``batch_size``
samples of it, so the batch that starts at ``samples_seen`` depends on that number and the seed alone. Resuming a run,
changing the batch size half-way and sharing a batch between processes then need no bookkeeping, and within a pass no
sample is dropped or repeated.
"""

import sysconfig
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from gdlib import _check

CHARACTERS = "\n" + "".join(map(chr, range(32, 127))) + "\ufffd"
"""The alphabet of `python_source`: newline, printable ASCII, and one sign that stands for anything else."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and their targets, sample by sample along the first dimension.

    Args:
        inputs: a tensor or array of shape ``(n, ...)``, or a tuple or dict of them, nested as you like.
        targets: the same; class numbers as integers, quantities as floats. NumPy's float64 and complex128 become torch's default, in both, and
            unsigned integers of more than 8 bits become int64; a tensor keeps its dtype. An array that is mapped from a file
            (``np.memmap``, or a view of one) stays there: its samples are read when a batch needs them, and not checked.

    Raises:
        TypeError: if either is not made of numbers, or a tensor is sparse, nested, quantized or on the meta device.
        ValueError: if they are empty, differ in length, hold NaN, infinity or masked values, or hang in a graph.

    Example:
        >>> Dataset([[0.0], [1.0], [2.0]], [0, 1, 0])
        Dataset(3 samples, inputs (1,) float32, targets () int64)
        >>> Dataset({"words": torch.zeros(3, 5), "mask": torch.ones(3, 5)}, [0, 1, 0]).inputs["mask"].shape
        torch.Size([3, 5])
    """

    inputs: Any
    targets: Any

    def __post_init__(self):
        own = self.targets is self.inputs  # what is its own target is kept once
        object.__setattr__(self, "inputs", _as_sides("inputs", self.inputs))
        object.__setattr__(self, "targets", self.inputs if own else _as_sides("targets", self.targets))
        lengths = list(dict.fromkeys(len(leaf) for side in (self.inputs, self.targets) for leaf in leaves(side)))
        if len(lengths) > 1:
            raise ValueError(f"inputs and targets must have one length; got {' and '.join(map(str, lengths))}")

    def __len__(self) -> int:
        return len(next(leaves(self.inputs)))

    def __repr__(self) -> str:
        sides = ", ".join(
            f"{name} {_shapes(side)}" for name, side in (("inputs", self.inputs), ("targets", self.targets))
        )
        return f"Dataset({len(self)} samples, {sides})"

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Dataset":
        """The same data on another device, what is floating-point in another dtype; integers keep theirs."""

        def moved(leaf: Any) -> Tensor:
            leaf = as_tensor(leaf)
            return leaf.to(device, dtype if leaf.is_floating_point() else None)

        made = object.__new__(Dataset)  # checked already
        object.__setattr__(made, "inputs", tree_map(moved, self.inputs))
        own = self.targets is self.inputs
        object.__setattr__(made, "targets", made.inputs if own else tree_map(moved, self.targets))
        return made


def leaves(tree: Any) -> Iterator[Any]:
    """The tensors and arrays of a nest of dicts, tuples and lists, in its order.

    Example:
        >>> list(leaves({"a": 1, "b": (2, [3])}))
        [1, 2, 3]
    """
    if isinstance(tree, Mapping):
        tree = tree.values()
    elif not isinstance(tree, (tuple, list)):
        yield tree
        return
    for branch in tree:
        yield from leaves(branch)


def tree_map(function: Any, tree: Any) -> Any:
    """The same nest with ``function`` of each of its `leaves`; whatever kind of mapping it holds becomes a dict.

    Example:
        >>> tree_map(lambda x: x + 1, {"a": 1, "b": (2, [3])})
        {'a': 2, 'b': (3, [4])}
    """
    if isinstance(tree, Mapping):
        return {name: tree_map(function, branch) for name, branch in tree.items()}
    if isinstance(tree, (tuple, list)):
        made = [tree_map(function, branch) for branch in tree]
        return type(tree)(*made) if hasattr(tree, "_fields") else type(tree)(made)
    return function(tree)


class Split(NamedTuple):
    """A data set in two parts that share no sample: one to train on, one to test on.

    Example:
        >>> train, test = diabetes()
        >>> len(train), len(test)
        (354, 88)
    """

    train: Dataset
    test: Dataset


def as_dataset(name: str, data: Any) -> Dataset:
    """A `Dataset` from one, or from a pair (inputs, targets).

    Raises:
        TypeError: if ``data`` is neither; the error calls it ``name``.
    """
    if isinstance(data, Split):
        raise TypeError(f"{name} must be a Dataset; got a Split: pass its .train or .test")
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return Dataset(*data)
    if not isinstance(data, Dataset):
        hint = ": a model that is its own target takes (inputs, inputs)" if hasattr(data, "ndim") else ""
        raise TypeError(
            f"{name} must be a gdlib.data.Dataset or a pair (inputs, targets); got {type(data).__name__}{hint}"
        )
    return data


def unpacked(data: Any) -> Any:
    """A torch data set of two tensors, or a part of one as ``random_split`` gives it, as the `Dataset` that it is; anything else as it is.

    A class of your own that stands on torch's may make its samples in ``__getitem__``, and is left alone.

    Example:
        >>> unpacked(Subset(TensorDataset(torch.zeros(3, 5), torch.arange(3)), [2, 0])).targets.tolist()
        [2, 0]
    """
    if type(data) is TensorDataset and len(data.tensors) == 2:
        return Dataset(*data.tensors)
    if type(data) is Subset and len(data.indices):
        whole = unpacked(data.dataset)
        return samples_at(whole, torch.as_tensor(data.indices)) if isinstance(whole, Dataset) else data
    return data


def _as_sides(name: str, values: Any) -> Any:
    """Tensors, and arrays on disk, in the nest that ``values`` are; a tuple of plain numbers is an array like a list of them."""
    if isinstance(values, Mapping) and values:
        return {key: _as_sides(f"{name}[{key!r}]", branch) for key, branch in values.items()}
    if isinstance(values, tuple) and values and all(_is_structure(branch) for branch in values):
        return tuple(_as_sides(f"{name}[{i}]", branch) for i, branch in enumerate(values))
    return _checked(name, values)


def _is_structure(branch: Any) -> bool:
    return (
        isinstance(branch, Mapping)
        or (isinstance(branch, (Tensor, np.ndarray)) and branch.ndim > 0)
        or (isinstance(branch, tuple) and bool(branch) and all(map(_is_structure, branch)))
    )


def _checked(name: str, values: Any) -> Any:
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} must be finite; got masked values in it")
    try:
        values = values if _on_disk(values) else as_tensor(values)
    except OverflowError as error:
        raise ValueError(f"{name} must fit into 64 bits with a sign; {error}") from error
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a tensor or an array of numbers; got {type(values).__name__}") from error
    if isinstance(values, Tensor):
        values = _plain(name, values)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"{name} must hold at least one sample; got shape {tuple(values.shape)}")
    if (
        isinstance(values, Tensor)
        and (values.is_floating_point() or values.is_complex())
        and not values.isfinite().all()
    ):
        raise ValueError(f"{name} must be finite; got NaN or infinity in it")
    return values


def _plain(name: str, values: Tensor) -> Tensor:
    """``values``, which rows can be taken of, outside any graph."""
    kinds = {"sparse": values.layout != torch.strided, "nested": values.is_nested, "quantized": values.is_quantized}
    if odd := [kind for kind, is_so in (kinds | {"meta": values.is_meta}).items() if is_so]:
        raise TypeError(f"{name} must be a dense tensor of numbers; got a {odd[0]} one")
    if values.grad_fn is not None:
        raise ValueError(
            f"{name} must be data, and no part of a graph; got a tensor with a gradient function: detach() it"
        )
    return values.detach() if values.requires_grad else values


def as_tensor(values: Any) -> Tensor:
    """A tensor as it is; anything that NumPy takes as a tensor in a dtype and a layout that torch computes with.

    Example:
        >>> as_tensor(np.arange(4, dtype=">u2")[::-1])
        tensor([3, 2, 1, 0])
    """
    if isinstance(values, Tensor):
        return values
    values = np.asarray(values)
    wanted = {"f8": torch.get_default_dtype(), "c16": torch.get_default_dtype().to_complex()}.get(values.dtype.str[1:])
    if values.dtype.kind == "u" and values.dtype.itemsize > 1:
        if values.dtype.itemsize == 8 and values.size and values.max() > np.iinfo(np.int64).max:
            raise OverflowError(f"got {values.max()}")
        values = values.astype(np.int64)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if any(stride < 0 for stride in values.strides):
        values = values.copy()
    with warnings.catch_warnings(action="ignore"):  # that an array may not be written to: nobody will
        return torch.as_tensor(values, dtype=wanted)


def _on_disk(values: Any) -> bool:
    """Whether an array is mapped from a file, or is a view of one that is."""
    while (
        isinstance(values, np.ndarray) or type(values).__name__ == "DummyArray"
    ):  # what NumPy puts below a strided view
        if isinstance(values, np.memmap):
            return True
        values = values.base
    return False


def _shapes(side: Any) -> str:
    if isinstance(side, Mapping):
        return "{" + ", ".join(f"{key}: {_shapes(branch)}" for key, branch in side.items()) + "}"
    if isinstance(side, tuple):
        return "(" + ", ".join(map(_shapes, side)) + ")"
    return f"{tuple(side.shape[1:])} {str(side.dtype).removeprefix('torch.')}"


def epoch_order(n: int, epoch: int, seed: int, device: torch.device = torch.device("cpu")) -> Tensor:
    """The order of the ``n`` samples in pass number ``epoch``: int64 of shape ``(n,)``, a permutation.

    It is ``torch.randperm`` from a generator seeded with NumPy's ``SeedSequence((seed, epoch))``, the same on all devices.
    """
    seed = _check.whole("seed", seed, low=0)
    return _kept_order(n, epoch, seed, device).clone()


@lru_cache(maxsize=8)
def _kept_order(n: int, epoch: int, seed: int, device: torch.device) -> Tensor:
    """`epoch_order`, kept: nobody outside gets it, for whoever changed it would change every later run."""
    state = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
    return torch.randperm(n, generator=generator).to(device)


def batch_indices(
    n: int, samples_seen: int, batch_size: int, seed: int = 0, device: torch.device = torch.device("cpu")
) -> Tensor:
    """Which samples the batch that starts after ``samples_seen`` samples holds.

    Args:
        n: samples in the data set.
        samples_seen: samples used by all steps before; the pass is ``samples_seen // n``.
        batch_size: samples to take; may reach into the next pass, or over several.
        seed: a whole number of at least 0.
        device: where the indices are wanted.

    Returns:
        int64 of shape ``(batch_size,)``.

    Example:
        >>> first, second = batch_indices(5, 0, 5), batch_indices(5, 5, 5)
        >>> sorted(first.tolist()) == sorted(second.tolist()) == [0, 1, 2, 3, 4]
        True
    """
    n, batch_size, seed = (
        _check.whole("n", n),
        _check.whole("batch_size", batch_size),
        _check.whole("seed", seed, low=0),
    )
    epoch, begin = divmod(_check.whole("samples_seen", samples_seen, low=0), n)
    if begin + batch_size <= n:
        return _kept_order(n, epoch, seed, device)[begin : begin + batch_size].clone()
    parts = []
    while batch_size > 0:
        parts.append(_kept_order(n, epoch, seed, device)[begin : begin + batch_size])
        batch_size -= len(parts[-1])
        epoch, begin = epoch + 1, 0
    return torch.cat(parts)


def hold_out(data: Dataset, count: int, seed: int = 0) -> Split:
    """The last ``count`` samples of one shuffle apart from the others; the data sets here have one split, whatever a run's seed.

    Raises:
        TypeError, ValueError: if ``count`` is not a whole number of at least 1 that leaves a sample to train on.

    Example:
        >>> hold_out(Dataset([[0.0], [1.0], [2.0]], [0, 1, 0]), 1).train
        Dataset(2 samples, inputs (1,) float32, targets () int64)
    """
    data = as_dataset("data", data)
    if _check.whole("count", count) >= len(data):
        raise ValueError(f"count must be below the {len(data)} samples of data; got {count}")
    order = epoch_order(len(data), 0, seed)
    return Split(samples_at(data, order[:-count]), samples_at(data, order[-count:]))


def samples_at(data: Dataset, rows: Tensor) -> Dataset:
    """The samples of these numbers; what is its own target stays so.

    Example:
        >>> samples_at(Dataset([[0.0], [1.0], [2.0]], [0, 1, 0]), torch.tensor([2, 0])).inputs.tolist()
        [[2.0], [0.0]]
    """
    inputs = tree_map(lambda leaf: leaf[rows], data.inputs)
    own = data.targets is data.inputs
    return Dataset(inputs, inputs if own else tree_map(lambda leaf: leaf[rows], data.targets))


@cache
def digits() -> Split:
    """Handwritten digits, 8 × 8 pixels: 1,437 to train on, 360 to test (scikit-learn; Alpaydin and Kaynak 1998).

    Inputs ``(n, 64)`` float32 in [0, 1], row by row; targets ``(n,)`` int64, the digit.

    Example:
        >>> digits().train
        Dataset(1437 samples, inputs (64,) float32, targets () int64)
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return hold_out(Dataset(torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y, dtype=torch.int64)), 360)


@cache
def diabetes(scaled: bool = True) -> Split:
    """Ten measurements of a patient and the disease's progression a year later: 354 to train on, 88 to test.

    Args:
        scaled: bring every input and the target to mean 0 and standard deviation 1 over the training part. ``False``
            leaves the units as measured (years, kg/m², mm Hg, mg/dl; the target runs from 25 to 346).

    Returns:
        Inputs ``(n, 10)`` float32: age, sex, body mass index, blood pressure, six blood serum values. Targets ``(n, 1)``
        float32. Source: scikit-learn; Efron, Hastie, Johnstone and Tibshirani 2004.

    Example:
        >>> diabetes().test
        Dataset(88 samples, inputs (10,) float32, targets (1,) float32)
    """
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    split = hold_out(Dataset(torch.tensor(x), torch.tensor(y)[:, None]), 88)
    if scaled:
        mean = [side.mean(0) for side in (split.train.inputs, split.train.targets)]
        deviation = [side.std(0, correction=0) for side in (split.train.inputs, split.train.targets)]
        split = Split(
            *(Dataset((p.inputs - mean[0]) / deviation[0], (p.targets - mean[1]) / deviation[1]) for p in split)
        )
    return Split(*(part.to(dtype=torch.float32) for part in split))


@cache
def mnist1d() -> Split:
    """Digits as noisy curves of 40 points, generated: 4,000 to train on, 1,000 to test (Greydanus and Kobak 2024).

    Hard enough that models differ: published accuracies are 32 % for a linear model, 68 % for an MLP, 94 % for a
    convolutional network. Inputs ``(n, 40)`` float32, targets ``(n,)`` int64. Takes a few seconds the first time.

    Example:
        >>> mnist1d().train
        Dataset(4000 samples, inputs (40,) float32, targets () int64)
    """
    from mnist1d.data import get_dataset_args, make_dataset

    made = make_dataset(get_dataset_args())
    parts = ((made["x"], made["y"]), (made["x_test"], made["y_test"]))
    return Split(*(Dataset(np.asarray(x, np.float32), np.asarray(y, np.int64)) for x, y in parts))


@cache
def python_source(context: int = 64, characters: int = 2_000_000) -> Split:
    """The Python standard library's own source, to predict the next character of.

    Files are taken by name until ``characters`` are reached; the last tenth of the text is for testing. The text is that of
    the Python that runs, so figures differ a little between versions.

    Args:
        context: characters in a window; windows do not overlap.
        characters: how much text to take.

    Returns:
        Inputs ``(n, context)`` int64, numbers into `CHARACTERS`; targets of the same shape, each the next character.

    Raises:
        TypeError, ValueError: if ``context`` is not a whole number of at least 1, or ``characters`` is too few for it.

    Example:
        >>> python_source(context=16, characters=10_000).train
        Dataset(562 samples, inputs (16,) int64, targets (16,) int64)
    """
    context = _check.whole("context", context)
    characters = _check.whole("characters", characters, low=20 * (context + 1))
    text, library = "", Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.glob("*.py")) + sorted(library.glob("[a-z]*/*.py")):
        if "site-packages" not in path.parts and len(text) < characters:
            text += path.read_text(encoding="utf-8", errors="replace")
    table = torch.full((0x110000,), len(CHARACTERS) - 1)
    table[[ord(c) for c in CHARACTERS]] = torch.arange(len(CHARACTERS))
    codes = table[torch.from_numpy(np.frombuffer(text[:characters].encode("utf-32-le"), np.uint32).astype(np.int64))]
    cut = len(codes) * 9 // 10
    return Split(_windows(codes[:cut], context), _windows(codes[cut:], context))


def _windows(codes: Tensor, context: int) -> Dataset:
    n = (len(codes) - 1) // context
    return Dataset(codes[: n * context].view(n, context), codes[1 : n * context + 1].view(n, context))
