"""The range test leaves no trace on the trainer, and finds a rate that trains."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gdlib import Trainer, data, models, range_test, schedules

train = data.digits().train
cross_entropy = nn.functional.cross_entropy


def careless(seed=0):
    """A model of all that other range tests spoil: batch norm's buffers, dropout's random numbers, Adam's state."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10))
    rate = schedules.warmup(schedules.plateau(1e-3, patience=1), 5)
    return Trainer(model, train, cross_entropy, partial(torch.optim.AdamW, amsgrad=True), lr=rate, batch_size=48)


def everything(trainer):
    """All that a run consists of, as tensors by name."""
    state = {f"model {k}": v for k, v in trainer.model.state_dict().items()}
    state |= {f"grad {k}": p.grad for k, p in trainer.model.named_parameters() if p.grad is not None}
    for k, values in trainer.optimizer.state_dict()["state"].items():
        state |= {f"optimizer {k} {name}": torch.as_tensor(value) for name, value in values.items()}
    state |= {"rng": torch.get_rng_state(), "modes": torch.tensor([m.training for m in trainer.model.modules()])}
    state["rate"] = torch.tensor([g["lr"] for g in trainer.optimizer.param_groups] + [trainer.lr(100)])
    return copy.deepcopy(state | {"counts": torch.tensor([trainer.steps_done, trainer.samples_seen])})


@pytest.mark.parametrize("steps_before", [0, 7])
def test_the_trainer_is_bit_identical_and_goes_on_as_if_nothing_had_been(steps_before):
    untouched, tested = careless(), careless()
    for trainer in (untouched, tested):
        torch.manual_seed(1)
        trainer.fit(steps_before)
    rng, before = torch.get_rng_state(), everything(tested)
    range_test(tested, max_lr=100.0)
    after = everything(tested)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name]), name
    continued = tested.fit(20).loss
    torch.set_rng_state(rng)
    np.testing.assert_array_equal(continued, untouched.fit(20).loss)


def test_rates_rise_by_the_same_factor_and_the_test_stops_where_the_loss_runs_away():
    torch.manual_seed(0)
    trainer = Trainer(models.linear(10), data.diabetes().train, nn.functional.mse_loss)
    found = range_test(trainer, min_lr=1e-3, max_lr=1e3, steps=50)
    assert found.lrs[0] == 1e-3
    assert np.diff(np.log(found.lrs)) == pytest.approx(np.log(1e6) / 49)
    assert len(found.lrs) == len(found.losses) == len(found.smoothed) < 50
    assert found.losses[-5:].min() > found.losses[:-5].max()
    assert found.suggestion in found.lrs
    assert f"fell most steeply at {found.suggestion:.2g}; it was lowest at" in found.reason


def test_the_first_rate_is_a_plain_step():
    """With hardly any range the test is a run at that rate."""
    torch.manual_seed(0)
    model = models.mlp(64, 32, 10)
    found = range_test(Trainer(model, train, cross_entropy), min_lr=0.1, max_lr=0.1000001, steps=20)
    np.testing.assert_allclose(found.losses, Trainer(model, train, cross_entropy, lr=0.1).fit(20).loss, rtol=1e-5)
    assert "it was still falling at 0.1: raise max_lr" in found.reason


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_suggestion_trains(seed):
    torch.manual_seed(seed)
    trainer = Trainer(models.mlp(64, 32, 10), train, cross_entropy, seed=seed)
    trainer.lr = range_test(trainer).suggestion
    assert trainer.fit(150).loss[-20:].mean() < 0.5


