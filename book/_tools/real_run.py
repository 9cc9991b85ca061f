"""The rates of chapter 4.6: losses over learning rates at two widths, as it stands and scaled by the width; five minutes of one core.

    python book/_tools/real_run.py        # writes book/_records/real_run.json

GPTs of 2 layers on the characters of Python's library, AdamW, batches of 8 windows of 64, 100 steps: a tenth to warm up, then linearly
to zero. Five seeds, which draw the weights and the order of the data.
"""

import json
import re
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from gdlib import data, models, schedules, sweep
from gdlib.data import CHARACTERS

RATES = [2.5e-4 * 2**k for k in range(8)]
BASE, WIDE, STEPS, SEEDS = 32, 128, 100, range(5)


class Times(nn.Module):
    """A weight that is a fixed factor times what is trained: Adam moves it by the factor times the rate."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return self.factor * weight

    def right_inverse(self, weight: torch.Tensor) -> torch.Tensor:
        return weight / self.factor


def gpt(width: int, scaled: bool) -> nn.Module:
    """``scaled``: hidden matrices start and move as `BASE` / width says, and what the head sums over is so much smaller (Yang et al. 2022)."""
    model, factor = models.gpt(len(CHARACTERS), 64, width, layers=2, heads=width // 16), BASE / width
    if scaled and factor != 1:
        for layer in [layer for layer in model.blocks.modules() if isinstance(layer, nn.Linear)]:
            layer.weight.data.mul_(factor**0.5)
            parametrize.register_parametrization(layer, "weight", Times(factor))
        parametrize.register_parametrization(model.norm, "weight", Times(factor))
        model.norm.parametrizations.weight.original.data.fill_(1.0)
    return model


def schedule(lr: float) -> schedules.Schedule:
    return schedules.warmup(schedules.polynomial(lr, STEPS), STEPS // 10)


def main() -> dict:
    text, found = data.python_source(context=64, characters=400_000).train, {}
    for name, width, scaled in (("base", BASE, False), ("as it stands", WIDE, False), ("scaled", WIDE, True)):
        began = time.process_time()
        runs = sweep(
            partial(gpt, width, scaled), text, models.next_token_loss, lr=RATES, batch_size=[8], steps=STEPS,
            optimizer=torch.optim.AdamW, schedule=schedule, seeds=SEEDS, device="cpu",
        )  # fmt: skip
        found[name] = [[round(loss, 4) for loss in row] for row in runs.final()[:, 0].tolist()]
        print(name, np.round(runs.final()[:, 0].mean(1), 3), f"{time.process_time() - began:.0f} s", flush=True)
    return {
        "rates": RATES,
        "base": BASE,
        "wide": WIDE,
        "steps": STEPS,
        "seeds": len(SEEDS),
        "torch": torch.__version__,
        "losses": found,
    }


if __name__ == "__main__":
    rows = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", json.dumps(main(), indent=1))
    (Path(__file__).parents[1] / "_records" / "real_run.json").write_text(rows + "\n", encoding="utf-8")
