"""`recommend` finds settings that hold up against a grid, pays what it says, and writes a page that needs nothing else."""

import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gdlib import Trainer, data, models, recommend, schedules, sweep

split = data.diabetes()
linear = partial(models.linear, 10)
BUDGET = 3000


@pytest.fixture(scope="module")
def found():
    return recommend(linear, split.train, nn.functional.mse_loss, budget=BUDGET)


def test_the_losses_are_those_of_the_trainer(found):
    """A trial, repeated by hand on the same samples."""
    order = data.epoch_order(len(split.train), 0, 0)
    cut = len(order) - round(0.2 * len(order))
    train, held_out = (
        data.Dataset(split.train.inputs[rows], split.train.targets[rows]) for rows in (order[:cut], order[cut:])
    )
    for trial in (found.trials[0], found.trials[-1]):
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
        assert trainer.evaluate(held_out)["loss"] == trial.loss


def test_it_costs_what_it_says_and_less_than_a_fifth_of_a_grid(found):
    shares = sum(trial.steps * trial.batch_size for trial in found.trials) / BUDGET
    assert shares < found.cost < shares + 1.5  # the range test, the pilot and the noise scale come on top
    assert found.cost < 12  # of a grid of 60


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
    assert set(found.reasons) == {"lr", "batch_size", "warmup", "shape"}


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
    for reason in found.reasons.values():
        assert reason in page


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"budget": 10}, ValueError, "budget must be a whole number of at least 400; got 10"),
        ({"validation": 1.0}, ValueError, "validation must be a share of the samples"),
        ({"validation": "some"}, TypeError, "validation must be a gdlib.data.Dataset"),
        ({"optimizer": "sgd"}, TypeError, "optimizer must be a function from the parameters"),
        ({"seed": -1}, ValueError, "seed must be a whole number of at least 0"),
        ({"dataset": split}, TypeError, "pass its .train or .test"),
    ],
)
def test_bad_arguments(change, error, said):
    arguments = {"make_model": linear, "dataset": split.train, "loss_fn": nn.functional.mse_loss, "budget": 400}
    with pytest.raises(error, match=re.escape(said)):
        recommend(**(arguments | change))
