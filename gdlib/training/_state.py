"""The state of a run as a value: all that the next step depends on, as a dict of tensors and plain values."""

import random
from collections.abc import Callable, Mapping
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_with_path

from gdlib import _check
from gdlib.data import tree_map
from gdlib.training import distributed
from gdlib.training._generators import check_generators, generators, set_generators
from gdlib.training._trained import held

if TYPE_CHECKING:
    from gdlib.training._trainer import Trainer

FORMAT = 4


def capture(trainer: "Trainer") -> dict[str, Any]:
    """The state of a run. Its tensors are the run's own: whoever keeps them has to copy them.

    Raises:
        TypeError: if something in it is neither a tensor nor a plain value, and could not be read back.
    """
    return _plain("state", {
        "format": FORMAT,
        "model": trainer.model.state_dict(),
        "buffers": _unsaved_buffers(trainer.model),
        "loss": trainer._loss_module.state_dict() if trainer._loss_module else None,
        "loss_buffers": _unsaved_buffers(trainer._loss_module) if trainer._loss_module else None,
        "optimizer": trainer.optimizer.state_dict(),
        "optimizer_class": type(trainer.optimizer).__name__,
        "parameters": _names(trainer),
        "frozen": [i for i, p in enumerate(trainer.parameters()) if not p.requires_grad],
        "steps_done": trainer.steps_done,
        "samples_seen": trainer.samples_seen,
        "samples": trainer._source.length,
        "seed": trainer.seed,
        "micro_batch_size": trainer.micro_batch_size,
        "lr_factor": trainer._lr_factor,
        "first_loss": float(trainer._first_loss),
        "generators": distributed.everyone(generators(trainer.device)),
        "plateaus": [plateau.state_dict() for plateau in trainer._plateaus],
        "scaler": trainer._scaler.state_dict() if trainer._scaler else None,
        "extra": {name: _pack(value) for name, value in trainer.extra.items()},
    })  # fmt: skip


def restore(trainer: "Trainer", state: dict[str, Any], name: str = "state") -> None:
    """Put a run into a state that `capture` gave, after making sure that it fits; nothing is changed if it does not.

    Raises:
        ValueError: if it does not fit the trainer's model, loss, optimizer, data or extra; the error calls it ``name``.
    """
    if not isinstance(state, Mapping) or state.get("format") != FORMAT:
        raise ValueError(f"{name} must be what Trainer.state_dict gave, or hold it; got something else")
    _check_fit(trainer, state, name)
    own = state["generators"][distributed.rank() % len(state["generators"])]
    check_generators(name, own, trainer.device)
    for key, packed in state["extra"].items():
        try:
            trainer.extra[key] = _unpack(packed, trainer.extra.get(key))
        except Exception as error:  # the reader's own
            raise ValueError(f"extra[{key!r}] did not take what {name} holds for it: {error!r}") from error
    parts = {
        part: tree_map_with_path(lambda at, value, part=part: layout(trainer, (part, *at), value), state[part])
        for part in ("model", "optimizer")
    }
    try:
        trainer.optimizer.load_state_dict(parts["optimizer"])
    except ValueError as error:
        raise ValueError(f"{name} must be of this optimizer: {error}") from error
    trainer.model.load_state_dict(parts["model"])
    _put_buffers(trainer.model, state["buffers"])
    for i, p in enumerate(trainer.parameters()):
        p.requires_grad_(i not in state["frozen"])
    if trainer._loss_module:
        trainer._loss_module.load_state_dict(state["loss"])
        _put_buffers(trainer._loss_module, state["loss_buffers"])
    trainer.steps_done, trainer.samples_seen, trainer.seed = state["steps_done"], state["samples_seen"], state["seed"]
    trainer.micro_batch_size = trainer.micro_batch_size or state["micro_batch_size"]
    trainer._lr_factor, trainer._first_loss = state["lr_factor"], state["first_loss"]
    trainer._written = (None, [])
    set_generators(own, trainer.device)
    for plateau, seen in zip(trainer._plateaus, state["plateaus"]):
        plateau.load_state_dict(seen)
    if trainer._scaler and state["scaler"]:
        trainer._scaler.load_state_dict(state["scaler"])


