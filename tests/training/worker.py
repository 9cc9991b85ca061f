"""What the tests start in processes of its own, to kill them or to have several of them: one run, by name.

python tests/training/worker.py crash FOLDER STEPS
torchrun --nproc-per-node 2 tests/training/worker.py together OUT ddp 30 61
"""

import json
import os
import random
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

from gdlib import History, Trainer, batching, data, distributed, models, schedules

split = data.digits()


def noisy_trainer(**options) -> Trainer:
    """Everything that a careless checkpoint forgets: dropout, batch norm, AdamW, a plateau, a schedule, a growing batch."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 10))
    rate = schedules.warmup(schedules.plateau(3e-3, factor=0.5, patience=2, every=5), steps=20)
    size = batching.step_growth(16, every=60, factor=1.5)
    return Trainer(
        model,
        split.train,
        nn.functional.cross_entropy,
        torch.optim.AdamW,
        lr=rate,
        batch_size=size,
        device="cpu",
        **options,
    )


def crash(folder: str, steps: str, wait_at: str = "-1") -> None:
    """A run that saves every three steps and goes on from its checkpoint; its end is written to ``end.pt``.

    At step ``wait_at`` it says so and waits, until somebody kills it.
    """
    trainer, history = noisy_trainer(seed=7), History()
    print("ready", flush=True)
    for step in trainer.run(int(steps), checkpoint=Path(folder) / "run.pt", every=3, history=history):
        if step.index == int(wait_at):
            print("waiting", flush=True)
            sys.stdin.readline()
    torch.save({"model": trainer.model.state_dict(), "history": history.state_dict()}, Path(folder) / "end.pt")


def plain_model() -> nn.Module:
    torch.manual_seed(0)
    return models.mlp(64, 24, 2, 10).double()  # two units: the third process has no shard of them


def together_trainer(optimizer: str, size: int, parallel: str = "auto", micro: int | None = None) -> Trainer:
    return Trainer(
        plain_model(), split.train.to(dtype=torch.float64), nn.functional.cross_entropy,
        torch.optim.AdamW if optimizer == "adam" else partial(torch.optim.SGD, momentum=0.9),
        lr=1e-3 if optimizer == "adam" else schedules.cosine(0.05, 60),
        batch_size=size, device="cpu", parallel=parallel, micro_batch_size=micro, clip_norm=1.0,
    )  # fmt: skip


def together(out: str, parallel: str, steps: str, size: str, load: str = "", save: str = "", micro: str = "") -> None:
    """A run in float64 whose losses rank 0 writes to ``out``."""
    name, parallel = "adam" if "adam" in out else "sgd", parallel if distributed.launched() else "auto"
    trainer = together_trainer(name, int(size), parallel, int(micro) if micro else None)
    if load:
        trainer.load(load)
    losses, norms = [], []
    for step in trainer.run(int(steps)):
        losses.append(step.loss)
        norms.append(step.grad_norm)
    if save:
        trainer.save(save)
    found = trainer.evaluate(split.test.to(dtype=torch.float64))
    if distributed.rank() == 0:
        Path(out).write_text(json.dumps({"losses": losses, "norms": norms, "test": found}))


class Temperature(nn.Module):
    """A loss with a parameter of its own, as a sum over the labels and their number."""

    def __init__(self):
        super().__init__()
        self.log = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, outputs, targets):
        loss = nn.functional.cross_entropy(outputs * self.log.exp(), targets, reduction="sum")
        return loss, (targets != -100).sum()


class Noisy(torch.utils.data.Dataset):
    """Digits with noise from every generator, of which the first hundreds have no label."""

    def __len__(self):
        return 600

    def __getitem__(self, i):
        noise = 0.1 * torch.randn(64, dtype=torch.float64) + np.random.normal() + random.random()
        return split.train.inputs[i].double() + noise, split.train.targets[i] if i > 300 else torch.tensor(-100)


def labelled(out: str, steps: str, size: str, workers: str = "0") -> None:
    """A run over samples most of which have no label, with a loss that is trained; rank 0 writes what came of it to ``out``."""
    loss, data = Temperature(), Noisy()
    trainer = Trainer(plain_model(), data, loss, lr=0.05, batch_size=int(size), device="cpu", workers=int(workers))
    losses = [step.loss for step in trainer.run(int(steps))]
    found = trainer.evaluate(data, {"rows": lambda outputs, targets: len(outputs)})
    if distributed.rank() == 0:
        Path(out).write_text(json.dumps({"losses": losses, "log": loss.log.item(), "test": found}))


def killed(folder: str, steps: str, parallel: str) -> None:
    """A run of several processes of which one kills itself, once, in the middle; torchrun starts them all again."""
    trainer = Trainer(
        plain_model(),
        split.train.to(dtype=torch.float64),
        nn.functional.cross_entropy,
        lr=0.1,
        batch_size=50,
        device="cpu",
        parallel=parallel,
    )
    mark = Path(folder) / "killed"
    for step in trainer.run(int(steps), checkpoint=Path(folder) / "run.pt", every=4):
        if step.index == 13 and distributed.rank() == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
    weights = torch.cat([distributed.whole(p.detach()).flatten() for p in trainer.model.parameters()])
    if distributed.rank() == 0:
        torch.save(weights, Path(folder) / "end.pt")


def mistakes(out: str) -> None:
    """The classic mistakes of data-parallel training, each beside what is right; see tests/test_distributed.py."""
    dist.init_process_group("gloo")
    rank, size = distributed.rank(), distributed.size()
    x, y = split.train.inputs.double(), split.train.targets

    def exchanged(n: int, weighted: bool = True, micro: int = 8, sync: str = "last") -> tuple[float, int]:
        """How far the exchanged gradient of a batch of ``n`` is from the right one, and how many values were sent."""
        model, (part, weight) = plain_model(), distributed.share(n)
        right = torch.autograd.grad(nn.functional.cross_entropy(model(x[:n]), y[:n]), list(model.parameters()))
        ddp, sent = nn.parallel.DistributedDataParallel(model), [0]

        def count(state, bucket):
            sent[0] += bucket.buffer().numel()
            return default_hooks.allreduce_hook(state, bucket)

        ddp.register_comm_hook(None, count)
        for start in range(part.start, part.stop, micro):
            end = min(start + micro, part.stop)
            share = (weight if weighted else 1.0) * (end - start) / (part.stop - part.start)
            with distributed.exchanging(ddp, now=sync == "every" or end == part.stop):
                (nn.functional.cross_entropy(ddp(x[start:end]), y[start:end]) * share).backward()
        return max((p.grad - g).abs().max().item() for p, g in zip(ddp.parameters(), right)), sent[0]

    found = {
        "mean of unequal means": exchanged(7, weighted=False),
        "weighted means": exchanged(7),
        "exchange at every micro-batch": exchanged(8, micro=1, sync="every"),
        "exchange at the last": exchanged(8, micro=1),
    }
    sampler = torch.utils.data.distributed.DistributedSampler(range(100), size, rank, shuffle=True)
    orders = [list(sampler) for _ in range(2)]
    found["forgotten set_epoch: passes are alike"] = orders[0] == orders[1]
    ours = [data.batch_indices(100, 100 * epoch, 100)[slice(rank, None, size)].tolist() for epoch in range(2)]
    found["batch_indices: passes are alike"] = ours[0] == ours[1]
    norm = nn.BatchNorm1d(64).double()
    norm(x[:7][distributed.share(7)[0]])
    means = distributed.everyone(norm.running_mean)
    found["batch norm sees its share alone"] = not torch.equal(means[0], means[1])
    whole = nn.BatchNorm1d(64).double()
    whole(x[:7])
    found["batch norm of the share is that of the batch"] = torch.allclose(norm.running_mean, whole.running_mean)
    if rank == 0:
        Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    {f.__name__: f for f in (crash, together, labelled, killed, mistakes)}[sys.argv[1]](*sys.argv[2:])
    distributed.leave()
    sys.stdout.flush()
    # A thread of torch's may still be letting go of a hook of DDP's: at Python's own end it would abort the process.
    os._exit(0)
