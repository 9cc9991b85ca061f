"""A mean is a sum and a count: however a batch is cut, its gradient is that of the whole, against plain torch in float64."""

import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from gdlib import Trainer, sweep

CPU = {"device": "cpu"}


def labels(n, width, classes, share, seed):
    """Class numbers of which about ``share`` are -100, whole rows of them among the first."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n, width), generator=generator)
    y[torch.rand(n, width, generator=generator) < share] = -100
    y[: n // 3] = -100
    y[-1, 0] = 1  # one label at least
    return y


def token_sum(outputs, targets):
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="sum"), (targets != -100).sum()


def weighted_sum(weight, outputs, targets):
    kept = targets != -100
    loss = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), weight=weight, reduction="sum")
    return loss, weight[targets[kept]].sum()


def count_as_number(outputs, targets):
    total, count = token_sum(outputs, targets)
    return total, count.item()


def whole_gradient(model, x, y, mean):
    """Of a mean that plain torch takes over the whole batch."""
    model.zero_grad()
    loss = mean(model(x), y)
    loss.backward()
    return loss.item(), [p.grad.clone() for p in model.parameters()]


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(2, 17), width=st.integers(1, 4), micro=st.integers(1, 18), share=st.floats(0.0, 0.9),
    seed=st.integers(0, 10**6), kind=st.sampled_from(["tokens", "weights", "number"]),
)  # fmt: skip
def test_sums_and_counts_add_up_however_a_batch_is_cut(n, width, micro, share, seed, kind):
    torch.manual_seed(seed)
    x, y = torch.randn(n, width, 3, dtype=torch.float64), labels(n, width, 5, share, seed)
    weight = torch.rand(5, dtype=torch.float64) + 0.1
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5)).double()
    loss_fn = {"tokens": token_sum, "weights": partial(weighted_sum, weight), "number": count_as_number}[kind]

    def mean(outputs, targets):
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), weight=weight if kind == "weights" else None)

    loss, gradients = whole_gradient(model, x, y, mean)
    trainer = Trainer(model, (x, y), loss_fn, lr=1e-30, batch_size=n, micro_batch_size=micro, **CPU)
    (step,) = trainer.run(1)
    assert step.loss == pytest.approx(loss, rel=1e-10)
    for p, expected in zip(model.parameters(), gradients):
        assert torch.allclose(p.grad, expected, rtol=1e-10, atol=1e-12)
    assert trainer.evaluate((x, y), batch_size=micro)["loss"] == pytest.approx(loss, rel=1e-10)


def test_a_batch_without_any_label_changes_nothing():
    x, y = torch.randn(12, 2, 3), torch.full((12, 2), -100)
    model = nn.Linear(3, 5)
    before = model.weight.clone()
    for micro in (None, 5):
        (step,) = Trainer(model, (x, y), token_sum, lr=1.0, batch_size=12, micro_batch_size=micro, **CPU).run(1)
        assert step.loss == 0.0
    assert torch.equal(model.weight, before)


def in_batch_contrast(outputs, targets):
    return F.cross_entropy(outputs @ outputs.T, torch.arange(len(outputs)))


INEXACT = {
    "ignored labels": F.cross_entropy,
    "class weights": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2])),
    "a sum": nn.CrossEntropyLoss(reduction="sum"),
    "pairs within the batch": in_batch_contrast,
    "a weighted mean": lambda o, y: (
        (F.cross_entropy(o, y.clamp(min=0), reduction="none") * (y + 1)).sum() / (y + 1).sum()
    ),
}


@pytest.mark.parametrize("name", INEXACT)
def test_a_mean_that_parts_make_inexact_is_told_once(name):
    torch.manual_seed(0)
    x, y = torch.randn(64, 4), torch.randint(0, 3, (64,))
    if name == "ignored labels":
        y[:40] = -100
    trainer = Trainer(nn.Linear(4, 3), (x, y), INEXACT[name], lr=1e-3, batch_size=32, micro_batch_size=4, **CPU)
    with pytest.warns(UserWarning, match=r"let loss_fn return \(sum, count\)") as told:
        trainer.fit(9)
    assert len(told) == 1
    whole = Trainer(nn.Linear(4, 3), (x, y), INEXACT[name], lr=1e-3, batch_size=32, **CPU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole.fit(9)  # in one piece every mean is right


@pytest.mark.parametrize("loss_fn", [F.cross_entropy, nn.CrossEntropyLoss(label_smoothing=0.1), token_sum])
def test_a_mean_that_parts_leave_exact_is_not_warned_of(loss_fn):
    x = torch.randn(64, 2, 4) if loss_fn is token_sum else torch.randn(64, 4)
    y = torch.randint(0, 3, (64, 2)) if loss_fn is token_sum else torch.randint(0, 3, (64,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer = Trainer(nn.Linear(4, 3), (x, y), loss_fn, batch_size=30, micro_batch_size=7, **CPU)
        trainer.fit(5)
        trainer.evaluate((x, y), batch_size=9)


@pytest.mark.parametrize("targets", [torch.randn(40), torch.randint(0, 2, (40,))], ids=["numbers", "classes"])
@pytest.mark.parametrize("loss_fn", [F.mse_loss, F.l1_loss, lambda o, y: ((o - y) ** 2).mean()])
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_targets_that_would_meet_every_output_are_refused_in_training_and_in_evaluation(targets, loss_fn):
    x = torch.randn(40, 3)
    with pytest.raises(ValueError, match=r"shape of the model's outputs, \(20, 1\); got \(20,\)"):
        Trainer(nn.Linear(3, 1), (x, targets), loss_fn, batch_size=20, **CPU).fit(1)
    trainer = Trainer(nn.Linear(3, 1), (x, targets[:, None].float()), loss_fn, batch_size=20, **CPU)
    trainer.fit(3)
    with pytest.raises(ValueError, match="targets must have the shape of the model's outputs"):
        trainer.evaluate((x, targets))


def test_a_loss_that_squeezes_by_itself_is_taken():
    x, y = torch.randn(40, 3), torch.randint(0, 2, (40,)).float()
    trainer = Trainer(nn.Linear(3, 1), (x, y), lambda o, t: F.binary_cross_entropy_with_logits(o.squeeze(-1), t), **CPU)
    trainer.fit(3)
    assert set(trainer.evaluate((x, y))) == {"loss"}


class Two(nn.Module):
    """Inputs that are several, by name or by place, or as one argument."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(3, 2), nn.Linear(4, 2)


