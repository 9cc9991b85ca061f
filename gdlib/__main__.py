"""python -m gdlib train | sweep | recommend | devices: the library from the shell, under torchrun too."""

import argparse
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
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
    optimizer: Callable
    lr: float | None
    batch_size: int


OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
CLASSES = nn.functional.cross_entropy
TASKS = {
    "digits": Task(data.digits, partial(models.mlp, 64, 32, 10), CLASSES, OPTIMIZERS["sgd"], 0.3, 64),
    "mnist1d": Task(data.mnist1d, partial(models.mlp, 40, 100, 100, 10), CLASSES, OPTIMIZERS["sgd"], 0.1, 32),
    "diabetes": Task(data.diabetes, partial(models.linear, 10), nn.functional.mse_loss, OPTIMIZERS["sgd"], 0.05, 32),
    "language": Task(
        data.python_source,
        partial(models.gpt, len(data.CHARACTERS)),
        models.next_token_loss,
        OPTIMIZERS["adamw"],
        3e-3,
        32,
    ),
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
    _shared(train, "what to train")
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
    _shared(grid, "what to train")
    grid.add_argument("--lr", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3, 1.0], help="learning rates")
    grid.add_argument("--batch-size", type=int, nargs="+", default=[16, 64, 256], help="batch sizes")
    grid.add_argument("--seeds", type=int, nargs="+", default=[0], help="one run for each")
    grid.add_argument("--momentum", type=float, default=0.0, help="of SGD")
    grid.add_argument("--optimizer", choices=("sgd", "adam"), default="sgd", help="how gradients become steps")
    grid.add_argument("--out", type=Path, help="write the losses here, as .npz for gdlib.Sweep.load")

    choose = commands.add_parser(
        "recommend", help="choose a learning rate and a batch size for a model of yours", **show
    )
    _setup_argument(choose, "what to choose for")
    choose.add_argument("--budget", type=int, help="samples that your run will see; 20 times the data set if not given")
    choose.add_argument("--validation", type=float, default=0.2, help="share of the samples to judge by")
    choose.add_argument("--precision", choices=("auto", *device.PRECISIONS), default="auto", help="see: devices")
    choose.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    choose.add_argument("--seed", type=int, default=0, help="of the first run")
    choose.add_argument("--report", type=Path, help="write an HTML page with pictures here")

    commands.add_parser("devices", help="say what this machine has, and what would be used, and why")
    return top


