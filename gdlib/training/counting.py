"""What a run really takes, counted: bytes that torch allocates, bytes that autograd keeps, bytes that a process sends."""

import contextlib
import gc
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

TCP_INFO = {"sent": 200, "sent again": 208}  # bytes before these two in Linux's struct tcp_info


def stored(tensors: Iterable[Tensor]) -> int:
    """Bytes behind tensors, each storage counted once.

    Example:
        >>> import torch
        >>> x = torch.zeros(10)
        >>> stored([x, x[:5], torch.zeros(1)])
        44
    """
    storages = (tensor.untyped_storage() for tensor in tensors)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def kept(work: Callable[[], Any], without: Iterable[Tensor] = ()) -> tuple[Any, int]:
    """What ``work`` returns, and the bytes that autograd kept meanwhile for a backward pass.

    Args:
        work: a forward pass.
        without: tensors whose storages are not counted, such as the parameters and the batch.

    Example:
        >>> import torch
        >>> w, x = torch.ones(3, requires_grad=True), torch.ones(3)
        >>> kept(lambda: (w * x).exp(), without=[w])[1]  # x and the result
        24
    """
    tensors, own = [], {tensor.untyped_storage().data_ptr() for tensor in without}
    with saved_tensors_hooks(lambda tensor: tensors.append(tensor) or tensor, lambda tensor: tensor):
        result = work()
    return result, stored(tensor for tensor in tensors if tensor.untyped_storage().data_ptr() not in own)


def allocated(work: Callable[[], Any]) -> tuple[list[float], list[int]]:
    """How much more memory torch holds on the CPU while ``work`` runs: seconds, and bytes above the beginning, after each change.

    By torch's profiler, which its allocator tells of everything that it gives and takes back. For a GPU:
    ``torch.cuda.reset_peak_memory_stats()`` before and ``torch.cuda.max_memory_allocated()`` after.

    Example:
        >>> import torch
        >>> seconds, held = allocated(lambda: torch.zeros(1000) + torch.zeros(1000))
        >>> max(held), held[-1]
        (12000, 0)
    """
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()  # what was left over from before is not ours
    try:
        with _quiet(), profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
            work()
    finally:
        if collecting:
            gc.enable()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    held, seconds, total = [], [], 0
    for event in events:
        total += event.nbytes()
        held.append(total)
        seconds.append((event.start_ns() - events[0].start_ns()) / 1e9)
    return seconds, held


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The profiler's C++ part writes the time of day to the standard error, past Python; here it writes to nowhere."""
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def sent() -> int:
    """Bytes that this process's network connections have carried out so far, as Linux counts them, those sent again left out; 0 elsewhere.

    What goes to another process on the same machine counts too: it takes the same way, but for the wire.

    Example:
        >>> here, there = socket.create_server(("127.0.0.1", 0)), socket.socket()
        >>> before = sent()
        >>> there.connect(here.getsockname()); there.sendall(bytes(1000)); sent() - before in (0, 1000)
        True
        >>> here.close(); there.close()
    """
    total, folder = 0, "/proc/self/fd"
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        with contextlib.suppress(OSError, struct.error):
            if not os.readlink(f"{folder}/{name}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as connection:
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            first, again = (struct.unpack_from("Q", info, place)[0] for place in TCP_INFO.values())
            total += first - again
    return total
