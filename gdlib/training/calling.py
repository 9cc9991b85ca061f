"""How inputs go into a model, and what a loss is: the same for `Trainer` and for what chooses its settings."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gdlib.data import leaves


def takes(forward: Callable, inputs: Any) -> bool:
    """Whether inputs that are several go in one by one, by the signature; what takes one thing gets them whole.

    Example:
        >>> takes(lambda ids, mask: ids, (1, 2)), takes(lambda pair: pair, (1, 2)), takes(lambda ids: ids, {"ids": 1})
        (True, False, True)
    """
    try:
        bind = inspect.signature(forward).bind
        bind(**inputs) if isinstance(inputs, Mapping) else bind(*inputs)
    except TypeError:
        return False
    except ValueError:  # it has no signature to look at
        return True
    return True


def several(inputs: Any) -> tuple:
    """A tuple or a list as a tuple, one thing as a tuple of one.

    Example:
        >>> several([1, 2]), several(1)
        ((1, 2), (1,))
    """
    return tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)


def own_loss(outputs: Any) -> Any:
    """The loss that a model returned: as ``.loss``, under ``"loss"``, or as the one number among its outputs.

    Raises:
        ValueError: if there is none.

    Example:
        >>> own_loss({"loss": torch.tensor(2.0), "logits": torch.zeros(3)}), own_loss((torch.zeros(3), torch.tensor(1.0)))
        (tensor(2.), tensor(1.))
    """
    found = getattr(outputs, "loss", None)
    if found is None and isinstance(outputs, Mapping):
        found = outputs.get("loss")
    if found is None:
        scalars = [leaf for leaf in leaves(outputs) if isinstance(leaf, Tensor) and leaf.ndim == 0]
        found = scalars[0] if len(scalars) == 1 else None
    if found is None:
        raise ValueError("loss_fn must be given where the model does not return its loss, as .loss or as a scalar")
    return found


def module_of(loss_fn: Any) -> nn.Module | None:
    """The module that a loss is, is a method of, or is a partial of.

    Raises:
        TypeError: if it is the class of such a module, which takes settings where a loss takes outputs and targets.

    Example:
        >>> module_of(nn.MSELoss()), module_of(functools.partial(nn.MSELoss().forward)), module_of(nn.functional.mse_loss)
        (MSELoss(), MSELoss(), None)
    """
    while isinstance(loss_fn, functools.partial):
        loss_fn = loss_fn.func
    if isinstance(loss_fn, type) and issubclass(loss_fn, nn.Module):
        raise TypeError(
            f"loss_fn must be a function of (outputs, targets); got the class {loss_fn.__name__}, not {loss_fn.__name__}()"
        )
    loss_fn = getattr(loss_fn, "__self__", loss_fn)
    return loss_fn if isinstance(loss_fn, nn.Module) else None


def at_least_one(count: Any) -> Any:
    """The divisor of a mean; where there is nothing to take it over, the sum is 0 and so is the mean.

    Example:
        >>> at_least_one(3), at_least_one(0), at_least_one(torch.tensor([0, 2]))
        (3, 1, tensor([1, 2]))
    """
    return torch.where(count == 0, 1, count) if isinstance(count, Tensor) else count or 1
