"""The parts of a GPU's record, each a function of the `Machine` that gives what may stand in a JSON file. Times are in seconds."""

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gdlib import History, Trainer, data, models, schedules, sweep
from gdlib.choosing import branch_test, cost, gradient_noise_scale
from gdlib.training import counting

ROOT = Path(__file__).parents[2]
PEAKS = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "4090": 165e12,
    "L40": 362e12,
    "L4": 121e12,
    "T4": 65e12,
    "A10": 125e12,
}
"""FLOP/s in 16 bits, dense, of data sheets, by a part of the device's name."""

SIZES = {"10M": (6, 384), "124M": (12, 768), "350M": (24, 1024)}
CONTEXT = 1024
SMOKE = {"10M": (2, 64), "124M": (2, 128), "350M": (3, 128)}


class Machine:
    """A device, how much time is left on it, and the sizes that suit it."""

    def __init__(self, smoke: bool, deadline: float):
        self.smoke, self.deadline = smoke, deadline
        self.device = torch.device("cpu" if smoke else "cuda")
        name = "" if smoke else torch.cuda.get_device_name()
        self.peak = next((peak for part, peak in PEAKS.items() if part in name), None)
        self.shapes = {
            name: cost.Shape(*size, vocabulary=512 if smoke else cost.VOCABULARY, context=64 if smoke else CONTEXT)
            for name, size in (SMOKE if smoke else SIZES).items()
        }

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def clear(self) -> None:
        torch.compiler.reset()
        gc.collect()  # a model of before would count in the next one's peak
        torch.backends.cuda.matmul.allow_tf32 = False
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def time(self, work: Callable[[], Any], tries: int | None = None, warm: int = 2) -> dict[str, float]:
        """Median, fastest and slowest of some runs of ``work``."""
        tries, seconds = tries or (3 if self.smoke else 10), []
        for k in range(warm + tries):
            self.wait()
            began = time.perf_counter()
            work()
            self.wait()
            if k >= warm:
                seconds.append(time.perf_counter() - began)
        return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds), "tries": tries}

    def gpt(self, name: str, recompute: bool = False) -> torch.nn.Module:
        shape = self.shapes[name]
        torch.manual_seed(0)
        model = models.gpt(shape.vocabulary, shape.context, shape.width, shape.layers, max(1, shape.width // 64))
        return models.recompute(model, models.Block) if recompute else model

    def text(self) -> data.Split:
        """Python's own source; of the vocabulary, only the first hundred tokens occur in it."""
        return data.python_source(context=self.shapes["10M"].context, characters=60_000 if self.smoke else 4_000_000)


def ceilings(machine: Machine) -> dict:
    """Bytes a second that a copy reads and writes, and FLOP/s of a product of square matrices in each precision."""
    n, size = (2**20, 256) if machine.smoke else (2**28, 8192)
    x = torch.rand(n, device=machine.device)
    y = torch.empty_like(x)
    took = machine.time(lambda: y.copy_(x))
    found = {"copy": {"bytes": 8 * n, **took, "rate": 8 * n / took["median"]}}
    for name, dtype, tf32 in (
        ("fp32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bf16", torch.bfloat16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a = torch.rand(size, size, device=machine.device, dtype=dtype)
        took = machine.time(lambda a=a: a @ a)
        found[name] = {"size": size, **took, "rate": 2 * size**3 / took["median"]}
    return found


def step(
    machine: Machine, name: str, precision: str, batch: int, compiled: bool = False, recompute: bool = False
) -> dict:
    """A step of `Trainer` on sequences of random tokens: its time, tokens a second, MFU, memory counted and computed."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    shape = machine.shapes[name]
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(shape.vocabulary, (2 * batch, shape.context), generator=generator)
    optimizer = partial(torch.optim.AdamW, fused=True)
    asked = "bf16" if precision == "bf16" else "fp32"
    found = {"model": name, "precision": precision, "batch": batch, "compiled": compiled, "recompute": recompute}
    try:
        trainer = Trainer(
            machine.gpt(name, recompute), (ids, ids), models.next_token_loss, optimizer, lr=1e-4, batch_size=batch,
            device=machine.device, precision=asked, compile=compiled, micro_batch_size=None,
        )  # fmt: skip
        with_batch = partial(trainer.fit, 1)
        took = machine.time(with_batch, warm=4 if compiled else 2)
        if trainer.micro_batch_size is not None:
            return found | {"error": "out of memory"}
        state = cost.training_memory(shape)
        if machine.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            with_batch()
            peak = torch.cuda.max_memory_allocated()
        else:
            trainer.clear_gradients()
            peak = state["weights"] + state["optimizer"] + max(counting.allocated(with_batch)[1])
    except torch.OutOfMemoryError:
        return found | {"error": "out of memory"}
    tokens = batch * shape.context
    computed = cost.step_memory(
        shape, tokens, "mixed" if asked == "bf16" else "fp32", remedy="recompute" if recompute else "none"
    )
    found |= {**took, "tokens": tokens, "tokens a second": tokens / took["median"]}
    found |= {"memory": peak, "memory computed": sum(computed.values())}
    if machine.peak:
        found["mfu"] = cost.utilization(shape.matrices, tokens, took["median"], machine.peak)
    return found


def steps(machine: Machine) -> list[dict]:
    """The GPT of 124 M first, in bf16, over batch sizes; then each thing changed; then the other sizes."""
    large = 4 if machine.smoke else 8
    batches = (1, 2, 4) if machine.smoke else (1, 2, 4, 8, 16, 32, 64)
    asked = [("124M", "bf16", batch, False, False) for batch in batches]
    asked += [("124M", precision, large, False, False) for precision in ("fp32", "tf32")]
    asked += [("124M", "bf16", large, False, True)]
    asked += [("10M", "bf16", batch, False, False) for batch in (1, large)]
    asked += [("350M", "bf16", large, False, again) for again in (False, True)]
    asked += [] if machine.smoke else [("124M", "bf16", large, True, False), ("10M", "bf16", large, True, False)]
    found = []
    for case in asked:
        if machine.left() < 120 and not machine.smoke and found:
            break
        found.append(step(machine, *case))
        machine.clear()
    return found


def tests(machine: Machine) -> dict:
    """The tests that need a GPU; without one there are none."""
    where = "tests/training/test_device.py" if machine.smoke else "tests/training"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", where]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode not in (0, 5):  # 5: none, as there is no GPU
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-500:])
    return {"said": done.stdout.strip().splitlines()[-1]}


def races(machine: Machine) -> dict:
    """`Trainer` against a loop written by hand, and `sweep` against runs one by one: hundreds of steps of a small network."""
    generator, count = torch.Generator().manual_seed(0), 40 if machine.smoke else 400
    samples = (
        torch.rand(1437, 64, generator=generator),
        torch.randint(10, (1437,), generator=generator),
    )  # as many as the digits
    train = data.Dataset(*samples).to(machine.device)
    loss_fn = torch.nn.functional.cross_entropy

    def small() -> torch.nn.Module:
        torch.manual_seed(0)
        return models.mlp(64, 32, 10).to(machine.device)

    def by_trainer(lr: float = 0.1) -> None:
        Trainer(small(), train, loss_fn, lr=lr, batch_size=64, device=machine.device, precision="fp32").fit(count)

    def by_hand() -> None:
        model = small()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(count):
            rows = torch.randint(len(train), (64,), device=machine.device)
            optimizer.zero_grad()
            loss_fn(model(train.inputs[rows]), train.targets[rows]).backward()
            optimizer.step()

    rates = [0.01 * 1.2**k for k in range(8 if machine.smoke else 64)]
    few = 2 if machine.smoke else 4
    times = {
        "trainer": machine.time(by_trainer, tries=3, warm=1),
        "by hand": machine.time(by_hand, tries=3, warm=1),
        "sweep": machine.time(
            lambda: sweep(
                lambda: models.mlp(64, 32, 10),
                train,
                loss_fn,
                lr=rates,
                batch_size=[64],
                steps=count,
                device=machine.device,
            ),
            tries=2,
            warm=1,
        ),
        "one by one": machine.time(lambda: [by_trainer(lr) for lr in rates[:few]], tries=2, warm=0),
    }
    ratio = {
        "trainer / by hand": times["trainer"]["median"] / times["by hand"]["median"],
        "one by one / sweep": times["one by one"]["median"] / few * len(rates) / times["sweep"]["median"],
    }
    return {"steps": count, "runs of the sweep": len(rates), **times, "ratios": ratio}


def run(machine: Machine) -> dict:
    """A run on Python's source: warm-up and cosine, its log, and along it the noise scale and the branch test."""
    text = machine.text()
    model = machine.gpt("124M")
    batch, steps_in_all = (4, 12) if machine.smoke else (8, 300)
    rate = schedules.warmup(schedules.cosine(3e-3 if machine.smoke else 6e-4, steps_in_all), steps_in_all // 10)
    trainer = Trainer(
        model, text.train, models.next_token_loss, partial(torch.optim.AdamW, betas=(0.9, 0.95), weight_decay=0.1),
        lr=rate, batch_size=batch, clip_norm=1.0, device=machine.device, precision="fp32" if machine.smoke else "bf16",
    )  # fmt: skip
    history, log, along, began = History(), [], [], time.monotonic()
    at = {steps_in_all // 4, 3 * steps_in_all // 4}
    some = 8 if machine.smoke else 64
    few = data.Dataset(text.test.inputs[:some], text.test.targets[:some])
    for taken in trainer.run(steps_in_all, history=history):
        if taken.index % max(1, steps_in_all // 30) == 0 or taken.index + 1 == steps_in_all:
            log.append([taken.index, taken.lr, taken.loss, float(taken.grad_norm), time.monotonic() - began])
        if taken.index in at and machine.left() > 60:
            scale = gradient_noise_scale(
                trainer.model,
                text.train,
                models.next_token_loss,
                method="two_batch",
                small=1,
                large=8,
                draws=4 if machine.smoke else 16,
            )
            sizes = [2, 4] if machine.smoke else [4, 8, 16, 32]
            branches = branch_test(
                trainer, few, batch_sizes=sizes, samples=8 * sizes[-1], repeats=2 if machine.smoke else 3
            )
            along.append({"step": taken.index, "noise scale": repr(scale), "branch test": repr(branches)})
        if machine.left() < 30:
            break
    return {"columns": ["step", "lr", "loss", "norm", "seconds"], "log": log, "batch": batch, "along": along}


def widths(machine: Machine) -> dict:
    """Losses over learning rates at two widths, with rates and output as they stand and scaled by the width (Yang et al. 2022)."""
    text, taken = machine.text().train, 6 if machine.smoke else 60
    base, found = 64 if machine.smoke else 256, {}
    wide = 2 if machine.smoke else 4
    for width in (base, wide * base):
        for scaled in (False, True):
            k, row = width / base, []
            for rate in (1e-3, 4e-3) if machine.smoke else (2.5e-4, 1e-3, 4e-3, 1.6e-2):
                torch.manual_seed(0)
                model = models.gpt(128, text.inputs.shape[1], width, 2, heads=width // 64)
                hidden = [p for name, p in model.named_parameters() if scaled and p.ndim == 2 and "blocks" in name]
                rest = [p for p in model.parameters() if not any(p is q for q in hidden)]
                groups = [{"params": rest}, *([{"params": hidden, "lr_scale": 1 / k}] if hidden else [])]
                if scaled:
                    model.norm.weight.data.div_(k)  # what the head sums over grows with the width
                trainer = Trainer(
                    model, text, models.next_token_loss, torch.optim.AdamW(groups), lr=rate, batch_size=4, device=machine.device,
                )  # fmt: skip
                losses = [step.loss for step in trainer.run(taken)]
                row.append([rate, statistics.fmean(losses[-max(1, taken // 6) :])])
                if machine.left() < 10:
                    return found
            found[f"width {width}, {'scaled' if scaled else 'as it stands'}"] = row
    return found


PARTS = {"ceilings": ceilings, "steps": steps, "run": run, "tests": tests, "races": races, "widths": widths}
