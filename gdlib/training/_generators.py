"""The generators that a run may draw from, as values: those of torch, NumPy and Python, and a device's own."""

import random
from typing import Any

import numpy as np
import torch


def host_generators() -> dict[str, Any]:
    """The states of the generators of torch, NumPy and Python on the host, as tensors and plain values."""
    version, words, gauss = random.getstate()
    numpy = np.random.get_state(legacy=False)
    return {
        "torch": torch.get_rng_state(),
        "numpy": {"key": torch.from_numpy(numpy["state"]["key"].astype(np.int64)), "pos": int(numpy["state"]["pos"])}
        | {"has_gauss": int(numpy["has_gauss"]), "gauss": float(numpy["gauss"])},
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
    }


def set_host_generators(state: dict[str, Any]) -> None:
    """Put back what `host_generators` gave."""
    torch.set_rng_state(state["torch"])
    numpy, python = _as_theirs(state)
    np.random.set_state(numpy)
    random.setstate(python)


def _as_theirs(state: dict[str, Any]) -> tuple[tuple, tuple]:
    """What NumPy's and Python's generators call their state."""
    numpy, python = state["numpy"], state["python"]
    key = numpy["key"].numpy().astype(np.uint32)
    theirs = ("MT19937", key, numpy["pos"], numpy["has_gauss"], numpy["gauss"])
    return theirs, (python["version"], tuple(python["words"].tolist()), python["gauss"])


def check_generators(name: str, state: Any, device: torch.device) -> None:
    """Raise a ``ValueError`` that calls it ``name`` where a state is not one that the generators here would take."""
    try:
        torch.Generator().set_state(state["torch"])
        if device.type in state and device.type != "cpu":
            torch.Generator(device).set_state(state[device.type])
        numpy, python = _as_theirs(state)
        np.random.RandomState().set_state(numpy)
        random.Random().setstate(python)
        numbers = torch.cat([state["python"]["words"][:-1], state["numpy"]["key"]])
        if not (numbers.min() >= 0 and numbers.max() < 2**32 and 0 <= numpy[2] <= 624):  # which neither looks at
            raise ValueError("a number is out of its range")
    except Exception as error:  # each generator refuses in another way
        raise ValueError(f"{name} must hold states of generators; torch, NumPy or Python says: {error!r}") from error


def same_generators(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two such states are the same."""
    return all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor)
        else same_generators(value, other[name]) if isinstance(value, dict) else value == other[name]
        for name, value in one.items()
    )  # fmt: skip


def generators(device: torch.device) -> dict[str, Any]:
    """The states of all generators that a model on ``device`` may draw from: those of the host, and the device's own."""
    state = host_generators()
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_generators(state: dict[str, Any], device: torch.device) -> None:
    """Put back what `generators` gave; the part of a device that is not here is left out."""
    set_host_generators(state)
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])
