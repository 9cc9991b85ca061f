"""Which learning rate, which batch size? A range test, the noise scale, a branch test and a short search, put together."""

import datetime
import math
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from gdlib import _check
from gdlib.choosing import _rounds as rounds
from gdlib.choosing._branch import BranchTest
from gdlib.choosing._noise_scale import NoiseScale
from gdlib.choosing._range_test import RangeTest
from gdlib.choosing._reasons import reasons
from gdlib.choosing._samples import as_samples, makes_models
from gdlib.choosing._search import Search
from gdlib.choosing._setting import Setting, Trial
from gdlib.training import device as devices


@dataclass(frozen=True, eq=False)
class Recommendation(Setting):
    """The setting with the lowest loss for the budget, and why; see `recommend`.

    Attributes:
        soonest: the setting that comes as low, to within what seeds differ by, in the least time on this machine; often with a larger
            batch. Where there is no other, the same.
        reasons: a sentence for each of ``"lr"``, ``"batch_size"``, ``"warmup"``, ``"shape"`` and ``"constant"``.
        trials: every run, in order.
        cost: samples that the search used, as a multiple of a whole run's.
        took: seconds that it took.
        planned: how many runs' worth of samples, and how many seconds, it expected before it began to search.
        constant: the validation loss of the best constant output; NaN where that cannot be asked.
        found: the range test.
        noise: the noise scale, at the times in ``probes``.
        probes: steps of the pilot run after which it was measured.
        branch: the branch test at the end of the pilot run; ``None`` where the budget is too small for one.
        model, optimizer: their names.
        date: of the search.

    Example:
        >>> from gdlib import Trainer, data, models
        >>> train = data.diabetes().train
        >>> found = recommend(lambda: models.linear(10), train, nn.functional.mse_loss, budget=400)
        >>> trainer = Trainer(models.linear(10), train, nn.functional.mse_loss, lr=found.schedule, batch_size=found.batch_size)
        >>> len(trainer.fit(found.steps)) == found.steps
        True
    """

    soonest: Setting
    reasons: dict[str, str]
    trials: list[Trial]
    cost: float
    took: float
    planned: tuple[float, float]
    constant: float
    found: RangeTest
    noise: list[NoiseScale]
    probes: list[int]
    branch: BranchTest | None
    model: str
    optimizer: str
    date: str

    @property
    def noise_scale(self) -> float:
        """The simple noise scale, mean trace over mean squared gradient norm; infinite where that is not positive."""
        norm2 = sum(n.gradient_norm2 for n in self.noise)
        return sum(n.trace for n in self.noise) / norm2 if norm2 > 0 else math.inf

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


