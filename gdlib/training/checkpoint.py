"""Saving and resuming: a file is either the old checkpoint or the new one, never half of each.

One file holds the whole run. Under FSDP, where no process may have room for a whole model, ``torch.distributed.checkpoint`` lets each
write its own shards into a folder beside that file, which names it and describes the tensors in it. What N processes wrote, M can
load, one process included. Reading never runs code: the file is read with ``weights_only=True``, and the shards are safetensors.
"""

import os
import shutil
import tempfile
import warnings
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import keystr, tree_map_with_path

from gdlib.training import device as devices
from gdlib.training import distributed

if TYPE_CHECKING:
    from gdlib.training._trainer import Trainer

FORMAT = 2


def write(path: str | Path, state: dict[str, Any]) -> None:
    """Write ``state`` beside the old file, flush it to the disk, then move it over the old one.

    Args:
        path: where the checkpoint goes; its folder must exist.
        state: tensors and plain values, nested in dicts and lists.

    Raises:
        FileNotFoundError: if the folder does not exist.
    """
    path = _in_a_folder(path)
    for left in _beside(path, "part"):  # by a writer that was killed
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
    _flush(path.parent)  # the move itself reaches the disk with the folder


def _in_a_folder(path: str | Path) -> Path:
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path must lie in a folder that exists; got {str(path)!r}")
    return path


def _beside(path: Path, suffix: str) -> list[Path]:
    """What ``tempfile`` made beside a checkpoint: its name, eight characters, the suffix."""
    return list(path.parent.glob(f"{escape(path.name)}.????????.{suffix}"))


def _flush(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
    """Write the state of a run. All processes must call it together; the first one writes, and each its own shards.

    The file is moved into place when all shards are on the disk; those of the checkpoint before it go last.

    Raises:
        FileNotFoundError: if the folder of ``path`` does not exist.
    """
    path, shards = _in_a_folder(path), {}

    def put_aside(at: tuple, value: Any) -> Any:
        if not distributed.sharded(value):
            return value
        shards[keystr(at)] = value
        return torch.empty(value.shape, dtype=value.dtype, device="meta")

    state = {
        "format": FORMAT,
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
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
    state = tree_map_with_path(put_aside, state)
    state["shards"] = _write_shards(path, shards) if shards else None
    if distributed.rank() == 0:
        write(path, state)
        for folder in _beside(path, "shards"):
            if folder.name != state["shards"]:
                shutil.rmtree(folder, ignore_errors=True)
    distributed.wait()


def _write_shards(path: Path, shards: dict[str, Tensor]) -> str:
    """Each process's own shards into a new folder beside ``path``, whose name is returned."""
    import torch.distributed.checkpoint as dcp  # a second, which a run without shards need not wait

    folder = None
    if distributed.rank() == 0:
        folder = tempfile.mkdtemp(prefix=path.name + ".", suffix=".shards", dir=path.parent)
    folder = Path(distributed.everyone(folder)[0])
    dcp.save(shards, storage_writer=dcp.HuggingFaceStorageWriter(str(folder), save_distributed=True))
    _flush(folder)
    return folder.name


def _read_shards(folder: Path, rooms: dict[str, Tensor]) -> None:
    """Fill ``rooms``, however they are sharded, with what `_write_shards` wrote under their names."""
    import torch.distributed.checkpoint as dcp

    try:
        with warnings.catch_warnings(action="ignore"):  # that one process alone reads it
            dcp.load(rooms, storage_reader=dcp.HuggingFaceStorageReader(str(folder)))
    except (Exception, dcp.api.CheckpointException) as error:  # one for each way a file can be broken or missing
        reason = " ".join(str(error).split())[-300:]
        raise ValueError(f"path must name a checkpoint whose shards are whole; {str(folder)!r}: {reason}") from error


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

    model, rooms = trainer.model.state_dict(), {}
    parameters = [p for group in trainer.optimizer.param_groups for p in group["params"]]

    def lay_out(at: tuple, value: Any) -> Any:
        """A tensor as this trainer has it: sharded or whole; one of the optimizer's like the parameter that it belongs to."""
        if not isinstance(value, Tensor):
            return value
        match [key.key for key in at if hasattr(key, "key")]:
            case ["model", name, *_]:
                laid_out = distributed.like(value, model[name])
            case ["optimizer", "state", i, *_]:
                laid_out = distributed.like(value, parameters[i])
            case _:
                return value
        if value.is_meta:
            rooms[keystr(at)] = laid_out
        return laid_out

    parts = tree_map_with_path(lay_out, {name: state[name] for name in ("model", "optimizer")})
    if rooms:
        _read_shards(Path(path).parent / state["shards"], rooms)
    try:
        trainer.optimizer.load_state_dict(parts["optimizer"])
    except ValueError as error:
        raise ValueError(f"path must name a checkpoint of this optimizer; {str(path)!r}: {error}") from error
    trainer.model.load_state_dict(parts["model"])
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
