"""What a user waits for besides training: a range test against torch-lr-finder, a checkpoint that is read, and ``import gdlib``."""

import logging
import math
import os
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from race import race, table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
import timing

from gdlib import Trainer, data, models, range_test

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
train, loss_fn = data.digits().train, nn.functional.cross_entropy
LOAD, ROUNDS = 5.0, 5  # milliseconds wanted; processes of each kind that import something
rates: dict[str, int] = {}  # that each finder tried: both end early where the loss runs away


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return models.mlp(64, 32, 10)


def ours() -> None:
    rates["ours"] = len(range_test(Trainer(make_model(), train, loss_fn, lr=0.1, batch_size=64, device="cpu")).lrs)


def theirs() -> None:
    from torch_lr_finder import LRFinder

    model = make_model()
    loader = DataLoader(TensorDataset(train.inputs, train.targets), batch_size=64, shuffle=True, drop_last=True)
    finder = LRFinder(model, torch.optim.SGD(model.parameters(), lr=1e-5), loss_fn, device="cpu")
    logging.disable(logging.CRITICAL)
    before, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), open(os.devnull, "w"), open(os.devnull, "w")  # noqa: SIM115
    try:
        finder.range_test(loader, end_lr=10, num_iter=100)
        finder.reset()
    finally:
        sys.stdout, sys.stderr = before
    rates["theirs"] = len(finder.history["lr"])


def seconds_of(code: str) -> float:
    """Processor seconds of a process that runs ``code``."""
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
    _, status, usage = os.wait4(child, 0)
    assert status == 0, code
    return usage.ru_utime + usage.ru_stime


def imports() -> dict[str, float]:
    """The least of some processes each, taking turns."""
    codes = {"torch": "import torch, numpy", "face": "import gdlib", "trainer": "from gdlib import Trainer"}
    best = dict.fromkeys(codes, math.inf)
    for _ in range(ROUNDS):
        for name, code in codes.items():
            best[name] = min(best[name], seconds_of(code))
    return best


with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(make_model(), train, loss_fn, torch.optim.Adam, lr=1e-3, device="cpu")
    trainer.fit(5)
    trainer.save(file := Path(folder) / "run.pt")
    seconds = race({"ours": ours, "theirs": theirs, "load": lambda: [trainer.load(file) for _ in range(20)]}, rounds=5)
loading = seconds["load"] / 20 * 1000 / timing.slowness()
began = imports()
good = table(
    "what a user waits for (times as good as)",
    [
        (
            f"torch-lr-finder, a rate of a range test, digits MLP ({rates['ours']} and {rates['theirs']} tried)",
            (seconds["theirs"] / rates["theirs"]) / (seconds["ours"] / rates["ours"]), 1.5,
        ),
        (f"{LOAD:g} ms, reading a checkpoint of 2,410 parameters under Adam ({loading:.1f} ms)", LOAD / loading, 1.0),
        ("1.2 x import torch, numpy: import gdlib", 1.2 * began["torch"] / began["face"], 1.0),
        ("1.2 x import torch, numpy: from gdlib import Trainer", 1.2 * began["torch"] / began["trainer"], 1.0),
    ],
)  # fmt: skip
sys.exit(not good)