class ByName(Two):
    def forward(self, left, right):
        return self.a(left) + self.b(right)


class AsOne(Two):
    def forward(self, both):
        left, right = both.values() if isinstance(both, dict) else both
        return self.a(left) + self.b(right)


class Sum(torch.utils.data.Dataset):
    """Samples one by one, from whatever the whole data are."""

    def __init__(self, inputs, targets, kind):
        self.inputs, self.targets, self.kind = inputs, targets, kind

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        left, right = (side[i] for side in self.inputs)
        return ({"left": left, "right": right} if self.kind == "dict" else (left, right)), self.targets[i]


@pytest.mark.parametrize("kind", ["dict", "tuple"])
@pytest.mark.parametrize("model", [ByName, AsOne])
@pytest.mark.parametrize("held", ["tensors", "items", "stream"])
def test_nested_inputs_go_into_the_model_as_its_signature_has_it(kind, model, held):
    torch.manual_seed(1)
    left, right, y = torch.randn(48, 3), torch.randn(48, 4), torch.randint(0, 2, (48,))
    inputs = {"left": left, "right": right} if kind == "dict" else (left, right)
    items = Sum((left, right), y, kind)
    data = {"tensors": (inputs, y), "items": items, "stream": (items[i] for i in range(0))}[held]
    data = [items[i] for i in range(48)] if held == "stream" else data
    trainer = Trainer(model(), data, F.cross_entropy, lr=0.5, batch_size=48, **CPU)
    (step,) = trainer.run(1)
    plain = ByName()
    assert step.loss == pytest.approx(F.cross_entropy(plain(left, right), y).item(), rel=1e-6)
    found = trainer.evaluate(data)
    assert found["accuracy"] == (trainer.model.eval() and plain_accuracy(trainer.model, inputs, y))


def plain_accuracy(model, inputs, y):
    with torch.no_grad():
        outputs = (
            model(inputs)
            if isinstance(model, AsOne)
            else model(*(inputs.values() if isinstance(inputs, dict) else inputs))
        )
    return (outputs.argmax(1) == y).double().mean().item()


class OwnLoss(nn.Module):
    """A model that returns its loss, in one of the ways in which models do."""

    def __init__(self, how):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.how = nn.Linear(3, 2), how

    def forward(self, x, labels):
        logits = self.layer(x)
        loss = F.cross_entropy(logits, labels)
        return {
            "attribute": SimpleNamespace(loss=loss, logits=logits),
            "key": {"loss": loss, "logits": logits},
            "first": (loss, logits),
            "last": (logits, loss),
            "alone": loss,
        }[self.how]


@pytest.mark.parametrize("how", ["attribute", "key", "first", "last", "alone"])
@pytest.mark.parametrize("sample", ["dict", "arrays", "pair"])
def test_a_model_that_returns_its_loss(how, sample):
    torch.manual_seed(2)
    x = torch.randn(30, 3)
    y = (x[:, 0] > 0).long()
    data = {
        "dict": {"x": x, "labels": y},
        "arrays": {"x": x.numpy().astype(np.float64), "labels": y.numpy()},
        "pair": (x, y),
    }[sample]
    trainer = Trainer(OwnLoss(how), data, None, lr=1.0, batch_size=10, micro_batch_size=5, **CPU)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = trainer.fit(20)
    assert history.loss[-5:].mean() < history.loss[:5].mean()
    found = trainer.evaluate(data)
    with torch.no_grad():
        logits = trainer.model.layer(x)
    assert found["loss"] == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-5)
    if how in ("attribute", "key"):
        assert found["accuracy"] == (logits.argmax(1) == y).double().mean().item()


