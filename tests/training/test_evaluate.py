"""Evaluation against plain torch over the whole data at once."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gdlib import Trainer, models

CPU = {"device": "cpu"}


def trainer_of(model, data, loss_fn=F.cross_entropy, **options):
    return Trainer(model, data, loss_fn, **CPU, **options)


@pytest.mark.parametrize("batch_size", [None, 1, 7, 1000])
def test_ignored_labels_are_ignored(batch_size):
    torch.manual_seed(0)
    x, y = torch.randn(300, 4), torch.randint(0, 3, (300,))
    y[100:280] = -100
    model = nn.Linear(4, 3)
    trainer = trainer_of(model, (x, y), lambda o, t: (F.cross_entropy(o, t, reduction="sum"), (t != -100).sum()))
    found = trainer.evaluate((x, y), batch_size=batch_size)
    outputs, kept = model(x), y != -100
    assert found["loss"] == pytest.approx(F.cross_entropy(outputs, y).item(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((outputs.argmax(1) == y)[kept].double().mean().item())


def test_the_accuracy_of_one_logit():
    torch.manual_seed(0)
    x, y = torch.randn(200, 4), torch.randint(0, 2, (200,))
    model = nn.Linear(4, 1)
    expected = ((model(x)[:, 0] > 0) == y.bool()).double().mean().item()
    for targets in (y, y[:, None]):
        trainer = trainer_of(
            model, (x, targets), lambda o, t: F.binary_cross_entropy_with_logits(o, t.view_as(o).float())
        )
        assert trainer.evaluate((x, targets))["accuracy"] == expected
    counts = torch.randint(0, 9, (200, 1))
    trainer = trainer_of(model, (x, counts), F.mse_loss)
    assert set(trainer.evaluate((x, counts))) == {"loss"}, "counts are no yes and no"


@pytest.mark.parametrize("shape", ["last", "second"])
def test_the_accuracy_over_places_wherever_the_classes_are(shape):
    torch.manual_seed(0)
    outputs, y = torch.randn(40, 6, 5), torch.randint(0, 5, (40, 6))
    y[:, 4:] = -100
    given = outputs if shape == "last" else outputs.transpose(1, 2)

    def loss_fn(o, t):
        return F.cross_entropy(o.transpose(1, 2) if shape == "last" else o, t)

    class Known(nn.Linear):
        def forward(self, x):
            return given[x[:, 0].long()] + 0 * self.weight.sum()

    trainer = trainer_of(Known(1, 1), (torch.arange(40.0)[:, None], y), loss_fn)
    kept = y != -100
    expected = (outputs.argmax(-1) == y)[kept].double().mean().item()
    assert trainer.evaluate((torch.arange(40.0)[:, None], y))["accuracy"] == pytest.approx(expected)


def test_metrics_are_of_all_outputs_and_all_targets():
    torch.manual_seed(0)
    x, y = torch.randn(500, 4), torch.randint(0, 2, (500,))
    model = nn.Linear(4, 2)

    def f1(outputs, targets):
        guess = outputs.argmax(1)
        hits = (guess * targets).sum().item()
        return 2 * hits / (guess.sum() + targets.sum()).item()

    found = trainer_of(model, (x, y)).evaluate((x, y), {"f1": f1, "n": lambda o, t: len(o)}, batch_size=33)
    assert found["f1"] == f1(model(x), y)
    assert found["n"] == 500
    with pytest.raises(TypeError, match="metrics must be a dict from names to functions"):
        trainer_of(model, (x, y)).evaluate((x, y), [f1])


def test_another_model_may_be_judged():
    torch.manual_seed(0)
    x, y = torch.randn(50, 4), torch.randint(0, 2, (50,))
    trainer = trainer_of(nn.Linear(4, 2), (x, y))
    average = torch.optim.swa_utils.AveragedModel(trainer.model)
    before = trainer.evaluate((x, y))
    trainer.fit(30)
    assert trainer.evaluate((x, y), model=average) == before != trainer.evaluate((x, y))
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module; got str"):
        trainer.evaluate((x, y), model="mine")


@pytest.mark.parametrize("outputs", ["tuple", "dict"])
def test_outputs_of_any_kind(outputs):
    x, y = torch.randn(50, 4), torch.randint(0, 2, (50,))

    class Model(nn.Linear):
        def forward(self, x):
            made = super().forward(x)
            return (made, x) if outputs == "tuple" else {"logits": made, "hidden": x}

    trainer = trainer_of(
        Model(4, 2), (x, y), lambda o, t: F.cross_entropy(o[0] if outputs == "tuple" else o["logits"], t)
    )
    trainer.fit(2)
    found = trainer.evaluate((x, y), {"rows": lambda o, t: len(o[1] if outputs == "tuple" else o["hidden"])})
    assert found["rows"] == 50
    assert ("accuracy" in found) == (outputs == "dict")


class Empty(torch.utils.data.Dataset):
    def __len__(self):
        return 0

    def __getitem__(self, i):
        raise IndexError


def test_nothing_to_be_evaluated_on_says_so():
    x, y = torch.randn(8, 4), torch.randint(0, 2, (8,))
    trainer = trainer_of(nn.Linear(4, 2), (x, y))
    with pytest.raises(ValueError, match="data must hold at least one sample; got an empty Empty"):
        trainer.evaluate(Empty())
    with pytest.raises(ValueError, match="data must hold at least one sample to be evaluated on; got none"):
        trainer.evaluate(sample for sample in ())
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1; got 0"):
        trainer.evaluate((x, y), batch_size=0)


def test_an_iterable_is_read_once():
    torch.manual_seed(0)
    x, y = torch.randn(50, 4), torch.randint(0, 2, (50,))
    trainer = trainer_of(nn.Linear(4, 2), (x, y))
    assert trainer.evaluate(iter(list(zip(x, y)))) == pytest.approx(trainer.evaluate((x, y)), rel=1e-6)


def test_pieces_are_no_larger_than_a_step_where_samples_are_large():
    """A language model's outputs are a hundred times its inputs; a small table goes through in a few pieces."""
    sizes = []
    tokens = torch.randint(0, 97, (60, 33))
    model = models.gpt(97, context=32, width=8, layers=1, heads=1)
    model.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    trainer = trainer_of(
        model, (tokens[:, :-1], tokens[:, 1:]), models.next_token_loss, batch_size=16, micro_batch_size=4
    )
    trainer.evaluate(trainer.data, batch_size=5)
    assert max(sizes) == 5
    sizes.clear()
    wide = torch.nn.Linear(32, 1_000_000)
    wide.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    x = torch.randn(9, 32)
    trainer = trainer_of(wide, (x, torch.zeros(9, dtype=torch.long)), batch_size=2)
    trainer.evaluate(trainer.data)
    assert max(sizes) == 2
    sizes.clear()
    thin = torch.nn.Linear(32, 1)
    thin.register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    x = torch.randn(50_000, 32)
    trainer_of(thin, (x, x[:, :1]), F.mse_loss).evaluate((x, x[:, :1]))
    assert len(sizes) < 10


def test_evaluating_draws_nothing_and_puts_every_mode_back():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    x, y = torch.randn(50, 4), torch.randint(0, 2, (50,))
    trainer = trainer_of(model, (x, y))
    trainer.fit(3)
    model[1].eval()
    modes, state, rng = [m.training for m in model.modules()], copy.deepcopy(model.state_dict()), torch.get_rng_state()
    assert trainer.evaluate((x, y)) == trainer.evaluate((x, y))
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(rng, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values()))


def test_no_data_and_a_metric_with_the_losss_name_are_refused():
    data = (torch.randn(20, 4), torch.randint(0, 3, (20,)))
    trainer = trainer_of(nn.Linear(4, 3), data)
    with pytest.raises(TypeError, match="data must"):
        trainer.evaluate(None)
    with pytest.raises(ValueError, match="metrics must leave the name 'loss'"):
        trainer.evaluate(data, {"loss": lambda o, t: 7.0})
    assert trainer.evaluate(data, {"accuracy": lambda o, t: 7.0})["accuracy"] == 7.0
