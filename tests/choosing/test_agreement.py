"""A run of `sweep` with seed s is the run of ``Trainer(..., seed=s)``, whatever is brought, and ends at the very step where that one does."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gdlib import Divergence, Trainer, data, models, optim, sweep

generator = torch.Generator().manual_seed(0)
x = torch.randn(120, 6, generator=generator)
y = x @ torch.randn(6, 1, generator=generator)
classes = (y[:, 0] > 0).long()
mlp = partial(models.mlp, 6, 8, 1)
pytestmark = pytest.mark.filterwarnings("ignore:the runs of this sweep", "ignore:the loss of this batch")


def by_trainer(make_model, samples, loss_fn, optimizer, lr, size, steps, seed):
    """Losses up to where the run ends."""
    torch.manual_seed(seed)
    trainer = Trainer(make_model(), samples, loss_fn(), optimizer, lr=lr, batch_size=size, seed=seed)
    losses = np.full(steps, np.inf)
    try:
        for step in trainer.run(steps):
            losses[step.index] = step.loss
    except Divergence:
        pass
    return losses


def check(make_model, samples, loss_fn, optimizer, lrs, size=8, steps=50):
    """``loss_fn`` makes the loss, so that each of the runs by hand has one of its own."""
    runs = sweep(make_model, samples, loss_fn(), lrs, [size], steps, seeds=[0, 3], optimizer=optimizer)
    for (i, s), losses in ((place, runs.losses[place[0], 0, place[1]]) for place in np.ndindex(len(lrs), 2)):
        alone = by_trainer(make_model, samples, loss_fn, optimizer, lrs[i], size, steps, int(runs.seeds[s]))
        np.testing.assert_array_equal(np.isfinite(losses), np.isfinite(alone))
        np.testing.assert_allclose(losses[np.isfinite(losses)], alone[np.isfinite(alone)], rtol=1e-3)
    return runs


class Foreign(torch.optim.Optimizer):
    """A rule of the reader's own: parameters move by the cube of the gradient, and are pushed over the edge at the tenth step."""

    def __init__(self, parameters, lr=0.1):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.state[p]["steps"] = self.state[p].get("steps", 0) + 1
                    p.sub_(p.grad**3, alpha=group["lr"] * (1e38 if self.state[p]["steps"] == 10 else 1e-3))


def root_at_zero(outputs, targets):
    """A finite loss whose gradient is not: that of the root at 0, times 0."""
    return F.mse_loss(outputs, targets) + (outputs * 0).abs().sqrt().mean()


@pytest.mark.parametrize(
    ("loss", "optimizer", "lrs"),
    [
        (F.mse_loss, torch.optim.SGD, [0.1, 3.0, 1e4, 1e20]),
        (F.mse_loss, partial(torch.optim.SGD, momentum=0.9), [0.05, 10.0, 1e20]),
        (F.mse_loss, torch.optim.Adam, [0.1, 1e4, 1e20, 1e30]),
        (F.mse_loss, optim.AdamW, [0.1, 1e20]),
        (root_at_zero, torch.optim.SGD, [0.1]),
        (lambda o, t: F.mse_loss(o, t) * 1e19, torch.optim.Adam, [0.1]),  # whose squares would overflow
        (lambda o, t: F.mse_loss(o, t) * 1e19, torch.optim.SGD, [1e-25, 1e-19, 1.0]),
        (F.mse_loss, Foreign, [0.1]),
    ],
    ids=["sgd", "momentum", "adam", "adamw", "gradient", "squares", "large", "update"],
)
def test_a_run_ends_where_the_trainers_does(loss, optimizer, lrs):
    runs = check(mlp, (x, y), lambda: loss, optimizer, lrs)
    assert not np.isfinite(runs.losses).all()


class Weighed(nn.Module):
    """A loss with a parameter, or with a buffer that it changes."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        if kind == "parameter":
            self.a = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("a", torch.zeros(()))

    def forward(self, outputs, targets):
        if self.kind == "buffer":
            self.a += 1
            return F.mse_loss(outputs, targets) / (1 + 0.1 * self.a)
        return F.mse_loss(outputs + self.a, targets)


@pytest.mark.parametrize("kind", ["parameter", "buffer"])
def test_each_run_has_a_loss_of_its_own(kind):
    check(mlp, (x, y), partial(Weighed, kind), torch.optim.SGD, [0.01, 0.1])
    loss = Weighed(kind)
    sweep(mlp, (x, y), loss, [0.1], [8], 10)
    assert loss.a == 0  # the reader's own is left alone


def test_weights_of_a_loss_do_not_keep_runs_from_being_stacked(recwarn):
    weighed = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))
    check(partial(models.mlp, 6, 8, 2), (x, classes), lambda: weighed, torch.optim.SGD, [0.1])
    assert not [w for w in recwarn if "one after another" in str(w.message)]


def half_labelled(outputs, targets):
    return F.cross_entropy(outputs, targets, reduction="sum", ignore_index=-100), (targets != -100).sum()


def test_batches_without_a_label_and_the_mean_over_labels():
    labels = torch.where(torch.rand(120, generator=generator) < 0.2, classes, -100)
    make_model = partial(models.mlp, 6, 8, 2)
    check(make_model, (x, labels), lambda: half_labelled, torch.optim.SGD, [0.1], size=4)
    runs = sweep(make_model, (x, labels), half_labelled, [0.1], [4], 20, evaluation=(x, labels))
    torch.manual_seed(0)
    trainer = Trainer(make_model(), (x, labels), half_labelled, lr=0.1, batch_size=4)
    trainer.fit(20)
    assert runs.evaluations[0, 0, 0, 0] == pytest.approx(trainer.evaluate((x, labels))["loss"], rel=1e-5)


def with_frozen_norm():
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))
    model[1].eval()
    return model


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(6, 1, dtype=torch.complex64))

    def forward(self, inputs):
        return (inputs.to(torch.complex64) @ self.w).abs()


@pytest.mark.parametrize(
    ("make_model", "optimizer"),
    [(with_frozen_norm, torch.optim.SGD), (Complex, torch.optim.Adam), (Complex, torch.optim.SGD)],
    ids=["frozen norm", "complex adam", "complex sgd"],
)
def test_parts_in_evaluation_mode_and_complex_parameters(make_model, optimizer):
    check(make_model, (x, y), lambda: F.mse_loss, optimizer, [0.01, 0.1])


class LossInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = mlp()

    def forward(self, inputs, targets):
        return F.mse_loss(self.inner(inputs), targets)


def test_a_model_that_returns_its_loss():
    with pytest.warns(UserWarning, match="one after another: the loss is its model's own"):
        runs = sweep(LossInside, (x, y), None, [0.1], [8], 20)
    np.testing.assert_allclose(runs.losses, sweep(mlp, (x, y), F.mse_loss, [0.1], [8], 20).losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"make_model": mlp()}, TypeError, "make_model must be a function that returns a fresh model; got Sequential"),
        ({"make_model": lambda: 3}, TypeError, "make_model must return a torch.nn.Module; got int"),
        ({"lr": 0.1}, TypeError, "lr must be a list of values to try; got 0.1"),
        ({"batch_size": 8}, TypeError, "batch_size must be a list of values to try; got 8"),
        ({"seeds": 3}, TypeError, "seeds must be a list of values to try; got 3"),
    ],
)
def test_what_is_no_list_and_what_is_no_model(change, error, said):
    with pytest.raises(error, match=said):
        sweep(**{"make_model": mlp, "data": data.diabetes().train, "loss_fn": F.mse_loss, "lr": [0.1], "batch_size": [8]} | change)  # fmt: skip
