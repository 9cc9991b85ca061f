"""python -m gdlib train | sweep | recommend | devices: the library from the shell, under torchrun too."""

import argparse
import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from tqdm.auto import tqdm

from gdlib import data, device, distributed, models, schedules
from gdlib.choosing import recommend, sweep
from gdlib.training import Divergence, History, Trainer


class Task(NamedTuple):
    """Something to train: what `Trainer` needs, and an optimizer, a rate and a batch size that do well."""

    split: Callable[[], data.Split]
    model: Callable[[], nn.Module]
    loss_fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    optimizer: str
    lr: float
    batch_size: int


CLASSES = nn.functional.cross_entropy
TASKS = {
    "digits": Task(data.digits, partial(models.mlp, 64, 32, 10), CLASSES, "sgd", 0.3, 64),
    "mnist1d": Task(data.mnist1d, partial(models.mlp, 40, 100, 100, 10), CLASSES, "sgd", 0.1, 32),
    "diabetes": Task(data.diabetes, partial(models.linear, 10), nn.functional.mse_loss, "sgd", 0.05, 32),
    "language": Task(
        data.python_source, partial(models.gpt, len(data.CHARACTERS)), models.next_token_loss, "adamw", 3e-3, 32
    ),
}
OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
SCHEDULES = {
    "constant": lambda lr, steps: schedules.constant(lr),
    "linear": schedules.polynomial,
    "cosine": schedules.cosine,
    "one-cycle": schedules.one_cycle,
    "step": lambda lr, steps: schedules.step_decay(lr, every=max(1, steps // 3)),
    "exponential": lambda lr, steps: schedules.exponential(lr, decay=0.01, every=steps),
    "wsd": lambda lr, steps: schedules.warmup_stable_decay(lr, steps, warmup=steps // 20, decay=steps // 5),
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m gdlib", description="Train small models, and choose how.")
    commands = top.add_subparsers(dest="command", required=True)
    show = {"formatter_class": argparse.ArgumentDefaultsHelpFormatter}

    train = commands.add_parser("train", help="train one model; also under torchrun -m gdlib train ...", **show)
    _shared(train)
    train.add_argument("--lr", type=float, help="learning rate, the peak of the schedule; the task's own if not given")
    train.add_argument("--batch-size", type=int, help="samples a step; the task's own if not given")
    train.add_argument(
        "--optimizer", choices=OPTIMIZERS, help="how gradients become steps; the task's own if not given"
    )
    train.add_argument("--schedule", choices=SCHEDULES, default="constant", help="how the rate changes over the steps")
    train.add_argument("--warmup", type=int, default=0, help="steps in which the rate rises from 0")
    train.add_argument("--precision", choices=("auto", *device.PRECISIONS), default="auto", help="see: devices")
    train.add_argument("--micro-batch-size", type=int, help="samples that go through the model at a time")
    train.add_argument("--clip-norm", type=float, help="scale larger gradients down to this norm")
    train.add_argument("--compile", action="store_true", help="compile the model")
    train.add_argument("--parallel", choices=("auto", "ddp", "fsdp"), default="auto", help="under torchrun")
    train.add_argument("--seed", type=int, default=0, help="of the weights and of the order of the samples")
    train.add_argument("--checkpoint", type=Path, help="save to this file, and go on from it if it is there")
    train.add_argument("--every", type=int, default=100, help="steps from checkpoint to checkpoint")
    train.add_argument("--retries", type=int, default=0, help="times to go back to it with a third of the rate")
    train.add_argument("--out", type=Path, help="write the history of the run here, as JSON")

    grid = commands.add_parser("sweep", help="train a grid of learning rates and batch sizes at once", **show)
    _shared(grid)
    grid.add_argument("--lr", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3, 1.0], help="learning rates")
    grid.add_argument("--batch-size", type=int, nargs="+", default=[16, 64, 256], help="batch sizes")
    grid.add_argument("--seeds", type=int, nargs="+", default=[0], help="one run for each")
    grid.add_argument("--momentum", type=float, default=0.0, help="of SGD")
    grid.add_argument("--optimizer", choices=("sgd", "adam"), default="sgd", help="how gradients become steps")
    grid.add_argument("--out", type=Path, help="write the losses here, as .npz for gdlib.Sweep.load")

    choose = commands.add_parser(
        "recommend", help="choose a learning rate and a batch size for a model of yours", **show
    )
    choose.add_argument(
        "setup",
        help="module:function, from the present folder; the function returns (make_model, dataset, loss_fn, optimizer), as"
        f" gdlib.recommend takes them. Or one of: {', '.join(TASKS)}",
    )
    choose.add_argument("--budget", type=int, help="samples that your run will see; 20 times the data set if not given")
    choose.add_argument("--validation", type=float, default=0.2, help="share of the samples to judge by")
    choose.add_argument("--precision", choices=("auto", *device.PRECISIONS), default="auto", help="see: devices")
    choose.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    choose.add_argument("--seed", type=int, default=0, help="of the first run")
    choose.add_argument("--report", type=Path, help="write an HTML page with pictures here")

    commands.add_parser("devices", help="say what this machine has, and what would be used, and why")
    return top


def _shared(command: argparse.ArgumentParser) -> None:
    command.add_argument("task", choices=TASKS, help="what to train")
    command.add_argument("--steps", type=int, default=1000, help="steps to take, in all")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")


def run_train(options: argparse.Namespace) -> int:
    task = TASKS[options.task]
    split, lr = task.split(), task.lr if options.lr is None else options.lr
    rate = SCHEDULES[options.schedule](lr, options.steps)
    if options.warmup:
        rate = schedules.warmup(rate, options.warmup)
    torch.manual_seed(options.seed)
    trainer = Trainer(
        task.model(), split.train, task.loss_fn, OPTIMIZERS[options.optimizer or task.optimizer], rate,
        task.batch_size if options.batch_size is None else options.batch_size, options.device, options.precision, options.micro_batch_size,
        options.clip_norm, options.compile, options.seed, options.parallel,
    )  # fmt: skip
    say = print if distributed.rank() == 0 else (lambda *_: None)
    say(
        f"{options.task} on {distributed.size()} x {trainer.device.type}, {trainer.precision.name}: {trainer.precision.reason}"
    )
    history = History()
    with tqdm(total=options.steps, unit="step", disable=distributed.rank() > 0) as bar:
        try:
            for step in trainer.run(options.steps, options.checkpoint, options.every, options.retries, history):
                bar.update(trainer.steps_done - bar.n)
                if step.index % 20 == 0:
                    bar.set_postfix_str(
                        f"loss {step.loss:.4g}, lr {step.lr:.3g}, batch {step.batch_size}", refresh=False
                    )
        except KeyboardInterrupt:
            bar.close()
            kept = ""
            if options.checkpoint and distributed.size() == 1:
                trainer.save(options.checkpoint)
                kept = f"; the same command goes on from {options.checkpoint}"
            say(f"stopped at step {trainer.steps_done}{kept}")
            return 130
    found = trainer.evaluate(split.test)
    say("test " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
    if options.out and distributed.rank() == 0:
        history.save(options.out)
        say(f"history of {len(history)} steps in {options.out}")
    return 0


def run_sweep(options: argparse.Namespace) -> int:
    task = TASKS[options.task]
    runs = sweep(
        task.model, task.split().train, task.loss_fn, options.lr, options.batch_size, options.steps, options.momentum,
        seeds=options.seeds, optimizer=options.optimizer, device=options.device, progress=True,
    )  # fmt: skip
    final = runs.final().mean(-1)
    print("final loss" + "".join(f"{f'B = {size}':>12}" for size in runs.batch_size))
    for lr, row in zip(runs.lr, final):
        print(f"{lr:<10.4g}" + "".join(f"{loss:12.4g}" for loss in row))
    lr, size = runs.best()
    print(f"best: lr {lr:g} with batch size {size}")
    if options.out:
        runs.save(options.out)
        print(f"losses of {runs} in {options.out}")
    return 0


def run_recommend(options: argparse.Namespace) -> int:
    found = recommend(
        *_setup(options.setup), options.budget, options.validation, options.device, options.precision, options.seed,
        progress=True,
    )  # fmt: skip
    print(found)
    for name, reason in found.reasons.items():
        print(f"{name.replace('_', ' ')}: {reason}")
    if options.report:
        found.report(options.report)
        print(f"report in {options.report}")
    return 0


def _setup(name: str) -> tuple:
    """(make_model, dataset, loss_fn, optimizer) of one of `TASKS`, or from a function named as module:function."""
    if name in TASKS:
        task = TASKS[name]
        return task.model, task.split().train, task.loss_fn, OPTIMIZERS[task.optimizer]
    module, colon, function = name.partition(":")
    if not colon:
        raise ValueError(f"setup must be module:function or one of {', '.join(TASKS)}; got {name!r}")
    sys.path.insert(0, "")
    try:
        made = getattr(importlib.import_module(module), function)()
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(f"setup must name a function that can be imported; got {name!r}: {error}") from error
    if not isinstance(made, tuple) or len(made) != 4:
        raise TypeError(
            f"setup must return (make_model, dataset, loss_fn, optimizer); {name} gave {type(made).__name__}"
        )
    return made


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.command == "devices":
        print(device.report())
        return 0
    commands: dict[str, Any] = {"train": run_train, "sweep": run_sweep, "recommend": run_recommend}
    try:
        return commands[options.command](options)
    except (ValueError, TypeError, OSError, Divergence) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        distributed.leave()


if __name__ == "__main__":
    sys.exit(main())
