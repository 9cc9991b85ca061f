"""The rounds of a search, from the split of the samples to the whole runs of what is recommended."""

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from gdlib import _check
from gdlib.choosing._branch import BranchTest, branch_test
from gdlib.choosing._noise_scale import NoiseScale, gradient_noise_scale
from gdlib.choosing._range_test import RangeTest, range_test
from gdlib.choosing._samples import apart, as_samples, batch, best_constant, mean
from gdlib.choosing._search import LONGER, SHORT, Search, averaged
from gdlib.choosing._setting import Setting, Trial
from gdlib.data import Dataset, epoch_order
from gdlib.training import Divergence

CLEARLY = 0.05  # of what the plain linear run has gained: what another schedule must gain on top to be taken instead
PROBES = 3  # times at which the noise scale is measured
SPACING = 4  # from one batch size to the next
UNKNOWN = 1e-2  # where to begin if a range test saw nothing; the short runs go on from there in both directions
ENOUGH = 2**18  # numbers among the outputs that the best constant is made for
LOWER = 4  # thirds of the rate, at most, where whole runs diverge
WHOLE = 0.35  # of what a search may cost: whole runs
SEEDS = 3  # whole runs of what is recommended
FEW = 200  # held-out samples below which each seed holds out others


def held_out(dataset: Any, validation: Any, seed: int) -> tuple[Any, Any, tuple]:
    """Samples to train on, those to judge by, and, where these are few, which samples are which for each seed."""
    if not isinstance(validation, (int, float)):
        return dataset, as_samples("validation", validation), ()
    share = _check.number("validation", validation)
    count = round(share * len(dataset))
    if not 0 < share < 1 or not 0 < count < len(dataset) - 1:
        raise ValueError(f"validation must be a share of the samples in (0, 1) that leaves some; got {validation!r}")
    train, judging = apart(dataset, count, seed)
    folds = min(SEEDS, len(dataset) // count) if count < FEW else 1
    if folds == 1 or (isinstance(dataset, Dataset) and not isinstance(dataset.inputs, torch.Tensor)):
        return train, judging, ()
    order, n = epoch_order(len(dataset), 0, seed), len(dataset)
    cuts = [(n - (k + 1) * count, n - k * count) for k in range(folds)]
    return train, judging, tuple((torch.cat([order[:a], order[b:]]), order[a:b]) for a, b in cuts)


def power_of_two(size: float) -> int:
    return 2 ** max(0, math.floor(math.log2(size)))


def bounds(batch_size: tuple[int, int] | None, train: Any, budget: int | None) -> tuple[int, int]:
    if batch_size is not None:
        wanted = "batch_size must be (the smallest, the largest) to consider"
        if not isinstance(batch_size, (tuple, list)) or len(batch_size) != 2:
            raise TypeError(f"{wanted}; got {batch_size!r}")
        low, high = (_check.whole("batch_size", size) for size in batch_size)
        if low > high:
            raise ValueError(f"{wanted}; got {batch_size!r}")
        return low, high
    high = max(1, int(min(len(train) / 2, (budget or math.inf) / 50)))
    return min(4, high), high


def sizes(low: int, high: int, many: bool) -> list[int]:
    """Batch sizes to begin with: powers of two, a factor of four apart; one fewer of the smallest, which take longest, where runs
    are trained one after another."""
    first = power_of_two(low) if power_of_two(low) == low else 2 * power_of_two(low)
    sizes = [first * SPACING**k for k in range(4) if first * SPACING**k <= high] or [low]
    if not many and len(sizes) > 2:
        sizes = [2 * size for size in sizes if 2 * size <= high][:3]
    return sizes


def plan(search: Search, sizes: list[int], base: int) -> tuple[float, float]:
    """How many runs' worth of samples the search will take, and how many seconds, if no rate is at an edge."""
    many = search.why is None
    runs = 5 * SHORT * len(sizes) + (12 if many else 6) * LONGER + (10 if many else 5) + 2 * SHORT
    each = [search.pace(size) * search.steps(size, 1.0) for size in sizes]
    at_once = 0.25 if many else 1.0  # what a run costs within a stack of a few
    return runs, runs * float(np.mean(each)) * at_once


def find_rate(search: Search, batch_size: int, seed: int) -> RangeTest:
    """A range test that costs at most half a run, and starts lower where it found nothing."""
    steps = max(20, min(100, search.steps(batch_size, 0.5)))
    for low, high in ((1e-5, 10.0), (1e-9, 1e-3)):
        try:
            found = range_test(search.trainer(low, batch_size, seed), low, high, steps)
        except ValueError as error:
            if "is finite" not in str(error):
                raise
            raise ValueError("loss_fn must be finite for a fresh model; got NaN or infinity at once") from error
        search.spend(len(found.lrs) * batch_size)
        if found.suggestion is not None:
            break
    return found


def pilot(
    search: Search, found: RangeTest, base: int, sizes: list[int], seed: int
) -> tuple[list[int], list[NoiseScale], BranchTest | None]:
    """The noise scale at a few times of a short run, and a branch test at its end; a lower rate where the suggested one diverges."""
    steps, lr = search.steps(base, SHORT), found.suggestion or UNKNOWN
    part, samples = max(1, steps // PROBES), min(256, len(search.train))
    for _ in range(5):
        trainer = search.trainer(lr / 3, base, seed)
        probes, noise = [], []
        try:
            for _ in range(PROBES):
                for _ in trainer.run(part):
                    pass
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # that it is measured with two batches
                    noise.append(
                        gradient_noise_scale(trainer.model, search.train, trainer.loss_fn, samples=samples, draws=20)
                    )
                probes.append(trainer.steps_done)
                search.spend(part * base + samples)
            tried = sorted({size for size in (base // 4, base, 4 * base) if sizes[0] <= size <= sizes[-1]} | {base})
            branched = max(8 * tried[-1], base * search.steps(base, SHORT / 4))
            branch = None
            if 6 * branched <= base * search.steps(base, 1.0):
                branch = branch_test(trainer, search.held_out, tried, branched, repeats=2)
                search.spend(2 * len(tried) * branched)
            return probes, noise, branch
        except Divergence:
            search.spend(trainer.samples_seen)
        except ValueError as error:
            if "diverged" not in str(error) and "finite" not in str(error):
                raise
        lr /= 3
    raise ValueError(f"optimizer: every run diverged, with rates down to {lr:.2g}")


def longer(search: Search, trials: list[Trial], bounds: tuple[int, int], seed: int) -> list[Trial]:
    """The two best batch sizes and, where runs are cheap, those beside the best, each at its best rate and half-way to its neighbours."""
    best: dict[int, Trial] = {}
    for trial in sorted(trials, key=lambda t: t.loss):
        best.setdefault(trial.batch_size, trial)
    ranked = [t for t in best.values() if math.isfinite(t.loss)]
    rates = {t.batch_size: t.lr for t in ranked[:2]}
    if search.why is None:
        top = ranked[0]
        for size in (top.batch_size // 2, top.batch_size * 2):
            near = [t.lr for t in ranked if t.batch_size in (2 * size, size // 2)]
            if bounds[0] <= size <= bounds[1] and size not in rates:
                rates[size] = math.exp(np.mean(np.log(near)))
    asked = [(lr * factor, size) for size, lr in rates.items() for factor in (3**-0.5, 1.0, 3**0.5)]
    twice = search.affordable([size for _, size in asked] * 2, LONGER, list(best), 0.2)
    return search.over_folds(asked, LONGER, seed, 2 if twice and search.why is None else 1)


def other_forms(search: Search, best: Trial, seed: int) -> dict[str, Trial]:
    """The best with a constant rate, a third as high, and with a warmup."""
    asked = [(best.lr / 3, best.batch_size), (best.lr, best.batch_size)]
    seeds = max(1, len(search.folds))
    trials = search.run(
        [(*one, seed + k) for one in asked for k in range(seeds)], LONGER, ["constant"] * seeds + ["linear"] * seeds,
        [False] * seeds + [True] * seeds,
    )  # fmt: skip
    return dict(zip(("constant", "warmup"), averaged(trials)))


def form(best: Trial, others: dict[str, Trial], start: float) -> tuple[str, bool, float]:
    """Shape, warmup or not, and a factor on the rate: what is clearly better than falling to zero from the start, if anything."""
    name, other = min(others.items(), key=lambda item: item[1].loss)
    if not other.loss < best.loss - CLEARLY * abs(start - best.loss):
        return "linear", False, 1.0
    return ("constant", False, 1 / 3) if name == "constant" else ("linear", True, 1.0)


def whole_runs(
    search: Search, trials: list[Trial], form: tuple[str, bool, float], seed: int
) -> tuple[Setting, Setting]:
    """The best setting, and the one that takes least time among those that differ from it by no more than seeds do."""
    shape, warm, factor = form
    ranked = sorted(trials, key=lambda t: t.loss)
    ranked = [t for t in ranked if t.batch_size >= ranked[0].batch_size]  # a smaller one that is no better takes longer
    taken = [t for k, t in enumerate(ranked) if sum(u.batch_size == t.batch_size for u in ranked[:k]) < 2]
    taken = taken[: 3 if search.why is None else 2]
    within = ranked[0].loss + CLEARLY * abs(ranked[-1].loss - ranked[0].loss)
    large = max((t for t in ranked if t.loss <= within), key=lambda t: t.batch_size)
    if large.batch_size > max(t.batch_size for t in taken):
        taken.append(large)
    settings = [(t.lr * factor, t.batch_size) for t in taken]
    sizes = sorted({t.batch_size for t in search.trials})

    def affordable(settings: Iterable[tuple[float, int]], times: int, more: int = 0) -> bool:
        each = [size for _, size in settings]
        return search.affordable(each * times + each[:1] * more, 1.0, sizes, WHOLE)

    many = search.why is None and affordable(settings, SEEDS)
    while not many and len(settings) > 1 and not affordable(settings, 1, SEEDS - 1):
        settings.pop()
    runs = _over_seeds(search, settings, SEEDS if many else 1, shape, warm, seed)
    made = [
        Setting(
            lr, size, mine[0].warmup, mine[0].shape, mine[0].steps, float(np.mean([t.loss for t in mine])),
            (min(t.loss for t in mine), max(t.loss for t in mine)), mine[0].steps * search.pace(size),
        )
        for (lr, size), mine in runs.items()
    ]  # fmt: skip
    full = [setting for setting in made if len(runs[setting.lr, setting.batch_size]) == SEEDS]
    chosen = min(full, key=lambda setting: setting.loss)
    good = [setting for setting in made if setting.loss <= chosen.spread[1]]
    return chosen, min(good, key=lambda setting: setting.seconds)


def _over_seeds(
    search: Search, settings: list[tuple[float, int]], first: int, shape: str, warm: bool, seed: int
) -> dict[tuple[float, int], list[Trial]]:
    """Whole runs: of each setting with the first seeds, of the best with all of them.

    What diverges with one seed is not recommended for another: then comes the next best, and at last lower rates.
    """
    runs: dict[tuple[float, int], list[Trial]] = {setting: [] for setting in settings}

    def train(which: list[tuple[float, int]], seeds: range) -> None:
        asked = [(*setting, seed + s) for setting in which for s in seeds]
        for trial in search.run(asked, 1.0, shape, warm):
            runs.setdefault((trial.lr, trial.batch_size), []).append(trial)

    train(settings, range(first))
    waiting = sorted(settings, key=lambda setting: float(np.mean([t.loss for t in runs[setting]])))
    waiting += [(waiting[0][0] / 3**k, waiting[0][1]) for k in range(1, LOWER + 1)]
    for setting in waiting:
        done = len(runs.get(setting, ()))
        if done < SEEDS:
            train([setting], range(done, SEEDS))
        if all(math.isfinite(t.loss) for t in runs[setting]):
            return runs
    raise ValueError(f"optimizer: every whole run diverged, with rates down to {waiting[-1][0]:.2g}")


@torch.no_grad()
def against_constant(search: Search, seed: int) -> tuple[float, float]:
    """What the best constant output of the training samples gets on the validation samples, and what a fresh model gets."""
    trainer = search.trainer(1e-9, 1, seed)
    start = search.plan(1).judged(trainer, search.held_out)
    rows = [torch.arange(min(4096, len(data))) for data in (search.train, search.held_out)]
    inputs, targets = batch(search.train, rows[0], search.device)
    if not isinstance(inputs, torch.Tensor) or search.loss_fn is None:
        return math.nan, start
    trainer.model.eval()
    first = trainer.model(inputs[:1])
    few = max(1, ENOUGH // max(1, first.numel())) if isinstance(first, torch.Tensor) else len(inputs)
    inputs, targets = inputs[:few], targets[:few] if isinstance(targets, torch.Tensor) else targets
    outputs = trainer.model(inputs)
    best = best_constant(trainer.loss_fn, outputs, targets)
    if best is None:
        return math.nan, start
    _, targets = batch(search.held_out, rows[1], search.device)
    outputs = best.expand(len(rows[1]), *best.shape[1:])
    judge = search.metric or trainer.loss_fn
    return float(mean(judge(outputs, targets))), start
