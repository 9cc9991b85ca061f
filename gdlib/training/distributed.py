"""Many processes, started by ``torchrun``: the same training as one process, sample for sample.

Every process draws the same batch and works on its own share of it. With shares of :math:`n_r` of :math:`n` samples, the mean
over the batch is the weighted mean of the processes' means,

.. math:: \\frac1n \\sum_{i} \\ell_i = \\sum_r \\frac{n_r}{n} \\, \\bar\\ell_r

while torch's engines (DDP, FSDP2) give every process the same weight, :math:`1/N`. So each multiplies its loss by
:math:`N n_r / n`. Leaving this out is right only where N divides every batch.

``torchrun --max-restarts 3`` starts all processes again when one dies; with ``Trainer.run(..., checkpoint=path)`` they go on from
the checkpoint. With torch 2.13 that needs ``TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1`` in the environment: the store that both attempts
share by default keeps the addresses of the first, and the second waits for them for ever.
"""

import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gdlib import _check

LISTS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
BATCH_NORM = nn.modules.batchnorm._BatchNorm


def launched() -> bool:
    """Whether ``torchrun`` (or something that sets the same variables) started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def rank() -> int:
    """Number of this process, from 0; 0 where there is but one."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def join(parallel: str, device: torch.device) -> tuple[str | None, torch.device]:
    """Meet the other processes, if ``torchrun`` started any.

    Args:
        parallel: ``"auto"`` (DDP under torchrun), ``"ddp"`` or ``"fsdp"``.
        device: what one process alone would use; under torchrun each takes the GPU of its local rank.

    Returns:
        ``None``, ``"ddp"`` or ``"fsdp"``, and this process's device.

    Raises:
        ValueError: if ``parallel`` is none of these, or wants several processes where torchrun did not start this one.
    """
    _check.one_of("parallel", parallel, ("auto", "ddp", "fsdp"))
    if not launched():
        if parallel != "auto":
            raise ValueError(f'parallel="{parallel}" needs several processes: start the script with torchrun')
        return None, device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return "ddp" if parallel == "auto" else parallel, device


def wrap(model: nn.Module, parallel: str | None, device: torch.device, dtype: torch.dtype | None = None) -> nn.Module:
    """The module to call in place of ``model``: DDP around it, or ``model`` itself with its parameters sharded.

    With a ``dtype`` of 16 bits FSDP gathers the parameters in it, and adds gradients up in fp32; then autocast has nothing to copy.
    Not with batch norm, whose weights have to be as wide as its running means.
    """
    if parallel == "ddp":
        if device.type == "cuda":  # the statistics of a batch are those of all shares
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        if not any(p.requires_grad for p in model.parameters()):
            return model
        ids = [device] if device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)  # no second copy of them
    if parallel == "fsdp":
        # two seconds, which one process need not wait
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        narrow = dtype is not None and not any(isinstance(m, BATCH_NORM) for m in model.modules())
        policy = (
            MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False) if narrow else MixedPrecisionPolicy()
        )
        mesh = dist.init_device_mesh(device.type, (size(),))
        for layer in _layers(model):
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        fully_shard(model, mesh=mesh, mp_policy=policy)
    return model


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """The parts that are gathered one at a time: members of lists that hold parameters. What is in no list is gathered with the
    whole: a part's weights may be used outside of it, as an embedding's are that is the head too."""
    for child in module.children():
        if isinstance(child, LISTS) or not isinstance(module, LISTS):
            yield from _layers(child)
        elif any(True for _ in child.parameters()):
            yield child


def share(batch_size: int) -> tuple[slice, float]:
    """Which samples of a batch are this process's, and the weight of their mean among the processes' means.

    A process for which there is none takes the last sample with weight 0: it has to take part in the exchange.

    Example:
        >>> share(10)
        (slice(0, 10, None), 1.0)
    """
    n, r = size(), rank()
    begin, end = r * batch_size // n, (r + 1) * batch_size // n
    if begin == end:
        return slice(batch_size - 1, batch_size), 0.0
    return slice(begin, end), n * (end - begin) / batch_size


def micro_batches(batch_size: int, micro: int) -> list[tuple[slice, float]]:
    """This process's share of a batch in parts of at most ``micro`` samples, each with the weight of its mean.

    Every process has equally many parts: FSDP gathers the parameters for each, and all have to take part in that.

    Example:
        >>> micro_batches(10, 4)
        [(slice(0, 3, None), 0.3), (slice(3, 6, None), 0.3), (slice(6, 10, None), 0.4)]
    """
    if size() == 1 and batch_size <= micro:
        return [(slice(0, batch_size), 1.0)]
    mine, weight = share(batch_size)
    n, count = mine.stop - mine.start, math.ceil(math.ceil(batch_size / size()) / micro)
    edges = [mine.start + k * n // count for k in range(count + 1)]
    return [
        (slice(a, b), weight * (b - a) / n) if a < b else (slice(mine.stop - 1, mine.stop), 0.0)
        for a, b in zip(edges, edges[1:])
    ]


def exchanging(module: nn.Module, now: bool) -> AbstractContextManager:
    """Exchange gradients in the backward pass within, or not: with DDP only the last of several micro-batches has to. FSDP
    exchanges each time, for whole gradients are what no process has room for."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) and not now else nullcontext()


def mean(value: Tensor) -> Tensor:
    """Mean of a tensor over the processes; itself where there is but one."""
    if size() > 1:
        value = value.clone()
        dist.all_reduce(value)
        value /= size()
    return value


def trained(module: nn.Module) -> list[bool]:
    """Which of its parameters require a gradient: those whose gradients DDP exchanges are chosen when it is made."""
    return [p.requires_grad for p in module.parameters()]


@torch.no_grad()
def same_everywhere(parameters: list[nn.Parameter]) -> None:
    """Give every process the first one's values, of parameters that no engine looks after."""
    if size() > 1:
        for p in parameters:
            dist.broadcast(p, 0)


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Give every process the mean of all processes' gradients, for the few parameters that no engine exchanges: a loss's own."""
    if size() > 1:
        for p in parameters:
            if p.requires_grad:
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
                dist.all_reduce(p.grad)
                p.grad /= size()


def leave() -> None:
    """Part from the other processes, at the end of a script."""
    if dist.is_initialized():
        dist.destroy_process_group()


def wait() -> None:
    """Until every process is here."""
    if size() > 1:
        dist.barrier()


def everyone(value: Any) -> list[Any]:
    """Each process's ``value``, by rank, on every process."""
    values = [value] * size()
    if size() > 1:
        dist.all_gather_object(values, value)
    return values


def sharded(value: Any) -> bool:
    """Whether it is a tensor of which each process holds a part."""
    return hasattr(value, "to_local")


def whole(tensor: Tensor) -> Tensor:
    """A tensor with its shards gathered; itself where it has none. All processes must call it together."""
    return tensor.full_tensor() if sharded(tensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor: its shard, or all of it."""
    return tensor.to_local() if sharded(tensor) else tensor


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole ``tensor`` laid out as ``other`` is: sharded, if that is. A tensor on the meta device becomes room for its values."""
    alike = sharded(other) and tensor.shape == other.shape
    if tensor.is_meta:
        return torch.empty_like(other if alike else tensor, dtype=tensor.dtype, device=other.device)
    if alike:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements)
    return tensor
