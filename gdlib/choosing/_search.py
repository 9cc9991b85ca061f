"""The runs of a search: what they have in common, what they have cost, and how the search goes on beyond the edge of what it tried."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from gdlib.choosing._samples import of_its_own, operations
from gdlib.choosing._setting import Trial, rate_of
from gdlib.choosing._stack import Plan, Run, alone, together, why_alone
from gdlib.schedules import Schedule
from gdlib.training import Divergence, Trainer

WARMUP = 0.1  # share of the steps, where there is one
SHORT, LONGER = 0.1, 0.3  # shares of the budget that the runs of the two short rounds get
FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)  # around the range test's suggestion
EXTRA = 4  # times, at most, that a batch size gets two rates more, where its best is at the edge of those tried
AT_ONCE = 64  # runs in a stack
# What a search costs is reckoned in operations of a processor core. While a step of a small model is under way, a core could do OVERHEAD
# of them; a stack pays that once for SHARED runs, and one of up to NARROW is no faster where the model has much to compute. A search may
# cost as much as GRID runs, trained alone, of the mean batch size: a fifth of a grid of sixty.
OVERHEAD, SHARED, NARROW, GRID = 1.5e7, 12, 3, 12.0


@dataclass
class Search:
    """What every run of a search has in common, and what they have cost."""

    make_model: Callable[[], nn.Module]
    train: Any
    held_out: Any
    loss_fn: Callable | None
    optimizer: Callable
    device: torch.device
    precision: str
    metric: Callable | None
    budget: int | None  # samples of a whole run, or ...
    seconds: float | None  # ... its time on this machine
    bar: tqdm = field(default_factory=lambda: tqdm(disable=True))
    trials: list[Trial] = field(default_factory=list)
    samples: int = 0
    seed: int = 0
    paces: dict[int, float] = field(default_factory=dict)
    model: str = ""
    whole: Any = None  # training and held-out samples together, and ...
    folds: tuple[tuple[Any, Any], ...] = ()  # ... which of them the first, second, ... seed trains on and is judged by

    def __post_init__(self):
        self.why = why_alone(self.plan(1))
        self.work = operations(self.trainer(1e-9, 1, 0).model, self.train, self.loss_fn, self.device)

    def plan(self, steps: int) -> Plan:
        data, held_out = (self.whole, None) if self.folds else (self.train, self.held_out)
        return Plan(
            self.make_model, data, self.loss_fn, self.optimizer, steps, None, self.device, held_out, (steps,),
            self.precision, self.metric, self.folds,
        )  # fmt: skip

    def price(self, runs: Iterable[int], share: float) -> float:
        """About how many operations runs of these batch sizes cost, in time too: what is not computed meanwhile is counted.

        It is reckoned and not measured, so that a search takes the same decisions whenever it is repeated.
        """
        found = 0.0
        for size, count in Counter(runs).items():
            idle = max(1.0, count / SHARED) if self.stacked(size, count) else count
            found += self.steps(size, share) * (OVERHEAD * idle + self.work * size * count)
        return found

    def stacked(self, size: int, count: int) -> bool:
        """Whether so many runs are trained at once: where they can be, and gain by it."""
        return self.why is None and (count > NARROW or self.work * size < OVERHEAD / 2)

    def affordable(self, runs: list[int], share: float, sizes: list[int], part: float) -> bool:
        """Whether such runs cost at most this part of what a search may cost."""
        alone = [self.steps(size, 1.0) * (OVERHEAD + self.work * size) for size in sizes]
        return self.price(runs, share) <= part * GRID * sum(alone) / len(alone)

    def trainer(self, lr: float | Schedule, batch_size: int, seed: int) -> Trainer:
        torch.manual_seed(seed)
        model = self.make_model()
        self.model = type(model).__name__
        return Trainer(
            model, self.train, of_its_own(self.loss_fn), self.optimizer, lr=lr, batch_size=batch_size, device=self.device,
            precision=self.precision, seed=seed,
        )  # fmt: skip

    def pace(self, size: int) -> float:
        """Seconds that a step with a batch of this size takes `Trainer`, here and now: the median of a few."""
        if size not in self.paces:
            took, trainer = [], self.trainer(1e-9, size, 0)
            began = time.perf_counter()
            with suppress(Divergence):  # a batch without a single label; the runs will show it
                for step in trainer.run(12):
                    _ = step.loss
                    took.append(time.perf_counter() - began)
                    began = time.perf_counter()
            took = took or [time.perf_counter() - began]
            self.paces[size] = sorted(took[-10:])[len(took[-10:]) // 2]
            self.spend(12 * size)
        return self.paces[size]

    def steps(self, size: int, share: float) -> int:
        whole = self.budget / size if self.budget else self.seconds / self.pace(size)
        return max(2, round(share * whole))

    def spend(self, samples: int) -> None:
        self.samples += samples
        self.bar.update(samples)

    def run(
        self, asked: list[tuple[float, int, int]], share: float, shapes: Sequence[str] | str = "linear",
        warm: Sequence[bool] | bool = False,
    ) -> list[Trial]:  # fmt: skip
        """A trial for each (rate, batch size, seed); those of one batch size are trained at once where that can be.

        Args:
            asked: what to try.
            share: of the budget.
            shapes, warm: of each, or of all.
        """
        shapes = [shapes] * len(asked) if isinstance(shapes, str) else shapes
        warm = [warm] * len(asked) if isinstance(warm, bool) else warm
        made: dict[int, Trial] = {}
        for size in sorted({size for _, size, _ in asked}):
            steps = self.steps(size, share)
            here = [k for k, (_, s, _) in enumerate(asked) if s == size]
            for part in (here[k : k + AT_ONCE] for k in range(0, len(here), AT_ONCE)):
                runs, warmups = [], [round(WARMUP * steps) if warm[k] else 0 for k in part]
                for k, warmup in zip(part, warmups):
                    lr, _, seed = asked[k]
                    fold = (seed - self.seed) % len(self.folds) if self.folds else 0
                    runs.append(Run(rate_of(lr, shapes[k], warmup, steps), seed, fold))
                train = together if self.stacked(size, len(part)) else alone
                _, judged = train(self.plan(steps), runs, size, tqdm(disable=True))
                for k, warmup, loss in zip(part, warmups, judged[:, -1].tolist()):
                    lr, _, seed = asked[k]
                    loss = loss if math.isfinite(loss) else math.inf
                    made[k] = Trial(lr, size, shapes[k], warmup, steps, share, seed, loss)
                self.spend(steps * size * len(part))
        found = [made[k] for k in range(len(asked))]
        self.trials += found
        return found

    def short_runs(self, lr: float, base: int, sizes: list[int], seed: int) -> list[Trial]:
        """Five rates for each batch size; where its best is the highest or lowest tried, the search goes on beyond it."""
        trials = self.over_folds(
            [(lr * math.sqrt(size / base) * factor, size) for size in sizes for factor in FACTORS], SHORT, seed
        )
        for _ in range(EXTRA):
            more = []
            for size in sizes:
                mine = [t for t in trials if t.batch_size == size]
                best, rates = min(mine, key=lambda t: t.loss), [t.lr for t in mine]
                if math.isinf(best.loss):
                    more += [(min(rates) / 9, size), (min(rates) / 81, size)]
                elif best.lr in (min(rates), max(rates)):
                    out = 3.0 if best.lr == max(rates) else 1 / 3
                    more += [(best.lr * out, size), (best.lr * out * out, size)]
            if not more:
                break
            trials += self.over_folds(more, SHORT, seed)
        if all(math.isinf(t.loss) for t in trials):
            raise ValueError(f"optimizer: every run diverged, with rates down to {min(t.lr for t in trials):.2g}")
        return trials

    def over_folds(self, asked: list[tuple[float, int]], share: float, seed: int, seeds: int = 1) -> list[Trial]:
        """The mean of each (rate, batch size) over some seeds, and at least over all folds."""
        seeds = max(seeds, len(self.folds))
        return averaged(self.run([(lr, size, seed + k) for lr, size in asked for k in range(seeds)], share))


def averaged(trials: list[Trial]) -> list[Trial]:
    """One trial for each rate and batch size, with the mean of the losses."""
    alike: dict[tuple[float, int], list[Trial]] = {}
    for trial in trials:
        alike.setdefault((trial.lr, trial.batch_size), []).append(trial)
    return [replace(mine[0], loss=sum(t.loss for t in mine) / len(mine)) for mine in alike.values()]
