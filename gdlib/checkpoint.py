"""Saving and resuming: a file is either the old checkpoint or the new one, never half of each."""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch


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
