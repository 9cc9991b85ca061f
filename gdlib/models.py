"""Small models. Their initial weights come from torch's global generator: call ``torch.manual_seed`` first."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from gdlib import _check


def linear(inputs: int, outputs: int = 1) -> nn.Linear:
    """A linear model with an intercept: ``(n, inputs) -> (n, outputs)``.

    Raises:
        TypeError, ValueError: if a size is not a whole number of at least 1.

    Example:
        >>> linear(10)
        Linear(in_features=10, out_features=1, bias=True)
    """
    return nn.Linear(_check.whole("inputs", inputs), _check.whole("outputs", outputs))


def mlp(*sizes: int) -> nn.Sequential:
    """A multi-layer perceptron with ReLU between its layers: ``(n, sizes[0]) -> (n, sizes[-1])``.

    Args:
        sizes: the width of every layer from the inputs to the outputs; at least two.

    Raises:
        TypeError, ValueError: if a size is not a whole number of at least 1, or fewer than two are given.

    Example:
        >>> [tuple(p.shape) for p in mlp(64, 32, 10).parameters()]
        [(32, 64), (32,), (10, 32), (10,)]
    """
    sizes = [_check.whole("sizes", size) for size in sizes]
    if len(sizes) < 2:
        raise ValueError(f"sizes must name at least the inputs and the outputs; got {sizes}")
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """``model`` in evaluation mode within a ``with`` block; each of its parts is then put back into the mode it had.

    Example:
        >>> model = mlp(4, 2)
        >>> with evaluating(model):
        ...     print(model.training)
        False
        >>> model.training
        True
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
