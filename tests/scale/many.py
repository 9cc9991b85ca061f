"""What test_scale.py starts in several processes: torchrun --nproc-per-node 2 tests/scale/many.py OUT

Two processes or four train GPTs by `Trainer`, and cut a stack of layers in every other way; what each sent is written to OUT.
"""

import json
import sys
from functools import partial
from pathlib import Path

import parallel
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard, distribute_tensor

from gdlib import Trainer, distributed, models
from gdlib.training import counting

SIZES = {"wide": (4, 256, 97, 32), "deep": (6, 96, 256, 64), "large head": (2, 128, 4000, 64)}
"""Layers, width, vocabulary, context: three GPTs of one to three million parameters."""

STACK = {"layers": 4, "width": 64, "sequences": 8, "context": 32}


def gpt_trainer(size: str, sequences: int, precision: str = "fp32", micro: int | None = None, **options) -> Trainer:
    layers, width, vocabulary, context = SIZES[size]
    torch.manual_seed(0)
    model = models.gpt(vocabulary, context, width, layers, heads=width // 32)
    if options.pop("recompute", False):
        models.recompute(model, models.Block)
    ids = torch.randint(vocabulary, (64, context))
    return Trainer(
        model, (ids, ids), models.next_token_loss, partial(torch.optim.AdamW, fused=True),
        lr=1e-3, batch_size=sequences, device="cpu", precision=precision, micro_batch_size=micro, **options,
    )  # fmt: skip


def held(trainer: Trainer) -> int:
    """Bytes of weights, state and, with DDP, of buckets: what is there between two steps."""
    own = trainer.parameters()
    tensors = [*own, *(t for s in trainer.optimizer.state.values() for t in s.values() if t.ndim)]
    return sum(distributed.local(t).nbytes for t in [*tensors, *(p.grad for p in own if p.grad is not None)])


def peak(trainer: Trainer) -> int:
    """The most that the fourth step holds. (At steps 0, 1, 2, 4, ... `Trainer` compares micro-batches, which takes more.)"""
    trainer.fit(3)
    trainer.clear_gradients()
    before = held(trainer)
    return before + max(counting.allocated(lambda: trainer.fit(1))[1])


def sent_by(work) -> int:
    distributed.wait()
    before = counting.sent()
    work()
    distributed.wait()
    return counting.sent() - before


ENGINES = (("ddp", "fp32", 4), ("ddp", "bf16", None), ("fsdp", "fp32", None), ("fsdp", "bf16", 4))


def engines() -> dict[str, int]:
    """What a step of `Trainer` sends, and what it holds under DDP (under FSDP gloo's threads free memory unseen). Two processes train
    each size in two of four ways, four train one size in all."""
    found, n = {}, distributed.size()
    for k, size in enumerate(SIZES if n == 2 else ["deep"]):
        for engine, precision, micro in ENGINES[k % 2 :: 2] if n == 2 else ENGINES:
            trainer = gpt_trainer(size, 4 * n * (2 if micro else 1), precision, micro, parallel=engine)
            name = f"{size} {engine} {precision} {2 if micro else 1}"
            if engine == "ddp":
                found[f"{name} peak"] = peak(trainer)
            trainer.fit(1)
            found[f"{name} sent"] = sent_by(partial(trainer.fit, 1))
    return found


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    shape = STACK["sequences"], STACK["context"], STACK["width"]
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator).double(), torch.randn(shape, generator=generator).double()


def three_steps(model, step) -> tuple[list[float], int]:
    """Losses of three steps, and what the last one's gradients took to send."""
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(3):
        optimizer.zero_grad()
        sent = sent_by(lambda: losses.append(step().item()))
        optimizer.step()
    return losses, sent


def ways() -> dict[str, tuple[list[float], int]]:
    """A stack of layers in float64 as one process has it, and cut in each way over all."""
    x, y = batch()
    rank, n = dist.get_rank(), dist.get_world_size()
    mesh = dist.init_device_mesh("cpu", (n,))
    stack = partial(parallel.stack, STACK["layers"], STACK["width"])

    def simple(model):
        def step():
            loss = parallel.mean_square(model(x), y)
            loss.backward()
            return loss

        return model, step

    def sequence():
        model, cut = parallel.sequence_parallel(stack(), mesh), distribute_tensor(x, mesh, [Shard(1)])

        def step():  # a loss over the parts, mean_square(model(cut), cut_targets), has n times the gradient in torch 2.13
            loss = parallel.mean_square(model(cut).full_tensor(), y)
            loss.backward()
            return loss

        return model, step

    def pipeline():
        mine, schedule = parallel.pipeline(stack(), micro_batches=4)

        def step():
            losses = []
            inputs, targets = ((x,) if rank == 0 else ()), ({"target": y, "losses": losses} if rank == n - 1 else {})
            schedule.step(*inputs, **targets)
            loss = torch.stack(losses).mean() if losses else torch.zeros((), dtype=torch.float64)
            dist.broadcast(loss, n - 1)
            return loss

        return mine, step

    def hsdp():
        model, both = stack(), dist.init_device_mesh("cpu", (2, n // 2), mesh_dim_names=("replicas", "shards"))
        for layer in model:
            fully_shard(layer, mesh=both)
        fully_shard(model, mesh=both)
        share, weight = distributed.share(len(x))

        def step():
            loss = parallel.mean_square(model(x[share]), y[share]) * weight
            loss.backward()
            return distributed.mean(loss.detach())

        return model, step

    found = {
        "one": three_steps(*simple(stack())),
        "tensor": three_steps(*simple(parallel.tensor_parallel(stack(), mesh))),
        "sequence": three_steps(*sequence()),
        "pipeline": three_steps(*pipeline()),
    }
    return found | ({"hsdp": three_steps(*hsdp())} if n > 2 else {})


if __name__ == "__main__":
    dist.init_process_group("gloo")
    found = engines() | ways()
    if dist.get_rank() == min(
        1, dist.get_world_size() - 1
    ):  # of a pipeline's stages, where there are more than two, one in the middle
        Path(sys.argv[1]).write_text(json.dumps(found))
    dist.destroy_process_group()
