"""Which learning rate, which batch size? A range test, the noise scale and a short search, put together."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gdlib import _check, schedules
from gdlib.choosing._noise_scale import NoiseScale, gradient_noise_scale
from gdlib.choosing._range_test import RangeTest, range_test
from gdlib.data import Dataset, as_dataset, hold_out
from gdlib.schedules import Schedule
from gdlib.training import Divergence, Trainer

SHAPES = {"linear": schedules.polynomial, "constant": lambda lr, steps: schedules.constant(lr)}
WARMUP = 0.1  # share of the steps, where there is one
ROUNDS = (0.1, 0.3)  # shares of the budget that the runs of the two short rounds get
FINALISTS = 3  # settings that get a whole run
EXTRA = 6  # more runs, at most, where the best rate is at the edge of those tried
FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)  # around the range test's suggestion
CLEARLY = 0.95  # of the plain linear run's loss: what another schedule must fall below to be taken instead
PROBES = 3  # times at which the noise scale is measured


@dataclass(frozen=True)
class Trial:
    """A run of the search.

    Attributes:
        lr: its peak learning rate.
        batch_size: its batch size.
        shape: ``"linear"`` (falls to zero) or ``"constant"``.
        warmup: its first steps, in which the rate rises.
        steps: how many it took.
        share: of the budget, in samples; 1 is a whole run.
        seed: of its weights and its order.
        loss: on the validation samples, at the end; infinite where it diverged.

    Example:
        >>> Trial(lr=0.1, batch_size=32, shape="linear", warmup=0, steps=100, share=0.1, seed=0, loss=0.5).loss
        0.5
    """

    lr: float
    batch_size: int
    shape: str
    warmup: int
    steps: int
    share: float
    seed: int
    loss: float = math.inf


@dataclass(frozen=True, eq=False)
class Recommendation:
    """What to train with, and why; see `recommend`.

    Attributes:
        lr: the peak learning rate.
        batch_size: samples a step.
        warmup: steps in which the rate rises to its peak; may be 0.
        shape: how it goes on: ``"linear"`` to zero, or ``"constant"``.
        steps: of the run that the budget pays for.
        loss: mean validation loss of whole runs at this setting, over the seeds.
        spread: lowest and highest of them.
        reasons: a sentence for each of ``"lr"``, ``"batch_size"``, ``"warmup"`` and ``"shape"``.
        trials: every run, in order.
        cost: samples that the search used, as a multiple of the budget: how many whole runs it was worth.
        found: the range test.
        noise: the noise scale, at the times in ``probes``.
        probes: steps of the pilot run after which it was measured.

    Example:
        >>> from gdlib import Trainer, data, models
        >>> train = data.diabetes().train
        >>> found = recommend(lambda: models.linear(10), train, nn.functional.mse_loss, budget=400)
        >>> trainer = Trainer(models.linear(10), train, nn.functional.mse_loss, lr=found.schedule, batch_size=found.batch_size)
        >>> len(trainer.fit(found.steps)) == found.steps
        True
    """

    lr: float
    batch_size: int
    warmup: int
    shape: str
    steps: int
    loss: float
    spread: tuple[float, float]
    reasons: dict[str, str]
    trials: list[Trial]
    cost: float
    found: RangeTest
    noise: list[NoiseScale]
    probes: list[int]

    @property
    def schedule(self) -> Schedule:
        """The learning rate as a function of the step, for ``Trainer(lr=...)`` or `gdlib.schedules.as_torch`."""
        return _schedule(self.lr, self.shape, self.warmup, self.steps)

    @property
    def noise_scale(self) -> float:
        """The simple noise scale, mean trace over mean squared gradient norm; infinite where that is not positive."""
        return _together(self.noise)

    def __repr__(self) -> str:
        return (
            f"Recommendation(lr={self.lr:.2g}, batch_size={self.batch_size}, warmup={self.warmup}, shape={self.shape!r},"
            f" steps={self.steps}, loss={self.loss:.3g} ({self.spread[0]:.3g} to {self.spread[1]:.3g}),"
            f" cost={self.cost:.1f} runs)"
        )

    def report(self, path: str | Path) -> None:
        """Write all of it as one HTML page, with pictures, that asks nothing of any other host."""
        from gdlib.drawing import write_report  # draws, and what draws must not be needed to compute

        write_report(self, Path(path))


@dataclass
class _Search:
    """What every run of a search has in common, and what they have cost."""

    make_model: Callable[[], nn.Module]
    train: Dataset
    held_out: Dataset
    loss_fn: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    budget: int
    device: str | torch.device
    precision: str
    bar: tqdm
    trials: list[Trial] = field(default_factory=list)
    samples: int = 0

    def trainer(self, lr: float | Schedule, batch_size: int, seed: int) -> Trainer:
        torch.manual_seed(seed)
        return Trainer(
            self.make_model(), self.train, self.loss_fn, self.optimizer, lr, batch_size, self.device, self.precision,
            seed=seed,
        )  # fmt: skip

    def spend(self, samples: int) -> None:
        self.samples += samples
        self.bar.update(samples)

    def run(
        self, lr: float, batch_size: int, share: float, seed: int, shape: str = "linear", warm: bool = False
    ) -> Trial:
        steps = max(2, round(share * self.budget / batch_size))
        warmup = round(WARMUP * steps) if warm else 0
        trainer = self.trainer(_schedule(lr, shape, warmup, steps), batch_size, seed)
        try:
            for _ in trainer.run(steps):
                pass
            loss = trainer.evaluate(self.held_out)["loss"]
        except Divergence:
            loss = math.inf
        self.spend(trainer.samples_seen)
        self.trials.append(
            Trial(lr, batch_size, shape, warmup, steps, share, seed, loss if math.isfinite(loss) else math.inf)
        )
        return self.trials[-1]


def recommend(
    make_model: Callable[[], nn.Module],
    dataset: Dataset,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = torch.optim.SGD,
    budget: int | None = None,
    validation: float | Dataset = 0.2,
    device: str | torch.device = "auto",
    precision: str = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Recommendation:
    r"""Choose a learning rate, a batch size, a warmup and a schedule for a run that sees ``budget`` samples.

    1. A range test (`gdlib.range_test`) gives a rate :math:`\eta_0` to search around, at a batch of 32 samples.
    2. A pilot run with it gives the gradient noise scale :math:`B_s` (`gdlib.gradient_noise_scale`): beyond it a larger batch
       hardly saves steps, and at equal cost in samples it loses. Batches of about :math:`B_s / 32`, four and sixteen times as many
       are tried, none below 4.
    3. Short runs with a tenth of the budget: five rates a batch size, a factor of three apart around
       :math:`\eta_0 \sqrt{B / 32}`. Where the best rate is the highest or lowest tried, the search goes on beyond it.
    4. Runs with three tenths of it: the two best batch sizes, each with its best rate and two rates between; the best of them
       also with a constant rate, a third as high, and with a warmup. Either is taken only if it is clearly better.
    5. Whole runs: the best three, the better two of them with a second seed, the winner with a third.

    This is successive halving (Jamieson and Talwalkar 2016); every run has the whole schedule, in small: its rate falls to zero.
    What decides is the loss on held-out samples at equal cost in samples. All in all this costs about as much as eleven whole runs.

    Args:
        make_model: returns a fresh model; its weights come from torch's global generator.
        dataset: samples to train on. Those for validation are taken from it.
        loss_fn: as for `Trainer`.
        optimizer: a function from the parameters to an optimizer, without a rate of its own that matters.
        budget: samples that the run you mean to do will see; ``None`` is 20 times the data set.
        validation: share of the samples to hold out, in (0, 1), or samples of your own.
        device, precision: as for `Trainer`.
        seed: of the split, and of the first run; the last ones have the two that follow.
        progress: show a bar.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, ``budget`` is below 400 samples, or no rate lowers
            the loss.

    Example:
        >>> from gdlib import data, models
        >>> found = recommend(lambda: models.linear(10), data.diabetes().train, nn.functional.mse_loss, budget=2000)
        >>> 0.4 < found.loss < 0.7, found.cost < 12
        (True, True)
    """
    dataset, seed = as_dataset("dataset", dataset), _check.whole("seed", seed, low=0)
    if isinstance(optimizer, torch.optim.Optimizer) or not callable(optimizer):
        raise TypeError(f"optimizer must be a function from the parameters to an optimizer; got {optimizer!r}")
    budget = 20 * len(dataset) if budget is None else _check.whole("budget", budget, low=400)
    train, held_out = _held_out(dataset, validation, seed)
    with torch.random.fork_rng(), tqdm(total=11 * budget, disable=not progress, unit="sample", unit_scale=True) as bar:
        search = _Search(make_model, train, held_out, loss_fn, optimizer, budget, device, precision, bar)
        base = _power_of_two(min(32, budget / 100, len(train) / 4))
        found = _find_rate(search, base, seed)
        probes, noise = _pilot(search, found.suggestion, base, seed)
        sizes = _sizes(noise, min(len(train) / 2, budget / 50))
        short, longer = ROUNDS
        first = [
            search.run(found.suggestion * math.sqrt(size / base) * factor, size, short, seed)
            for size in sizes
            for factor in FACTORS
        ]
        best = _beyond_the_edge(search, first, seed)
        second = _longer(search, first, longer, seed)
        best = min(second, key=lambda t: t.loss)
        others = {
            "constant": search.run(best.lr / 3, best.batch_size, longer, seed, shape="constant"),
            "warmup": search.run(best.lr, best.batch_size, longer, seed, warm=True),
        }
        shape, warm, factor = _form(best, others)
        finalists = sorted(second, key=lambda t: t.loss)[:FINALISTS]
        settings = [(t.lr * factor, t.batch_size, 1.0) for t in finalists]
        runs = {setting: [search.run(*setting, seed, shape, warm)] for setting in settings}
        for k, left in ((1, FINALISTS - 1), (2, 1)):
            settings = sorted(settings, key=lambda setting: np.mean([t.loss for t in runs[setting]]))[:left]
            for setting in settings:
                runs[setting].append(search.run(*setting, seed + k, shape, warm))
        (seeds,) = (runs[setting] for setting in settings)
        winner = seeds[0]
    losses = [t.loss for t in seeds]
    spread = (min(losses), max(losses))
    reasons = _reasons(search.trials, winner, best, others, spread, found, noise, sizes)
    return Recommendation(
        winner.lr, winner.batch_size, winner.warmup, winner.shape, winner.steps, float(np.mean(losses)), spread, reasons,
        search.trials, search.samples / budget, found, noise, probes,
    )  # fmt: skip


def _held_out(dataset: Dataset, validation: float | Dataset, seed: int) -> tuple[Dataset, Dataset]:
    if not isinstance(validation, (int, float)):
        return dataset, as_dataset("validation", validation)
    share = _check.number("validation", validation)
    count = round(share * len(dataset))
    if not 0 < share < 1 or not 0 < count < len(dataset) - 1:
        raise ValueError(f"validation must be a share of the samples in (0, 1) that leaves some; got {validation!r}")
    return hold_out(dataset, count, seed)


def _power_of_two(size: float) -> int:
    return 2 ** max(0, math.floor(math.log2(size)))


def _schedule(lr: float, shape: str, warmup: int, steps: int) -> Schedule:
    schedule = SHAPES[shape](lr, steps)
    return schedules.warmup(schedule, warmup, start=1 / (warmup + 1)) if warmup else schedule


def _find_rate(search: _Search, batch_size: int, seed: int) -> RangeTest:
    """A range test that costs at most half a run, and starts lower where it found nothing."""
    steps = max(20, min(100, search.budget // (2 * batch_size)))
    for low, high in ((1e-5, 10.0), (1e-9, 1e-3)):
        found = range_test(search.trainer(low, batch_size, seed), low, high, steps)
        search.spend(len(found.lrs) * batch_size)
        if found.suggestion is not None:
            return found
    raise ValueError(f"optimizer: no rate lowers the loss; {found.reason}")


def _pilot(search: _Search, lr: float, batch_size: int, seed: int) -> tuple[list[int], list[NoiseScale]]:
    """The noise scale at a few times of a short run; a lower rate where the suggested one diverges."""
    part = max(2, round(ROUNDS[0] * search.budget / batch_size / PROBES))
    samples = min(256, len(search.train))
    for _ in range(5):
        trainer = search.trainer(_schedule(lr, "linear", 0, PROBES * part), batch_size, seed)
        probes, noise = [], []
        try:
            for _ in range(PROBES):
                for _ in trainer.run(part):
                    pass
                data = search.train.to(trainer.device)
                noise.append(gradient_noise_scale(trainer.model, data, search.loss_fn, samples=samples))
                probes.append(trainer.steps_done)
                search.spend(part * batch_size + samples)
            return probes, noise
        except Divergence:
            search.spend(trainer.samples_seen)
            lr /= 3
    raise ValueError(f"optimizer: the loss diverges at every rate down to {lr:.2g}")


def _beyond_the_edge(search: _Search, trials: list[Trial], seed: int) -> Trial:
    """The best of the ``trials``; while its rate is the highest or the lowest of its batch size, one further out is added."""
    for _ in range(EXTRA):
        best = min(trials, key=lambda t: t.loss)
        rates = [t.lr for t in trials if t.batch_size == best.batch_size]
        if math.isinf(best.loss):
            lr, size = min(t.lr for t in trials) / 9, trials[0].batch_size
        elif best.lr in (min(rates), max(rates)):
            lr, size = best.lr * (3 if best.lr == max(rates) else 1 / 3), best.batch_size
        else:
            break
        trials.append(search.run(lr, size, ROUNDS[0], seed))
    best = min(trials, key=lambda t: t.loss)
    if math.isinf(best.loss):
        raise ValueError(f"optimizer: every run diverged, with rates down to {min(t.lr for t in trials):.2g}")
    return best


def _longer(search: _Search, trials: list[Trial], share: float, seed: int) -> list[Trial]:
    """The best rate of each of the two best batch sizes, and the rates half-way to its neighbours, with more samples."""
    best = {}
    for trial in sorted(trials, key=lambda t: t.loss):
        best.setdefault(trial.batch_size, trial)
    return [
        search.run(trial.lr * factor, size, share, seed)
        for size, trial in list(best.items())[:2]
        for factor in (1.0, 3**-0.5, 3**0.5)
        if math.isfinite(trial.loss)
    ]


def _form(best: Trial, others: dict[str, Trial]) -> tuple[str, bool, float]:
    """Shape, warmup or not, and a factor on the rate: what is clearly better than falling to zero from the start, if anything."""
    name, other = min(others.items(), key=lambda item: item[1].loss)
    if other.loss >= CLEARLY * best.loss:
        return "linear", False, 1.0
    return ("constant", False, 1 / 3) if name == "constant" else ("linear", True, 1.0)


def _together(noise: list[NoiseScale]) -> float:
    """The simple noise scale of several measurements, averaged before they are divided; infinite where that is not positive."""
    norm2 = sum(n.gradient_norm2 for n in noise)
    return sum(n.trace for n in noise) / norm2 if norm2 > 0 else math.inf


def _sizes(noise: list[NoiseScale], largest: float) -> list[int]:
    """Three batch sizes around the noise scale, as powers of two that fit."""
    scale = min(_together(noise), largest)
    least = max(scale / 32, 4)
    return sorted({_power_of_two(max(min(size, largest), 1)) for size in (least, 4 * least, 16 * least)})


def _reasons(
    trials: list[Trial],
    winner: Trial,
    best: Trial,
    others: dict[str, Trial],
    spread: tuple[float, float],
    found: RangeTest,
    noise: list[NoiseScale],
    sizes: list[int],
) -> dict[str, str]:
    short, longer = ROUNDS
    near = [t for t in trials if t.batch_size == winner.batch_size and t.share == short]
    good = [t.lr for t in near if t.loss <= 1.1 * min(t.loss for t in near)]
    good = f"{good[0]:.2g} alone" if len(good) == 1 else f"all from {min(good):.2g} to {max(good):.2g}"
    tried = sorted({t.lr for t in trials if t.batch_size == winner.batch_size and t.share == longer})
    per_size = {size: min(t.loss for t in trials if t.batch_size == size and t.share == short) for size in sizes}
    seeds = f"three seeds at the chosen setting lie between {spread[0]:.3g} and {spread[1]:.3g}"
    plain = f"a run with {longer:.0%} of the budget that falls to zero from the start ended at {best.loss:.3g}"
    return {
        "lr": f"the range test suggested {found.suggestion:.2g}; of {len(near)} rates in short runs with this batch size {good} came"
        f" within 10 % of the best; longer runs tried {', '.join(f'{lr:.2g}' for lr in tried)}",
        "batch_size": f"the noise scale is about {_together(noise):.0f} samples; the best losses of short runs were "
        + ", ".join(f"{loss:.3g} with {size}" for size, loss in per_size.items()),
        "warmup": f"{plain}, with a warmup at {others['warmup'].loss:.3g}; {seeds}",
        "shape": f"{plain}, with a constant rate, a third as high, at {others['constant'].loss:.3g}; {seeds}",
    }
