"""A transformer layer cut in every way that torch knows, with torch's own tools: what chapter 4.5 shows, here held against one process."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor import parallel as tp
from torch.nn import functional as F


class Attention(nn.Module):
    """Whoever has some of the heads has those columns of q, k and v, and those rows of out."""

    def __init__(self, width: int, head: int):
        super().__init__()
        self.head = head
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (-1, self.head)).transpose(1, 2) for f in (self.q, self.k, self.v))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention and a perceptron, each after a normalisation and beside a way around; ``(n, t, width)`` to the same."""

    def __init__(self, width: int, head: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, head)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.perceptron(self.norm2(x))


def stack(layers: int, width: int, head: int = 16) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(Layer(width, head) for _ in range(layers))).double()


def tensor_parallel(model: nn.Sequential, mesh) -> nn.Sequential:
    """Each process has some heads and some hidden units of every layer."""
    plan = {
        "attention": tp.PrepareModuleInput(input_layouts=Replicate(), desired_input_layouts=Replicate()),
        **{f"attention.{name}": tp.ColwiseParallel() for name in "qkv"},
        "attention.out": tp.RowwiseParallel(),
        "perceptron.0": tp.ColwiseParallel(),
        "perceptron.2": tp.RowwiseParallel(),
    }
    for layer in model:
        tp.parallelize_module(layer, mesh, plan)
    return model


def sequence_parallel(model: nn.Sequential, mesh) -> nn.Sequential:
    """As above, and what lies between is cut along the sequence."""
    gather = tp.PrepareModuleInput(input_layouts=Shard(1), desired_input_layouts=Replicate())
    plan = {
        "norm1": tp.SequenceParallel(),
        "attention": gather,
        **{f"attention.{name}": tp.ColwiseParallel() for name in "qkv"},
        "attention.out": tp.RowwiseParallel(output_layouts=Shard(1), use_local_output=False),
        "norm2": tp.SequenceParallel(),
        "perceptron": gather,
        "perceptron.0": tp.ColwiseParallel(),
        "perceptron.2": tp.RowwiseParallel(output_layouts=Shard(1), use_local_output=False),
    }
    for layer in model:
        tp.parallelize_module(layer, mesh, plan)
    return model


def mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs, targets)


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def pipeline(model: nn.Sequential, micro_batches: int):
    """Each process has some of the layers; the schedule's ``step`` is one of training, but for the update."""
    from torch.distributed.pipelining import PipelineStage, Schedule1F1B

    rank, size = dist.get_rank(), dist.get_world_size()
    per = len(model) // size
    mine = model[rank * per : (rank + 1) * per]
    stage = PipelineStage(mine, rank, size, torch.device("cpu"))
    return mine, Schedule1F1B(stage, micro_batches, loss_fn=mean_square)
