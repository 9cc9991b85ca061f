"""The optimisers against torch's, bit for bit, and schedule-free against its definition."""

import warnings
from functools import partial

import pytest
import torch
from torch import nn

from gdlib import Trainer, data, models, optim, schedules, sweep

train = data.digits().train


def run(optimizer, dtype=torch.float32, steps=40):
    """The parameters after some steps."""
    torch.manual_seed(0)
    model = models.mlp(64, 32, 10).to(dtype)
    Trainer(
        model, train.to(dtype=dtype), nn.functional.cross_entropy, optimizer, lr=0.01, batch_size=32, device="cpu"
    ).fit(steps)
    return list(model.parameters())


PAIRS = {
    "sgd": (optim.SGD, torch.optim.SGD),
    "momentum": (partial(optim.SGD, momentum=0.9), partial(torch.optim.SGD, momentum=0.9)),
    "nesterov": (
        partial(optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.1),
        partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    "adam": (partial(optim.AdamW, weight_decay=0.0), torch.optim.Adam),
    "adamw": (
        partial(optim.AdamW, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.3),
        partial(torch.optim.AdamW, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.3),
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", PAIRS)
def test_each_is_torchs_own_bit_for_bit(name, dtype):
    ours, theirs = PAIRS[name]
    for mine, his in zip(run(ours, dtype), run(partial(theirs, foreach=False), dtype)):
        assert torch.equal(mine, his)


@pytest.mark.parametrize("shape", [(32, 64), (64, 32), (10, 10)])
def test_muon_on_matrices_is_torchs_own_bit_for_bit(shape):
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(20, *shape)
    mine, his = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    ours, theirs = optim.Muon([mine], lr=0.02), torch.optim.Muon([his], lr=0.02)
    for gradient in gradients:
        mine.grad, his.grad = gradient.clone(), gradient.clone()
        ours.step()
        theirs.step()
    assert torch.equal(mine, his)


def test_muon_leaves_to_adamw_what_is_no_matrix_or_is_said_to_be_none():
    torch.manual_seed(0)
    start = [torch.randn(8), torch.randn(8, 4)]
    gradients = torch.randn(10, 8), torch.randn(10, 8, 4)
    made = []
    for make in (
        lambda p: optim.Muon(
            [{"params": p[:1]}, {"params": p[1:], "adamw": True}], lr=0.02, adamw_lr=0.5, weight_decay=0.1
        ),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, foreach=False),
    ):
        parameters = [nn.Parameter(t.clone()) for t in start]
        optimizer = make(parameters)
        for step in range(10):
            for p, g in zip(parameters, gradients):
                p.grad = g[step].clone()
            optimizer.step()
        made.append(parameters)
    for mine, his in zip(*made):
        assert torch.equal(mine, his)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_orthogonal_keeps_directions_and_levels_lengths(shape):
    torch.manual_seed(0)
    u, _, vt = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    made = optim.orthogonal((u * torch.linspace(1, 3, 16)) @ vt).float()
    lengths = (u.T @ made @ vt.T).diagonal()
    assert ((lengths > 0.6) & (lengths < 1.3)).all()
    torch.testing.assert_close(made, (u * lengths) @ vt, atol=0.02, rtol=0)


def test_schedule_free_is_its_three_sequences():
    torch.manual_seed(0)
    curvatures = torch.tensor([1.0, 10.0], dtype=torch.float64)
    w = nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = optim.ScheduleFree([w], lr=0.15, beta=0.8)
    x = z = torch.ones(2, dtype=torch.float64)
    for t in range(1, 60):
        y = 0.2 * z + 0.8 * x
        torch.testing.assert_close(w.detach(), y)
        z = z - 0.15 * curvatures * y
        x = (1 - 1 / t) * x + z / t
        optimizer.zero_grad()
        (0.5 * curvatures * w**2).sum().backward()
        optimizer.step()
    before = w.detach().clone()
    with optimizer.averaged():
        torch.testing.assert_close(w.detach(), x)
    assert torch.equal(w, before)


@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW, optim.Muon, optim.ScheduleFree])
def test_state_travels_through_a_checkpoint(kind, tmp_path):
    def trainer():
        torch.manual_seed(0)
        optimizer = partial(kind, momentum=0.9) if kind is optim.SGD else kind
        return Trainer(models.mlp(64, 16, 10), train, nn.functional.cross_entropy, optimizer, lr=0.02, batch_size=32)

    whole, first, second = trainer(), trainer(), trainer()
    whole.fit(20)
    first.fit(8)
    first.save(tmp_path / "run.pt")
    second.load(tmp_path / "run.pt")
    second.fit(12)
    for a, b in zip(whole.model.parameters(), second.model.parameters()):
        assert torch.equal(a, b)