def test_nothing_to_suggest_where_nothing_falls():
    torch.manual_seed(0)
    noise = data.Dataset(torch.randn(256, 4), torch.randint(0, 2, (256,)))
    model = models.linear(4, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    found = range_test(Trainer(model, noise, cross_entropy), min_lr=30.0, max_lr=1e4)
    assert found.suggestion is None
    assert "never fell between 30 and" in found.reason
    assert repr(found).endswith("suggestion none)")


@pytest.mark.parametrize("shift", [-1.0, -100.0, 1000.0])
def test_a_constant_in_the_loss_changes_nothing(shift):
    def made(shift):
        torch.manual_seed(0)
        model = models.mlp(64, 32, 10).double()
        return Trainer(model, train.to(dtype=torch.float64), lambda out, y: cross_entropy(out, y) + shift)

    plain, shifted = range_test(made(0.0)), range_test(made(shift))
    np.testing.assert_allclose(shifted.losses - shift, plain.losses, rtol=1e-6)
    np.testing.assert_allclose(shifted.smoothed - shift, plain.smoothed, rtol=1e-6)
    assert shifted.suggestion == plain.suggestion


def noisy(seed, tail=None):
    """A network on 20 inputs of which a fifth of the target's variance can be known (R² = 0.2), or with heavy tails."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2500, 20))
    noise = 2 * rng.normal(size=(2500, 1)) if tail is None else rng.standard_t(tail, size=(2500, 1))
    y = np.tanh(2 * x @ np.linspace(-1, 1, 20)[:, None] / 20**0.5) + noise
    torch.manual_seed(seed)
    return Trainer(models.mlp(20, 64, 64, 1), (x, y / 2), nn.functional.mse_loss, batch_size=32, seed=seed)


@pytest.mark.parametrize("tail", [None, 1.5])
def test_noise_is_not_taken_for_descent(tail):
    """Good peak rates of real runs here are 0.01 to 0.1: no suggestion is a hundred times off, and each says how sure it is."""
    for seed in range(5):
        found = range_test(noisy(seed, tail))
        assert 1e-3 < found.suggestion < 1.0
        assert len(found.lrs) > 60  # it ran until the loss ran away
        assert "±" in found.reason


def test_from_a_trained_model_it_runs_on_and_finds_a_rate_below_the_unstable_ones():
    for seed in range(4):
        torch.manual_seed(seed)
        trainer = Trainer(models.mlp(64, 32, 10), train, cross_entropy, lr=0.5, batch_size=32, seed=seed)
        assert trainer.fit(1500).loss[-100:].mean() < 0.02
        found = range_test(trainer)
        assert found.lrs[-1] > 1.0
        assert 1e-3 < found.suggestion < 1.0


def test_losses_that_are_noise_alone_do_not_stop_it():
    """A model that learns nothing, on losses with the heaviest of tails: 100 tests of 60 steps all reach the last rate."""
    torch.manual_seed(0)
    draws = torch.distributions.StudentT(1.0).sample((20_000, 1))
    for seed in range(100):
        trainer = Trainer(
            nn.Linear(1, 1), (torch.zeros(20_000, 1), draws), lambda out, y: y.mean() + 0 * out.sum(), seed=seed
        )
        found = range_test(trainer, steps=60)
        assert len(found.lrs) == 60
        assert found.suggestion is None
        assert "never fell" in found.reason


def test_a_loss_that_explodes_does_not_reach_back():
    """The same rates, with and without those at which the loss explodes to tens of thousands."""
    torch.manual_seed(0)
    model, growth = models.linear(10), 1e4 ** (1 / 99)
    calm, wild = (
        range_test(
            Trainer(model, data.diabetes().train, nn.functional.mse_loss), 1e-4, 1e-4 * growth ** (steps - 1), steps
        )
        for steps in (85, 100)
    )
    assert calm.losses.max() < 10 and wild.losses.max() > 1e4
    assert wild.suggestion == pytest.approx(calm.suggestion, rel=0.2)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"min_lr": 0}, ValueError, "min_lr must be a positive finite number; got 0"),
        ({"max_lr": 1e-6}, ValueError, "max_lr must be above min_lr = 1e-05; got 1e-06"),
        ({"steps": 5}, ValueError, "steps must be a whole number of at least 10; got 5"),
        ({"trainer": nn.Linear(1, 1)}, TypeError, "trainer must be a gdlib.Trainer; got Linear"),
    ],
)
def test_bad_arguments(change, error, said):
    torch.manual_seed(0)
    trainer = Trainer(models.mlp(64, 10), train, cross_entropy)
    with pytest.raises(error, match=said):
        range_test(**{"trainer": trainer} | change)
