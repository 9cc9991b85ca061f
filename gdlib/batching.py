"""Batch sizes: functions from the step, counted from 0, to the number of samples in that step's batch.

The batch size is the same kind of thing as the learning rate (`gdlib.schedules`): a function of the step. A whole number is
the constant function.
"""

from collections.abc import Callable

from gdlib import _check

BatchSize = Callable[[int], int]


def constant(size: int) -> BatchSize:
    """The same batch size at every step: the source's "fixed batch size".

    Args:
        size: samples in a batch; a whole number of at least 1.

    Returns:
        A function from the step to the batch size.

    Raises:
        TypeError, ValueError: if ``size`` is not a whole number of at least 1.

    Example:
        >>> size = constant(64)
        >>> size(0), size(1000)
        (64, 64)
    """
    size = _check.whole("batch_size", size)
    return lambda step: size


def as_batch_size(batch_size: int | BatchSize) -> BatchSize:
    """A function of the step from a function of the step or a whole number.

    Raises:
        TypeError, ValueError: if ``batch_size`` is neither a function of the step nor a whole number of at least 1.
    """
    return batch_size if callable(batch_size) else constant(batch_size)