def test_a_model_that_returns_no_loss_says_so():
    with pytest.raises(ValueError, match="loss_fn must be given where the model does not return its loss"):
        Trainer(nn.Linear(3, 2), {"input": torch.randn(8, 3)}, None, **CPU).fit(1)


def test_a_model_that_returns_a_mean_over_labels_is_told_of_in_parts():
    x, y = torch.randn(32, 3), torch.randint(0, 2, (32,))
    y[:20] = -100
    trainer = Trainer(OwnLoss("key"), {"x": x, "labels": y}, None, lr=1e-3, batch_size=32, micro_batch_size=8, **CPU)
    with pytest.warns(UserWarning, match=r"let loss_fn return \(sum, count\)"):
        trainer.fit(1)


def test_a_loss_of_samples_that_are_one_dict_gets_the_dict():
    x, y = torch.randn(30, 3), torch.randint(0, 2, (30,))

    def loss_fn(outputs, sample):
        return F.cross_entropy(outputs["logits"], sample["labels"])

    class Model(nn.Linear):
        def forward(self, x, labels=None):
            return {"logits": super().forward(x)}

    trainer = Trainer(Model(3, 2), {"x": x, "labels": y}, loss_fn, lr=0.1, batch_size=10, **CPU)
    trainer.fit(3)
    assert {"loss", "accuracy"} == set(trainer.evaluate({"x": x, "labels": y}))


def test_errors_from_deep_inside_come_in_the_callers_terms():
    x, y = torch.randn(8, 3), torch.randint(0, 2, (8,))
    for inputs in ({"a": x, "b": x}, (x, x)):
        with pytest.raises(ValueError, match=r"model, data and loss_fn do not fit together: inputs [{(]"):
            Trainer(nn.Linear(3, 2), (inputs, y), F.cross_entropy, **CPU).fit(1)


@pytest.mark.parametrize(
    ("loss_fn", "match"),
    [
        (lambda o, t: F.mse_loss(o.detach(), t), "depends on a parameter that is trained"),
        (lambda o, t: (o > t).sum(), "floating point.*int64"),
        (lambda o, t: F.mse_loss(o, t) * 1j, "floating point.*complex64"),
        (lambda o, t: F.mse_loss(o, t).item(), "floating point.*float"),
        (lambda o, t: (F.mse_loss(o, t, reduction="sum"), "many"), "a number as the count.*str"),
        (
            lambda o, t: (F.mse_loss(o, t, reduction="sum"), torch.ones(len(t))),
            r"a number as the count.*\(.*\) float32",
        ),
    ],
)
def test_a_loss_that_cannot_be_trained_is_refused_in_words(loss_fn, match):
    trainer = Trainer(nn.Linear(4, 1), (torch.randn(20, 4), torch.randn(20, 1)), loss_fn, **CPU)
    before = trainer.state_dict()
    with pytest.raises(ValueError, match=match):
        trainer.fit(1)
    assert all(torch.equal(value, before["model"][name]) for name, value in trainer.model.state_dict().items())


@pytest.mark.parametrize("loss_fn", [nn.MSELoss, partial(nn.MSELoss, reduction="sum")])
def test_the_class_of_a_loss_is_not_taken_for_a_loss(loss_fn):
    data = (torch.randn(20, 4), torch.randn(20, 1))
    for start in (
        lambda: Trainer(nn.Linear(4, 1), data, loss_fn, **CPU),
        lambda: sweep(lambda: nn.Linear(4, 1), data, loss_fn, [0.1], [10], device="cpu"),
    ):
        with pytest.raises(TypeError, match=r"loss_fn must be a function.*class MSELoss, not MSELoss\(\)"):
            start()


def test_a_loss_without_a_gradient_is_noticed_after_an_evaluation_too():
    data = (torch.randn(20, 4), torch.randn(20, 1))
    trainer = Trainer(nn.Linear(4, 1), data, lambda o, t: F.mse_loss(o.detach(), t), **CPU)
    trainer.evaluate(data)
    with pytest.raises(ValueError, match="depends on a parameter"):
        trainer.fit(1)


def test_rounding_of_bf16_is_not_taken_for_a_loss_that_does_not_add_up(recwarn):
    torch.manual_seed(0)
    data = (torch.randn(500, 8, dtype=torch.bfloat16), torch.randn(500, 1, dtype=torch.bfloat16))
    for seed in range(5):
        torch.manual_seed(seed)
        trainer = Trainer(
            nn.Linear(8, 1).bfloat16(), data, F.mse_loss, lr=0.01, batch_size=64, micro_batch_size=13, **CPU
        )
        trainer.fit(3)
        trainer.evaluate(data, batch_size=37)
    assert not [w for w in recwarn.list if "mean of its parts" in str(w.message)]
