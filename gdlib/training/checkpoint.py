"""Saving and resuming: a file is either the old checkpoint or the new one, never half of each.

One file holds the whole run. Under FSDP, where no process may have room for a whole model, ``torch.distributed.checkpoint`` lets each
write its own shards into a folder beside that file, which names it and describes the tensors in it. What N processes wrote, M can
load, one process included. Reading never runs code: the file is read with ``weights_only=True``, and the shards are safetensors.
"""

import os
import shutil
import stat
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from glob import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import keystr, tree_map_with_path

from gdlib.training import distributed


def write(path: str | Path, state: dict[str, Any]) -> None:
    """Write ``state`` beside the old file, flush it to the disk, then move it over the old one.

    All processes must call it together; the first one writes, and each its own shards. The file is moved into place when all shards
    are on the disk; those of the checkpoint before it go last. A symbolic link stays one: what it points to is replaced. Who may
    read the file is what the umask says, or what the old file said.

    Args:
        path: where the checkpoint goes; its folder must exist.
        state: tensors and plain values, nested in dicts and lists.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if ``path`` is something else than a file: a folder, a device, links in a circle.
    """
    path, shards = place(path), {}

    def put_aside(at: tuple, value: Any) -> Any:
        if not distributed.sharded(value):
            return value
        shards[keystr(at)] = value
        return torch.empty(value.shape, dtype=value.dtype, device="meta")

    state = tree_map_with_path(put_aside, state)
    folder = _write_shards(path, shards) if shards else None
    if distributed.rank() == 0:
        _replace(path, state if folder is None else state | {"shards": folder})
        for old in _beside(path, "shards"):
            if old.name != folder:
                shutil.rmtree(old, ignore_errors=True)
    distributed.wait()


def _replace(path: Path, content: dict[str, Any]) -> None:
    for left in _beside(path, "part"):  # by a writer that was killed
        left.unlink(missing_ok=True)
    handle, beside = tempfile.mkstemp(prefix=path.name + ".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, _mode(path))
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    _flush(path.parent)  # the move itself reaches the disk with the folder


def _mode(path: Path) -> int:
    """What the old file allows, else what the umask leaves of reading and writing for all."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def place(path: str | Path) -> Path:
    """Where a checkpoint at ``path`` comes to lie, links followed, after making sure that a file can lie there."""
    if not (given := Path(path)).parent.is_dir():
        raise FileNotFoundError(f"path must lie in a folder that exists; got {str(path)!r}")
    real = Path(os.path.realpath(given))
    if not real.parent.is_dir():
        raise FileNotFoundError(f"path must lie in a folder that exists; {str(path)!r} is a link to {str(real)!r}")
    if real.is_symlink() or (real.exists() and not real.is_file()):
        kind = "a folder" if real.is_dir() else "links in a circle" if real.is_symlink() else "a device or a pipe"
        raise ValueError(f"path must be a file, or not exist yet; got {str(path)!r}, which is {kind}")
    return real


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


def read(path: str | Path, layout: Callable[[tuple, Tensor], Tensor] | None = None) -> dict[str, Any]:
    """Read what `write` wrote, onto the CPU. Nothing but tensors and plain values is ever unpickled.

    Args:
        path: the file.
        layout: for a file with shards: ``layout(place in the state, tensor on the meta device)`` is room for that tensor, sharded
            or whole. ``None`` reads every tensor whole.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it or one of its shards is torn, or it holds anything but tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must name a checkpoint that exists; got {str(path)!r}")
    try:
        _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different one for each way a file can be broken
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise ValueError(
            f"path must name a whole checkpoint of tensors and plain values; {str(path)!r}: {reason}"
        ) from error
    folder = content.pop("shards", None) if isinstance(content, dict) else None
    if folder is None:
        return content
    rooms = {}

    def make_room(at: tuple, value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_meta:
            return value
        rooms[keystr(at)] = layout(at, value) if layout else torch.empty_like(value, device="cpu")
        return rooms[keystr(at)]

    state = tree_map_with_path(make_room, content)
    _read_shards(Path(os.path.realpath(path)).parent / folder, rooms)
    return state


def _check_sums(path: Path) -> None:
    """Compare what is in a file with the check sums that were written along, which ``torch.load`` does not."""
    if zipfile.is_zipfile(path) and torch.serialization.get_crc32_options():
        with zipfile.ZipFile(path) as file:
            if spoilt := file.testzip():
                raise ValueError(f"{spoilt} is not what was written")


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