def layout(trainer: "Trainer", at: tuple, value: Any) -> Any:
    """A tensor of a state as this trainer has it: sharded or whole; one of the optimizer's like the parameter that it belongs to."""
    if not isinstance(value, Tensor) or distributed.sharded(value):
        return value
    match [getattr(key, "key", key) for key in at if not hasattr(key, "idx")]:
        case ["model", name, *_]:
            return distributed.like(value, trainer.model.state_dict()[name])
        case ["optimizer", "state", i, *_]:
            return distributed.like(value, held(trainer.optimizer)[i])
    return value


def copied(state: Any) -> Any:
    """A state with tensors of its own, which later steps leave alone."""
    return tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, state)


def own_generators(extra: dict[str, Any]) -> list[Callable[[], None]]:
    """For each generator among the reader's own things, a function that puts it back as it is now."""
    found = [
        (value, _pack(value))
        for value in extra.values()
        if isinstance(value, (torch.Generator, np.random.Generator, random.Random))
    ]
    return [lambda value=value, packed=packed: _unpack(packed, value) for value, packed in found]


def _unsaved_buffers(module: nn.Module) -> dict[str, Tensor]:
    saved = module.state_dict().keys()
    return {name: buffer for name, buffer in module.named_buffers() if name not in saved}


@torch.no_grad()
def _put_buffers(module: nn.Module, buffers: dict[str, Tensor]) -> None:
    here = dict(module.named_buffers())
    for name, value in buffers.items():
        if here[name].shape == value.shape:
            here[name].copy_(value)
        else:
            owner, _, last = name.rpartition(".")
            module.get_submodule(owner)._buffers[last] = value.to(here[name].device).clone()


def _pack(value: Any) -> dict[str, Any]:
    """One of the reader's own things as a value: what its ``state_dict()`` gives, a generator's state, or itself."""
    if hasattr(value, "state_dict"):
        return {"state_dict": value.state_dict()}
    if isinstance(value, torch.Generator):
        return {"torch": value.get_state()}
    if isinstance(value, np.random.Generator):
        return {
            "numpy": tree_map(
                lambda x: torch.from_numpy(x.astype(np.int64)) if isinstance(x, np.ndarray) else x,
                value.bit_generator.state,
            )
        }
    if isinstance(value, random.Random):
        version, words, gauss = value.getstate()
        return {"python": (version, torch.tensor(words), gauss)}
    return {"value": value}


def _unpack(packed: dict[str, Any], here: Any) -> Any:
    """What `_pack` gave, put into the thing that is ``here``; a plain value is itself."""
    ((kind, state),) = packed.items()
    match kind:
        case "state_dict":
            here.load_state_dict(state)
        case "torch":
            here.set_state(state)
        case "numpy":
            here.bit_generator.state = tree_map(
                lambda x: x.numpy().astype(np.uint64) if isinstance(x, Tensor) else x, state
            )
        case "python":
            here.setstate((state[0], tuple(state[1].tolist()), state[2]))
        case _:
            return copied(state)
    return here


PLAIN = (Number, str, bytes, type(None), torch.dtype, torch.device, torch.Size)


