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
    assert found.losses[-5:].mean() > 4 * found.losses.min()
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