def _setup_argument(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument(
        "setup",
        help=f"{what}: module:function, from the present folder, where the function returns (make_model, dataset, loss_fn,"
        f" optimizer), as gdlib.recommend takes them. Or one of: {', '.join(TASKS)}",
    )


def _shared(command: argparse.ArgumentParser, what: str) -> None:
    _setup_argument(command, what)
    command.add_argument("--steps", type=int, default=1000, help="steps to take, in all")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")


SETTINGS = ("lr", "batch_size", "optimizer", "schedule", "warmup", "steps", "clip_norm", "seed")
"""What a checkpoint remembers of the command that wrote it."""


def run_train(options: argparse.Namespace) -> int:
    task = _task(options.setup)
    split = task.split()
    lr = task.lr if options.lr is None else options.lr
    torch.manual_seed(options.seed)
    trainer = Trainer(
        task.model(), split.train, task.loss_fn, OPTIMIZERS.get(options.optimizer) or task.optimizer,
        batch_size=options.batch_size or task.batch_size, device=options.device, precision=options.precision,
        micro_batch_size=options.micro_batch_size, clip_norm=options.clip_norm, compile=options.compile, seed=options.seed,
        parallel=options.parallel, **({} if lr is None else {"lr": _rate(options, lr)}),
    )  # fmt: skip
    say = print if distributed.rank() == 0 else (lambda *_: None)
    say(
        f"{options.setup} on {distributed.size()} x {trainer.device.type}, {trainer.precision.name}: {trainer.precision.reason}"
    )
    settings = {name: getattr(options, name) for name in SETTINGS}
    if options.checkpoint and options.checkpoint.exists():
        trainer.load(options.checkpoint)
        say(f"resumed at step {trainer.steps_done} of {options.steps}, from {options.checkpoint}")
        before = trainer.extra.get("settings", settings)
        for name, value in settings.items():
            if before.get(name) != value:
                say(
                    f"--{name.replace('_', '-')} was {before.get(name)} when it was written, and is {value} from here on"
                )
    trainer.extra["settings"] = settings
    history = History()
    with tqdm(total=options.steps, unit="step", disable=distributed.rank() > 0) as bar:
        try:
            for step in trainer.run(
                None, options.checkpoint, options.every, options.retries, history, until=options.steps
            ):
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
    if split.test is not None:
        say("test " + ", ".join(f"{name} {value:.4g}" for name, value in trainer.evaluate(split.test).items()))
    if options.out and distributed.rank() == 0:
        history.save(options.out)
        say(f"history of {len(history)} steps in {options.out}")
    return 0


def _rate(options: argparse.Namespace, lr: float) -> schedules.Schedule:
    rate = SCHEDULES[options.schedule](lr, options.steps)
    return schedules.warmup(rate, options.warmup) if options.warmup else rate


def run_sweep(options: argparse.Namespace) -> int:
    task, done = _task(options.setup), []
    data, interrupted = task.split().train, False
    for size in options.batch_size:  # one at a time, so that Ctrl-C leaves those that are done
        try:
            done.append(sweep(
                task.model, data, task.loss_fn, options.lr, [size], options.steps, options.momentum, seeds=options.seeds,
                optimizer=options.optimizer, device=options.device, progress=True,
            ))  # fmt: skip
        except KeyboardInterrupt:
            interrupted = True
            print(f"stopped in batch size {size}; {len(done)} of {len(options.batch_size)} batch sizes are done")
            break
    if not done:
        return 130
    runs = replace(
        done[0],
        batch_size=np.concatenate([found.batch_size for found in done]),
        losses=np.concatenate([found.losses for found in done], axis=1),
    )
    print("final loss" + "".join(f"{f'B = {size}':>12}" for size in runs.batch_size))
    for lr, row in zip(runs.lr, runs.final().mean(-1)):
        print(f"{lr:<10.4g}" + "".join(f"{loss:12.4g}" for loss in row))
    lr, size = runs.best()
    print(f"best: lr {lr:g} with batch size {size}")
    if options.out:
        runs.save(options.out)
        print(f"losses of {runs} in {options.out}")
    return 130 if interrupted else 0


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
        return task.model, task.split().train, task.loss_fn, task.optimizer
    module, colon, function = name.partition(":")
    if not colon:
        raise ValueError(f"setup must be module:function or one of {', '.join(TASKS)}; got {name!r}")
    sys.path.insert(0, "")
    try:
        found = importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):
        found = None
    if found is None:
        raise ValueError(f"setup must name a function that can be imported; there is no module {module!r}")
    make = getattr(importlib.import_module(module), function, None)
    if not callable(make):
        raise ValueError(f"setup must name a function that can be imported; {module} has no function {function!r}")
    made = make()
    if not isinstance(made, tuple) or len(made) != 4:
        raise TypeError(
            f"setup must return (make_model, dataset, loss_fn, optimizer); {name} gave {type(made).__name__}"
        )
    return made


def _task(name: str) -> "Task":
    """One of `TASKS`, or what a reader's function returned: at 64 samples a step, and the optimizer's own rate."""
    if name in TASKS:
        return TASKS[name]
    make_model, dataset, loss_fn, optimizer = _setup(name)
    split = dataset if isinstance(dataset, data.Split) else data.Split(dataset, None)
    return Task(lambda: split, make_model, loss_fn, optimizer, None, 64)


def _check_paths(paths: Iterable[Path | None]) -> None:
    """Raise now what writing to a path would raise after the work."""
    for path in filter(None, paths):
        folder = path.resolve().parent
        if not folder.is_dir():
            raise FileNotFoundError(f"{path} must lie in a folder that exists; there is no {folder}")
        if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
            raise PermissionError(f"{path} must be a file that may be written")


def _is_ours(error: BaseException) -> bool:
    """Whether an error was raised here, in the reader's terms, and not in a module of theirs."""
    *_, last = traceback.walk_tb(error.__traceback__)
    return Path(last[0].f_code.co_filename).is_relative_to(Path(__file__).parent)


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.command == "devices":
        print(device.report())
        return 0
    commands: dict[str, Any] = {"train": run_train, "sweep": run_sweep, "recommend": run_recommend}
    try:
        _check_paths(getattr(options, name, None) for name in ("out", "checkpoint", "report"))
        return commands[options.command](options)
    except (ValueError, TypeError, OSError, Divergence) as error:
        if not _is_ours(error):
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        distributed.leave()


if __name__ == "__main__":
    sys.exit(main())
