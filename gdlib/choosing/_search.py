"""The runs of a search: what they have in common, what they have cost, and how the search goes on beyond the edge of what it tried."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from gdlib.choosing._samples import of_its_own
from gdlib.choosing._setting import Trial, rate_of
from gdlib.choosing._stack import Plan, Run, alone, together, why_alone
from gdlib.schedules import Schedule
from gdlib.training import Divergence, Trainer

WARMUP = 0.1  # share of the steps, where there is one
SHORT, LONGER = 0.1, 0.3  # shares of the budget that the runs of the two short rounds get
FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)  # around the range test's suggestion
EXTRA = 4  # times, at most, that a batch size gets two rates more, where its best is at the edge of those tried
AT_ONCE = 64  # runs in a stack


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
    paces: dict[int, float] = field(default_factory=dict)
    model: str = ""

    def __post_init__(self):
        self.why = why_alone(self.plan(1))

    def plan(self, steps: int) -> Plan:
        return Plan(
            self.make_model, self.train, self.loss_fn, self.optimizer, steps, None, self.device, self.held_out, (steps,),
            self.precision, self.metric,
        )  # fmt: skip

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
        self, asked: list[tuple[float, int, int]], share: float, shape: str = "linear", warm: bool = False
    ) -> list[Trial]:
        """A trial for each (rate, batch size, seed); those of one batch size are trained at once where that can be."""
        made: dict[int, Trial] = {}
        for size in sorted({size for _, size, _ in asked}):
            steps = self.steps(size, share)
            warmup = round(WARMUP * steps) if warm else 0
            here = [k for k, (_, s, _) in enumerate(asked) if s == size]
            for part in (here[k : k + AT_ONCE] for k in range(0, len(here), AT_ONCE)):
                runs = [Run(rate_of(asked[k][0], shape, warmup, steps), asked[k][2]) for k in part]
                train = together if self.why is None else alone
                _, judged = train(self.plan(steps), runs, size, tqdm(disable=True))
                for k, loss in zip(part, judged[:, -1].tolist()):
                    lr, _, seed = asked[k]
                    loss = loss if math.isfinite(loss) else math.inf
                    made[k] = Trial(lr, size, shape, warmup, steps, share, seed, loss)
                self.spend(steps * size * len(part))
        found = [made[k] for k in range(len(asked))]
        self.trials += found
        return found

    def short_runs(self, lr: float, base: int, sizes: list[int], seed: int) -> list[Trial]:
        """Five rates for each batch size; where its best is the highest or lowest tried, the search goes on beyond it."""
        trials = self.run(
            [(lr * math.sqrt(size / base) * factor, size, seed) for size in sizes for factor in FACTORS], SHORT
        )
        for _ in range(EXTRA):
            more = []
            for size in sizes:
                mine = [t for t in trials if t.batch_size == size]
                best, rates = min(mine, key=lambda t: t.loss), [t.lr for t in mine]
                if math.isinf(best.loss):
                    more += [(min(rates) / 9, size, seed), (min(rates) / 81, size, seed)]
                elif best.lr in (min(rates), max(rates)):
                    out = 3.0 if best.lr == max(rates) else 1 / 3
                    more += [(best.lr * out, size, seed), (best.lr * out * out, size, seed)]
            if not more:
                break
            trials += self.run(more, SHORT)
        if all(math.isinf(t.loss) for t in trials):
            raise ValueError(f"optimizer: every run diverged, with rates down to {min(t.lr for t in trials):.2g}")
        return trials