def _plain(name: str, value: Any) -> Any:
    """``value`` with NumPy's numbers as Python's.

    Raises:
        TypeError: that names the first thing in it that is neither a tensor nor a plain value.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (Tensor, *PLAIN)):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(f"{name}[{key!r}]", branch) for key, branch in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(_plain(f"{name}[{i}]", branch) for i, branch in enumerate(value))
    raise TypeError(
        f"{name} must be a tensor or a plain value, or it could not be read back from a checkpoint; got {type(value).__name__}"
    )


def _check_fit(trainer: "Trainer", state: dict[str, Any], name: str) -> None:
    """Raise a ``ValueError`` that names the first thing in which a state and a trainer differ."""
    if missing := sorted(capture(trainer).keys() - state.keys()):
        raise ValueError(f"{name} must hold all that Trainer.state_dict gives; {', '.join(missing)} is missing")
    for counter in ("steps_done", "samples_seen", "seed"):
        _check.whole(f"{counter} of {name}", state[counter], low=0)
    modules = {"model": trainer.model, "loss": trainer._loss_module}
    for what, module in modules.items():
        theirs, mine = _tensor_shapes(state[what] or {}), _tensor_shapes(module.state_dict() if module else {})
        if unlike := [key for key in mine | theirs if theirs.get(key) != mine.get(key)]:
            key = unlike[0]
            raise ValueError(
                f"{name} must be of this {what}; it has {theirs.get(key)} for {key!r}, the {what} {mine.get(key)}"
                f" ({len(unlike)} differ)"
            )
    for what, here in (("optimizer_class", type(trainer.optimizer).__name__), ("samples", trainer._source.length)):
        if state[what] != here:
            raise ValueError(f"{name} must be of a run with {what} {here!r}; it has {state[what]!r}")
    if len(state["plateaus"]) != len(trainer._plateaus):
        raise ValueError(
            f"{name} must be of a run with as many plateau schedules as lr and batch_size have,"
            f" {len(trainer._plateaus)}; it has {len(state['plateaus'])}"
        )
    groups = [len(group["params"]) for group in trainer.optimizer.param_groups]
    if (found := [len(group["params"]) for group in state["optimizer"]["param_groups"]]) != groups:
        raise ValueError(f"{name} must be of this optimizer, with groups of {groups}; it has {found}")
    if unlike := [pair for pair in zip(state["parameters"], _names(trainer)) if pair[0] != pair[1]]:
        raise ValueError(
            f"{name} must be of an optimizer that holds the parameters in this order: where it has {unlike[0][0]!r}, this one has"
            f" {unlike[0][1]!r} ({len(unlike)} differ)"
        )
    _check_optimizer(trainer, state["optimizer"]["state"], name)
    for key, packed in state["extra"].items():
        if "value" not in packed and trainer.extra.get(key) is None:
            raise ValueError(f"extra must hold {key!r}, made as in the run that was saved, before {name} can be loaded")


def _check_optimizer(trainer: "Trainer", states: Mapping[int, Mapping[str, Any]], name: str) -> None:
    """Raise a ``ValueError`` where torch's own optimizer would be handed a moment of another shape than its parameter's."""
    kind, parameters = type(trainer.optimizer), held(trainer.optimizer)
    if not kind.__module__.startswith("torch.optim") or kind.__name__ == "Adafactor":  # which keeps rows and columns
        return
    for i, own in states.items():
        for what, value in own.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameters[i].shape:
                raise ValueError(
                    f"{name} must be of this optimizer; {what} of {_names(trainer)[i]!r} is {tuple(value.shape)}, the parameter"
                    f" {tuple(parameters[i].shape)}"
                )


def _names(trainer: "Trainer") -> list[str]:
    """The names of the parameters that the optimizer holds, in its order; "" for one that is neither the model's nor the loss's."""
    named = [*trainer.model.named_parameters()]
    if trainer._loss_module:
        named += [(f"loss.{name}", p) for name, p in trainer._loss_module.named_parameters()]
    names = {p: name for name, p in reversed(named)}
    return [names.get(p, "") for p in held(trainer.optimizer)]


def settings_that_differ(trainer: "Trainer", state: dict[str, Any]) -> list[str]:
    """The optimizer's settings that a state brings and that are not those of this trainer, each as a sentence."""
    driven = trainer._lr is not None or any(hasattr(own, "get_last_lr") for own in trainer.extra.values())
    own = ("lr",) if driven else ()  # a schedule, ours or torch's, writes it anyway
    leave = {"params", "initial_lr", "foreach", "fused", "capturable", "differentiable", *own}
    found = []
    for here, there in zip(trainer.optimizer.param_groups, state["optimizer"]["param_groups"]):
        for name in there.keys() - leave:
            scheduled = name == "lr" and "initial_lr" in there
            if not scheduled and name in here and there[name] != here[name]:
                found.append(f"{name}={there[name]!r}, not {here[name]!r}")
    return sorted(set(found))


def _tensor_shapes(state: Mapping[str, Any]) -> dict[str, tuple]:
    return {key: tuple(value.shape) for key, value in state.items() if isinstance(value, Tensor)}
