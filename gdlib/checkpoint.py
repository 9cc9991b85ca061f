"""Saving and resuming: a file is either the old checkpoint or the new one, never half of each.

One file holds the whole run, whoever wrote it: under FSDP the shards are gathered first, so that what N processes wrote, M
can load, one process included. Reading it never runs code (``weights_only=True``).
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gdlib import device as devices
from gdlib import distributed

if TYPE_CHECKING:
    from gdlib.trainer import Trainer

FORMAT = 2


def write(path: str | Path, state: dict[str, Any]) -> None:
    """Write ``state`` beside the old file, flush it to the disk, then move it over the old one.

    Args:
        path: where the checkpoint goes; its folder must exist.
        state: tensors and plain values, nested in dicts and lists.

    Raises:
        FileNotFoundError: if the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must lie in a folder that exists; got {str(path)!r}")
    for left in path.parent.glob(f"{path.name}.*.part"):  # by a writer that was killed
        left.unlink(missing_ok=True)
    handle, beside = tempfile.mkstemp(prefix=path.name + ".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the move itself reaches the disk with the folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: str | Path) -> dict[str, Any]:
    """Read what `write` wrote, onto the CPU. Nothing but tensors and plain values is ever unpickled.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is torn, or holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must name a checkpoint that exists; got {str(path)!r}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different one for each way a file can be broken
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise ValueError(
            f"path must name a whole checkpoint of tensors and plain values; {str(path)!r}: {reason}"
        ) from error


def save(trainer: "Trainer", path: str | Path) -> None:
    """Write the state of a run. All processes must call it together; the first one writes."""
    state = {
        "format": FORMAT,
        "model": distributed.whole(trainer.model.state_dict()),
        "optimizer": distributed.whole(trainer.optimizer.state_dict()),
        "optimizer_class": type(trainer.optimizer).__name__,
        "steps_done": trainer.steps_done,
        "samples_seen": trainer.samples_seen,
        "samples": trainer._samples,
        "seed": trainer.seed,
        "lr_factor": trainer._lr_factor,
        "first_loss": float(trainer._first_loss),
        "rng": distributed.everyone(devices.random_state(trainer.device)),
        "reacting": [schedule.state_dict() for schedule in trainer._reacting()],
        "scaler": trainer._scaler.state_dict() if trainer._scaler else None,
        "history": trainer._history.state_dict() if trainer._history is not None else None,
    }
    if distributed.rank() == 0:
        write(path, state)
    distributed.wait()


def load(trainer: "Trainer", path: str | Path) -> None:
    """Put a run into the state that `save` wrote, after making sure that it fits; nothing is changed if it does not.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is torn or does not fit the trainer's model, optimizer or data.
    """
    state = read(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"path must name a checkpoint of Trainer.save; got {str(path)!r}, which holds something else")
    _check_fit(trainer, state, f"{str(path)!r}")

    model = trainer.model.state_dict()
    parameters = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    optimizer = dict(state["optimizer"])
    optimizer["state"] = {
        i: {name: distributed.like(value, parameters[i]) for name, value in values.items()}
        for i, values in optimizer["state"].items()
    }
    try:
        trainer.optimizer.load_state_dict(optimizer)
    except ValueError as error:
        raise ValueError(f"path must name a checkpoint of this optimizer; {str(path)!r}: {error}") from error
    trainer.model.load_state_dict(
        {name: distributed.like(value, model[name]) for name, value in state["model"].items()}
    )
    trainer.steps_done, trainer.samples_seen = state["steps_done"], state["samples_seen"]
    trainer._lr_factor, trainer._first_loss = state["lr_factor"], state["first_loss"]
    trainer.reseed(state["seed"])
    devices.set_random_state(state["rng"][distributed.rank() % len(state["rng"])], trainer.device)
    for schedule, seen in zip(trainer._reacting(), state["reacting"]):
        schedule.load_state_dict(seen)
    if trainer._scaler and state["scaler"]:
        trainer._scaler.load_state_dict(state["scaler"])
    if trainer._history is not None and state["history"] is not None:
        trainer._history.load_state_dict(state["history"])


def _check_fit(trainer: "Trainer", state: dict[str, Any], name: str) -> None:
    """Raise a ``ValueError`` that names the first thing in which a checkpoint and a trainer differ."""
    theirs = {key: tuple(t.shape) for key, t in state["model"].items()}
    mine = {key: tuple(t.shape) for key, t in trainer.model.state_dict().items()}
    unlike = [key for key in mine | theirs if theirs.get(key) != mine.get(key)]
    if unlike:
        key = unlike[0]
        raise ValueError(
            f"path must name a checkpoint of this model; {name} has {theirs.get(key)} for {key!r}, the model"
            f" {mine.get(key)} ({len(unlike)} differ)"
        )
    for what, here in (("optimizer_class", type(trainer.optimizer).__name__), ("samples", trainer._samples)):
        if state[what] != here:
            raise ValueError(f"path must name a checkpoint with {what} {here!r}; {name} has {state[what]!r}")
    if len(state["reacting"]) != len(trainer._reacting()):
        raise ValueError(
            f"path must name a checkpoint with as many plateau schedules as lr and batch_size have,"
            f" {len(trainer._reacting())}; {name} has {len(state['reacting'])}"
        )
    groups = [len(group["params"]) for group in trainer.optimizer.param_groups]
    if (found := [len(group["params"]) for group in state["optimizer"]["param_groups"]]) != groups:
        raise ValueError(f"path must name a checkpoint of this optimizer, with groups of {groups}; {name} has {found}")