def test_a_closure_is_called_with_gradients_on():
    w = nn.Parameter(torch.tensor([1.0]))
    optimizer = optim.SGD([w], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert w.item() == 0.0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: optim.SGD(p, lr=-1.0), "lr must be a finite number of at least 0"),
        (lambda p: optim.SGD(p, momentum=1.0), "momentum must be at least 0 and below 1; got 1.0"),
        (lambda p: optim.AdamW(p, beta2=1.5), "beta2 must be at least 0 and below 1; got 1.5"),
        (lambda p: optim.AdamW(p, eps=0.0), "eps must be a positive finite number"),
        (lambda p: optim.AdamW(p, weight_decay=float("nan")), "weight_decay must be a finite number"),
        (lambda p: optim.Muon(p, adamw_lr=0.0), "adamw_lr must be a positive"),
        (lambda p: optim.ScheduleFree(p, beta=1.0), "beta must be at least 0 and below 1"),
    ],
)
def test_bad_numbers(make, said):
    with pytest.raises(ValueError, match=said):
        make([nn.Parameter(torch.zeros(2))])


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_complex_parameter_is_two_real_ones(name):
    made = []
    for kind in (getattr(optim, name), getattr(torch.optim, name)):
        w = torch.nn.Parameter(torch.tensor([1 + 2j, -3 + 0.1j]))
        optimizer = kind([w], lr=0.1)
        for k in range(3):
            optimizer.zero_grad()
            ((w.real * (k + 1)).square() + w.imag.abs()).sum().backward()
            optimizer.step()
        made.append(w.detach())
    torch.testing.assert_close(*made, rtol=1e-6, atol=1e-7)


def test_sparse_gradients_are_for_sgd():
    table = torch.nn.Embedding(4, 2, sparse=True)
    table(torch.tensor([1, 1])).sum().backward()
    before = table.weight.detach().clone()
    optim.SGD(table.parameters(), lr=0.1).step()
    assert (before - table.weight).detach().sum().item() == pytest.approx(0.4)
    with pytest.raises(TypeError, match="AdamW takes no sparse gradients; take torch.optim.SparseAdam"):
        optim.AdamW(table.parameters()).step()


def test_groups_that_lose_rates_of_their_own_are_told_of():
    def made():
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 1))
        return model, torch.optim.AdamW(
            [{"params": model[0].parameters(), "lr": 1e-4}, {"params": model[1].parameters()}], lr=1e-3
        )

    dataset, loss_fn = (torch.randn(20, 4), torch.randn(20, 1)), torch.nn.functional.mse_loss
    says = r"the groups' own, 0\.0001, 0\.001: .*lr_scale"
    model, optimizer = made()
    with pytest.warns(UserWarning, match=says):
        Trainer(model, dataset, loss_fn, optimizer, lr=0.01, device="cpu")
    model, optimizer = made()
    trainer = Trainer(model, dataset, loss_fn, optimizer, device="cpu")
    trainer.fit(2)
    with pytest.warns(UserWarning, match=says):
        trainer.lr = 0.01
    with pytest.warns(UserWarning, match=says):
        schedules.as_torch(0.01, made()[1])
    with pytest.warns(UserWarning, match=says):
        sweep(
            lambda: made()[0],
            dataset,
            loss_fn,
            [0.01],
            [10],
            2,
            optimizer=lambda p: torch.optim.SGD([{"params": q, "lr": r} for q, r in zip(p, (1e-4, 1e-3, 1e-4, 1e-3))]),
            device="cpu",
        )


def test_groups_with_a_scale_or_one_rate_are_not():
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    with warnings.catch_warnings(action="error"):
        optim.warn_if_levelled(
            torch.optim.SGD([{"params": weights[0], "lr": 0.2, "lr_scale": 2.0}, {"params": weights[1]}], lr=0.1)
        )
        optim.warn_if_levelled(
            torch.optim.SGD([{"params": weights[0]}, {"params": weights[1], "weight_decay": 0.1}], lr=0.1)
        )