def recommend(
    make_model: Callable[[], nn.Module],
    dataset: Any,
    loss_fn: Callable | None,
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = torch.optim.SGD,
    budget: int | None = None,
    validation: Any = 0.2,
    device: str | torch.device = "auto",
    precision: str = "auto",
    seed: int = 0,
    progress: bool = False,
    *,
    seconds: float | None = None,
    batch_size: tuple[int, int] | None = None,
    metric: Callable[[Any, Any], float] | None = None,
) -> Recommendation:
    r"""Choose a learning rate, a batch size, a warmup and a schedule for a run of a given length.

    1. A range test (`gdlib.range_test`) gives a rate :math:`\eta_0` to search around, at a batch of 32 samples.
    2. A pilot run with it gives the gradient noise scale (`gdlib.gradient_noise_scale`) and ends with a branch test
       (`gdlib.diagnose.branch_test`): two estimates of how large a batch may be, for comparison with what the search finds.
    3. Short runs with a tenth of the budget: batch sizes of 4, 16, 64 and 256, five rates each, a factor of three apart around
       :math:`\eta_0 \sqrt{B / 32}`. Where the best rate of a batch size is the highest or lowest tried, the search goes on beyond it.
    4. Runs with three tenths of it: the two best batch sizes, those between and beside them, each with its best rate and two
       nearer to it; the best also with a constant rate, a third as high, and with a warmup. Either is taken only if it is clearly better.
    5. Whole runs of the best, over three seeds, of as many settings as a fifth of a grid's time allows; and of the largest batch that has
       kept up.

    This is successive halving (Jamieson and Talwalkar 2016); every run has the whole schedule, in small: its rate falls to zero.
    What decides is the loss on held-out samples at equal cost; where fewer than 200 are held out, each of three seeds holds out others, and
    their mean decides, for a few samples decide nothing. Runs of one batch size are trained at once, as `gdlib.sweep` does it, in
    a fraction of the time; a model that cannot be, or is no faster so, is given fewer runs, and a warning says why.

    Args:
        make_model: returns a fresh model; its weights come from torch's global generator.
        dataset: samples to train on: what `Trainer` takes, with a length. Those for validation are taken from it.
        loss_fn: as for `Trainer`.
        optimizer: a function from the parameters to an optimizer, without a rate of its own that matters.
        budget: samples that the run you mean to do will see; ``None`` is 20 times the data set, unless ``seconds`` is given.
        validation: share of the samples to hold out, in (0, 1), or samples of your own.
        device, precision: as for `Trainer`.
        seed: of the split, and of the first run; the last ones have the two that follow.
        progress: show a bar, and before it what the search will cost.
        seconds: in place of ``budget``: how long the run that you mean to do may take on this machine; a larger batch then sees more
            samples.
        batch_size: the smallest and the largest batch to consider; ``None`` is from 4 to half of the samples.
        metric: what to judge by in place of the loss, of all outputs and targets of the validation samples; smaller is better.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, ``budget`` is below 400 samples, or every run diverges.

    Example:
        >>> from gdlib import data, models
        >>> found = recommend(lambda: models.linear(10), data.diabetes().train, nn.functional.mse_loss, budget=2000)
        >>> 0.4 < found.loss < 0.7, found.loss < found.constant, found.soonest.seconds <= found.seconds
        (True, True, True)
    """
    makes_models(make_model)
    dataset, seed = as_samples("dataset", dataset), _check.whole("seed", seed, low=0)
    if metric is not None and not callable(metric):
        raise TypeError(f"metric must be a function of (outputs, targets); got {metric!r}")
    if isinstance(optimizer, torch.optim.Optimizer) or not callable(optimizer):
        raise TypeError(f"optimizer must be a function from the parameters to an optimizer; got {optimizer!r}")
    if budget is not None and seconds is not None:
        raise ValueError(f"one of budget and seconds must be given; got budget={budget!r}, seconds={seconds!r}")
    seconds = None if seconds is None else _check.positive("seconds", seconds)
    if seconds is None:
        budget = 20 * len(dataset) if budget is None else _check.whole("budget", budget, low=400)
    train, held_out, folds = rounds.held_out(dataset, validation, seed)
    low, high = rounds.bounds(batch_size, train, budget)
    began = time.perf_counter()
    with torch.random.fork_rng(), tqdm(total=0, disable=not progress, unit="sample", unit_scale=True) as bar:
        settings = (make_model, train, held_out, loss_fn, optimizer, devices.resolve(device), precision, metric)
        search = Search(*settings, budget, seconds, bar, seed=seed, whole=dataset, folds=folds)
        if search.why is not None:
            warnings.warn(f"the runs of this search are trained one after another: {search.why}", stacklevel=2)
        sizes = rounds.sizes(low, high, search.why is None)
        base = min(max(32, sizes[0]), sizes[-1])
        planned = rounds.plan(search, sizes, base)
        bar.total = round(planned[0] * base * search.steps(base, 1.0))
        if progress:
            bar.write(f"recommend: about {planned[0]:.0f} runs' worth of samples, {planned[1]:.0f} s on this machine")
        found = rounds.find_rate(search, base, seed)
        probes, noise, branch = rounds.pilot(search, found, base, sizes, seed)
        rate = found.suggestion or rounds.UNKNOWN
        first = search.short_runs(rate, base, sizes, seed)
        second = rounds.longer(search, first, (low, high), seed)
        best = min(second, key=lambda t: t.loss)
        others = rounds.other_forms(search, best, seed)
        level, start = rounds.against_constant(search, seed)
        shape, warm, factor = rounds.form(best, others, start)
        chosen, quick = rounds.whole_runs(search, second, (shape, warm, factor), seed)
    told = reasons(search, chosen, best, others, found, noise, branch, level, metric is not None)
    return Recommendation(
        **vars(chosen), soonest=quick, reasons=told, trials=search.trials,
        cost=search.samples / (base * search.steps(base, 1.0)), took=time.perf_counter() - began, planned=planned,
        constant=level, found=found, noise=noise, probes=probes, branch=branch, model=search.model, optimizer=_name(optimizer),
        date=str(datetime.date.today()),
    )  # fmt: skip


def _name(optimizer: Any) -> str:
    made = getattr(optimizer, "func", optimizer)
    kept = getattr(optimizer, "keywords", {})
    return f"{getattr(made, '__name__', type(made).__name__)}({', '.join(f'{k}={v!r}' for k, v in kept.items())})"
