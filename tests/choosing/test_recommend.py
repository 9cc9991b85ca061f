"""`recommend` finds settings that hold up against a grid, pays what it says, and writes a page that needs nothing else."""

import html
import math
import re
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from gdlib import Trainer, data, models, recommend, schedules, sweep
from gdlib.choosing import _rounds as rounds
from gdlib.choosing._setting import Trial

split = data.diabetes()
linear = partial(models.linear, 10)
BUDGET = 3000


@pytest.fixture(scope="module")
def found():
    return recommend(linear, split.train, nn.functional.mse_loss, budget=BUDGET)


def test_the_losses_are_those_of_the_trainer(found):
    """A trial, repeated by hand on the same samples: fewer than 200 are held out, so each seed holds out others."""
    order = data.epoch_order(len(split.train), 0, 0)
    n, count = len(order), round(0.2 * len(order))
    assert {trial.seed for trial in found.trials} == {0, 1, 2}
    for trial in (found.trials[0], found.trials[-1]):
        begin, end = n - (trial.seed + 1) * count, n - trial.seed * count
        parts = (torch.cat([order[:begin], order[end:]]), order[begin:end])
        train, held_out = (data.Dataset(split.train.inputs[rows], split.train.targets[rows]) for rows in parts)
        torch.manual_seed(trial.seed)
        rate = schedules.polynomial(trial.lr, trial.steps)
        if trial.shape == "constant":
            rate = schedules.constant(trial.lr)
        if trial.warmup:
            rate = schedules.warmup(rate, trial.warmup, start=1 / (trial.warmup + 1))
        trainer = Trainer(
            linear(), train, nn.functional.mse_loss, lr=rate, batch_size=trial.batch_size, seed=trial.seed
        )
        trainer.fit(trial.steps)
        assert trainer.evaluate(held_out)["loss"] == pytest.approx(trial.loss, rel=1e-3)


def test_it_costs_about_what_it_says_it_will(found):
    shares = sum(trial.steps * trial.batch_size for trial in found.trials) / BUDGET
    assert (
        shares < found.cost < shares + 2.5
    )  # the range test, the pilot with its two estimates and the paces come on top
    runs, seconds = found.planned
    assert 0.5 * runs < found.cost < 2 * runs
    assert seconds > 0 and found.took > 0 and found.seconds > 0


def test_every_batch_size_is_judged_at_a_rate_with_worse_ones_on_both_sides(found):
    short = [t for t in found.trials if t.share == 0.1]
    for size in {t.batch_size for t in short}:
        mine = [t for t in short if t.batch_size == size]
        best = min(mine, key=lambda t: t.loss)
        assert min(t.lr for t in mine) < best.lr < max(t.lr for t in mine)


