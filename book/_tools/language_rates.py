"""Measure what chapter 5.3 says of rates on text: `python book/_tools/language_rates.py`, ten minutes of a quiet core.

A small transformer reads Python's standard library in tokens. What is tried: three batch sizes and three lengths of run, each at its own best rate;
three optimisers, each with one rate for the matrices and one for the rest; AdamW without a warm-up, without a decay. Rates lie on a grid
√2 apart which goes on until the best has neighbours on all sides; two seeds and one text choose, five other seeds and another text judge.
Written to `book/_records`, as JSON; the chapter holds the same numbers (tests/book/test_records_told.py).
"""

import json
import math
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache

import numpy as np
import tokenizers
import torch
from measuring import RECORDS, about, climbed, results

from gdlib import Divergence, Trainer, data, models, optim, schedules

RECORD = RECORDS / "language_rates.json"
TUNING, JUDGING = (0, 1), (3, 4, 5, 6, 7)
VOCABULARY, CONTEXT, STEPS, BATCH = 512, 32, 200, 16
BATCHES, LENGTHS = (4, 16, 64), (50, 800)  # the middle length is the batch study's


@cache
def parts() -> tuple[data.Dataset, dict[str, tuple[data.Dataset, int]]]:
    """Windows of tokens to train on; of the text that chooses and of the one that judges, with how many characters they hold."""
    split = data.python_source(context=CONTEXT)
    train, rest = (
        "".join(data.CHARACTERS[i] for i in part.inputs.flatten().tolist()) for part in (split.train, split.test)
    )
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator([train], trainer)

    def windows(text: str) -> tuple[data.Dataset, int]:
        encoded = tokenizer.encode(text)
        n = (len(encoded.ids) - 1) // CONTEXT
        ids = torch.tensor(encoded.ids)
        begin, end = encoded.offsets[1][0], encoded.offsets[n * CONTEXT][1]
        return data.Dataset(ids[: n * CONTEXT].view(n, CONTEXT), ids[1 : n * CONTEXT + 1].view(n, CONTEXT)), end - begin

    half = len(rest) // 2
    return windows(train)[0], {"choose": windows(rest[:half]), "judge": windows(rest[half:])}


def optimizer(name: str, model: torch.nn.Module, share: float) -> torch.optim.Optimizer:
    """For the matrices within the blocks, and with ``share`` of its rate for embeddings, norms and biases."""
    inside = [p for p in model.blocks.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if all(p is not q for q in inside)]
    if name == "Muon":
        return optim.Muon([{"params": inside}, {"params": others, "adamw": True}], weight_decay=0.0, adamw_lr=share)
    groups = [{"params": inside}, {"params": others, "lr_scale": share}]
    if name == "SGD":
        return torch.optim.SGD(groups, lr=1.0, momentum=0.9)
    return torch.optim.AdamW(groups, weight_decay=0.0)


SHAPES = {
    "both": lambda lr, steps: schedules.warmup(schedules.polynomial(lr, steps), steps // 10),
    "no warm-up": schedules.polynomial,
    "no decay": lambda lr, steps: schedules.warmup(lr, steps // 10),
}


def bits(setting: dict, lr: float, share: float, seed: int, part: str) -> float:
    """Bits a character of one run on the text that chooses or judges; infinity if it did not stay finite."""
    torch.set_num_threads(1)
    train, texts = parts()
    setting = {"name": "AdamW", "steps": STEPS, "batch_size": BATCH, "shape": "both"} | setting
    torch.manual_seed(seed)
    model = models.gpt(VOCABULARY, CONTEXT, width=32, layers=2, heads=4)
    rate = SHAPES[setting["shape"]](lr, setting["steps"])
    run = Trainer(
        model, train, models.next_token_loss, optimizer(setting["name"], model, share), rate, setting["batch_size"],
        "cpu", seed=seed,
    )  # fmt: skip
    try:
        run.fit(setting["steps"])
    except Divergence:
        return math.inf
    windows, characters = texts[part]
    return run.evaluate(windows)["loss"] * windows.targets.numel() / math.log(2) / characters


def measured(over: ProcessPoolExecutor, setting: dict, lr: float, share: float | None = None) -> dict:
    """The grid of rates around the best, which was looked for from ``lr`` (and ``share``) on; what the judging seeds make of it."""
    start, origin = (0,) if share is None else (0, 0), (lr, share)

    def rates(place: tuple) -> tuple[float, float]:
        lr = origin[0] * 2 ** (place[0] / 2)
        second = 1.0 if share is None else origin[0] * origin[1] * 2 ** (place[1] / 2) / lr
        return float(f"{lr:.3g}"), second

    def score(places: list[tuple]) -> list[list[float]]:
        return results(
            [[over.submit(bits, setting, *rates(place), seed, "choose") for seed in TUNING] for place in places]
        )

    found = climbed(score, start, (2, 1))
    best = min(found, key=lambda place: np.mean(found[place]))
    if share is None:  # two more on each side of the best, for the figure
        more = [(best[0] + d,) for d in (-4, -3, -2, 2, 3) if (best[0] + d,) not in found]
        found |= dict(zip(more, score(more)))
        best = min(found, key=lambda place: np.mean(found[place]))
    (judged,) = results([[over.submit(bits, setting, *rates(best), seed, "judge") for seed in JUDGING]])
    grid = [[*rates(place), values] for place, values in sorted(found.items())]
    print(setting, rates(best), f"{np.mean(judged):.3f}", flush=True)
    return {"best": rates(best), "judged": judged, "grid": grid}


STUDIES = {
    "batch": {str(size): ({"batch_size": size, "steps": STEPS * BATCH // size}, 0.01) for size in BATCHES},
    "length": {str(steps): ({"steps": steps}, 0.01) for steps in LENGTHS},
    "shape": {shape: ({"shape": shape}, 0.01) for shape in ("no warm-up", "no decay")},
    "race": {
        "SGD": ({"name": "SGD"}, 0.3, 1.0),
        "AdamW": ({"name": "AdamW"}, 0.008, 4.0),
        "Muon": ({"name": "Muon"}, 0.05, 0.3),
    },
}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(STUDIES)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    record |= about(tuning_seeds=TUNING, judging_seeds=JUDGING)
    with ProcessPoolExecutor(2) as over, ThreadPoolExecutor(2) as threads:
        for study in wanted:
            rows = STUDIES[study]
            record[study] = dict(zip(rows, threads.map(lambda row: measured(over, *row), rows.values())))
            RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