def test_it_is_as_good_as_a_grid(found):
    """A linear model has one minimum; by test loss the grid's best differs from it by noise alone."""
    steps = round(BUDGET / 16)
    grid = sweep(
        linear, split.train, nn.functional.mse_loss, np.geomspace(1e-3, 1, 7), [16], steps,
        schedule=lambda lr: schedules.polynomial(lr, steps),
    )  # fmt: skip
    torch.manual_seed(0)
    trainer = Trainer(linear(), split.train, nn.functional.mse_loss, lr=found.schedule, batch_size=found.batch_size)
    history = trainer.fit(found.steps)
    assert history.loss[-found.steps // 10 :].mean() < 1.1 * grid.final().min()


def test_what_is_chosen_follows_from_the_trials(found):
    whole = [trial for trial in found.trials if trial.share == 1.0]
    mine = [
        t
        for t in whole
        if (t.lr, t.batch_size, t.shape, t.warmup) == (found.lr, found.batch_size, found.shape, found.warmup)
    ]
    assert sorted(t.seed for t in mine) == [0, 1, 2]
    assert found.loss == pytest.approx(np.mean([t.loss for t in mine]))
    assert found.spread == (min(t.loss for t in mine), max(t.loss for t in mine))
    assert found.noise_scale == pytest.approx(
        sum(n.trace for n in found.noise) / sum(n.gradient_norm2 for n in found.noise)
    )
    assert found.schedule(0) <= found.lr == pytest.approx(max(found.schedule(k) for k in range(found.steps)))
    assert set(found.reasons) == {"lr", "batch_size", "warmup", "shape", "constant"}
    assert found.soonest.seconds <= found.seconds
    assert found.soonest.loss <= found.spread[1]


def test_it_can_be_repeated_and_leaves_the_generator_alone():
    before = torch.get_rng_state()
    made = [repr(recommend(linear, split.train, nn.functional.mse_loss, budget=400)) for _ in range(2)]
    assert made[0] == made[1]
    assert torch.equal(before, torch.get_rng_state())


def test_rates_at_which_everything_diverges_are_survived():
    """Inputs a hundred times too large: most rates explode, and the loss begins near a thousand."""
    steep = data.Dataset(split.train.inputs * 100, split.train.targets)
    found = recommend(linear, steep, nn.functional.mse_loss, budget=2000)
    assert found.loss < 5.0
    assert max(trial.loss for trial in found.trials) > 1e6
    assert found.lr < 1e-3


def test_validation_samples_may_be_the_callers(found):
    own = recommend(linear, split.train, nn.functional.mse_loss, budget=400, validation=split.test)
    assert math.isfinite(own.loss)
    assert own.loss != found.loss


def test_the_report_is_one_page_that_asks_nothing_of_other_hosts(found, tmp_path):
    found.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    loaded = re.findall(r'(?:src|href|action)\s*=\s*["\']([^"\']*)|url\(([^)]*)\)|@import', page)
    assert all((a or b).lstrip("\"'").startswith("#") for a, b in loaded)
    assert "<script" not in page
    assert page.count("<svg ") == 3
    assert page.count("<tr>") == 2 + 4 + len(found.trials)
    for name, reason in found.reasons.items():
        assert html.escape(reason if name != "constant" else reason.capitalize()) in page
    for said in (found.model, found.optimizer, found.date, f"{found.seconds:.3g} s each"):
        assert said in page


def test_what_the_report_says_to_paste_is_the_schedule(found, tmp_path):
    for shape, warmup in (("linear", 0), ("linear", 9), ("constant", 0)):
        one = replace(found, shape=shape, warmup=warmup)
        one.report(tmp_path / "report.html")
        line = re.search(r"<pre>lr = (.*)\n", (tmp_path / "report.html").read_text(encoding="utf-8")).group(1)
        rate = eval(line, {"schedules": schedules})
        for step in range(found.steps):
            assert rate(step) == pytest.approx(one.schedule(step), rel=0.01, abs=1e-9)


def test_no_empty_picture_for_an_infinite_noise_scale(found, tmp_path):
    endless = [replace(noise, simple=math.inf) for noise in found.noise]
    replace(found, noise=endless).report(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<svg ") == 2


def test_where_nothing_can_be_learnt_it_says_so():
    """Targets that the inputs know nothing of: the best that can be had is their mean."""
    torch.manual_seed(0)
    noise = data.Dataset(torch.randn(1000, 20), torch.randn(1000, 1))
    found = recommend(partial(models.mlp, 20, 64, 1), noise, nn.functional.mse_loss, budget=4000)
    held_out = data.epoch_order(1000, 0, 0)[-200:]
    rest = data.epoch_order(1000, 0, 0)[:-200]
    level = (noise.targets[held_out] - noise.targets[rest].mean()).square().mean().item()
    assert found.constant == pytest.approx(level, rel=1e-4)
    assert "beats it" in found.reasons["constant"] or "as good" in found.reasons["constant"]


def test_bounds_seconds_and_a_metric():
    train = data.digits().train

    def errors(outputs, targets):
        return (outputs.argmax(1) != targets).float().mean().item()

    found = recommend(
        partial(models.mlp, 64, 16, 10),
        train,
        nn.functional.cross_entropy,
        seconds=0.2,
        batch_size=(20, 90),
        metric=errors,
    )
    assert {t.batch_size for t in found.trials} <= {32, 64} and found.batch_size in (32, 64)
    assert 0 <= found.loss < 0.3
    assert found.seconds == pytest.approx(0.2, rel=0.2)
    by_size = {t.batch_size: t.steps * t.batch_size for t in found.trials if t.share == 0.3}
    assert len(by_size) < 2 or by_size[64] > by_size[32]  # a larger batch sees more samples in the same time


class Counted(nn.Module):
    """Samples that are one dict, a GRU that vmap does not know, and a loss of its own."""

    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.GRU(1, 8, batch_first=True), nn.Linear(8, 1)

    def forward(self, x, y):
        return {"loss": nn.functional.mse_loss(self.out(self.rnn(x)[0][:, -1]), y)}


class Items(torch.utils.data.Dataset):
    def __len__(self):
        return 300

    def __getitem__(self, k):
        x = torch.linspace(0, 1, 5).mul(k / 300)[:, None]
        return {"x": x, "y": x.sum(0)}


def test_what_trainer_takes_it_takes():
    with pytest.warns(UserWarning, match="one after another: its data are not two tensors"):
        found = recommend(Counted, Items(), None, torch.optim.Adam, budget=1200)
    assert found.loss < 0.5
    assert math.isnan(found.constant) and "not measured" in found.reasons["constant"]
    assert (found.model, found.optimizer) == ("Counted", "Adam()")

    def summed(outputs, targets):
        return nn.functional.mse_loss(outputs, targets, reduction="sum"), targets.numel()

    counted = recommend(linear, split.train, summed, budget=800)
    plain = recommend(linear, split.train, nn.functional.mse_loss, budget=800)
    assert counted.loss == pytest.approx(plain.loss, rel=0.05)
    assert counted.noise_scale == pytest.approx(plain.noise_scale, rel=1e-3)


def test_what_diverges_with_another_seed_is_not_recommended():
    """Trained one by one, only the best of one seed is tried with others: there, the next best or a lower rate takes its place."""
    asked = []

    def run(settings, share, shape, warm):
        """Rates from 0.2 on diverge, but for seed 0."""
        asked.extend(settings)
        return [
            Trial(lr, size, shape, 0, 10, share, seed, math.inf if seed and lr >= 0.2 else 1 / lr)
            for lr, size, seed in settings
        ]

    search = SimpleNamespace(run=run, why="torch.vmap does not know it")
    runs = rounds._over_seeds(search, [(0.3, 8), (0.1, 8)], 1, "linear", False, 0)
    assert [t.loss for t in runs[0.1, 8]] == [10.0] * 3 and len(asked) == 6
    runs = rounds._over_seeds(search, [(0.3, 8)], 1, "linear", False, 0)
    assert [t.loss for t in runs[0.3 / 3, 8]] == [30 / 3] * 3
    with pytest.raises(ValueError, match="every whole run diverged"):
        rounds._over_seeds(search, [(300.0, 8)], 1, "linear", False, 0)


def test_a_loss_with_parameters_and_a_model_that_returns_its_loss():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.zeros(()))

        def forward(self, outputs, targets):
            return nn.functional.mse_loss(outputs + self.a, targets)

    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = linear()

        def forward(self, x, y):
            return nn.functional.mse_loss(self.inner(x), y)

    loss = Shifted()
    for make_model, loss_fn, why in (
        (linear, loss, "parameters of its own"),
        (Inside, None, "the loss is its model's"),
    ):
        with pytest.warns(UserWarning, match=why):
            found = recommend(make_model, split.train, loss_fn, budget=800)
        assert found.loss < 0.8
    assert loss.a == 0  # the reader's own is left alone


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"budget": 10}, ValueError, "budget must be a whole number of at least 400; got 10"),
        ({"validation": 1.0}, ValueError, "validation must be a share of the samples"),
        ({"validation": "some"}, TypeError, "validation must be a gdlib.data.Dataset"),
        ({"optimizer": "sgd"}, TypeError, "optimizer must be a function from the parameters"),
        ({"batch_size": (8, 4)}, ValueError, "batch_size must be (the smallest, the largest) to consider; got (8, 4)"),
        ({"batch_size": 8}, TypeError, "batch_size must be (the smallest, the largest) to consider; got 8"),
        ({"metric": 3}, TypeError, "metric must be a function of (outputs, targets); got 3"),
        ({"make_model": linear()}, TypeError, "make_model must be a function that returns a fresh model; got Linear"),
        ({"loss_fn": lambda o, t: (o / 0).mean()}, ValueError, "loss_fn must be finite for a fresh model"),
        ({"seconds": 1.0}, ValueError, "one of budget and seconds must be given"),
        ({"seed": -1}, ValueError, "seed must be a whole number of at least 0"),
        ({"dataset": split}, TypeError, "pass its .train or .test"),
    ],
)
def test_bad_arguments(change, error, said):
    arguments = {"make_model": linear, "dataset": split.train, "loss_fn": nn.functional.mse_loss, "budget": 400}
    with pytest.raises(error, match=re.escape(said)):
        recommend(**(arguments | change))
