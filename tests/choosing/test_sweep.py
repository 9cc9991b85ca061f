"""A sweep against each of its runs trained alone."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gdlib import Divergence, Sweep, Trainer, data, models, optim, schedules, sweep

train = data.digits().train
make_model = partial(models.mlp, 64, 16, 10)
grid = partial(sweep, make_model, train, nn.functional.cross_entropy)


def decay(peak):
    return lambda step: peak / (1 + step)


BATCH_NORM = "torch.vmap does not know BatchNorm1d"


def noisy_model():
    """With dropout and batch norm, which cannot be stacked."""
    return nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 10))


@pytest.mark.parametrize("make_model", [make_model, noisy_model], ids=["stacked", "alone"])
@pytest.mark.parametrize(
    ("momentum", "schedule", "optimizer"),
    [
        (0.0, None, "sgd"),
        (0.9, decay, "sgd"),
        (0.9, partial(schedules.plateau, factor=0.3, patience=1, every=2), "sgd"),
        (0.0, partial(schedules.cosine, steps=30), "adam"),
    ],
    ids=["sgd", "momentum", "plateau", "adam"],
)
def test_every_run_is_that_of_the_trainer(make_model, momentum, schedule, optimizer):
    lrs = [0.05, 0.5] if optimizer == "sgd" else [1e-3, 1e-2]
    with warnings.catch_warnings(record=True) as told:
        runs = sweep(
            make_model, train, nn.functional.cross_entropy, lr=lrs, batch_size=[8, 32], steps=30, momentum=momentum,
            schedule=schedule, seeds=[0, 3], optimizer=optimizer, at_once=3,
        )  # fmt: skip
    reasons = [str(warning.message) for warning in told]
    assert reasons == (
        [f"the runs of this sweep are trained one after another: {BATCH_NORM}"] if make_model is noisy_model else []
    )
    assert runs.losses.shape == (2, 2, 2, 30)
    for i, j, s in np.ndindex(2, 2, 2):
        torch.manual_seed(int(runs.seeds[s]))
        trainer = Trainer(
            make_model(),
            train,
            nn.functional.cross_entropy,
            partial(torch.optim.SGD, momentum=momentum) if optimizer == "sgd" else torch.optim.Adam,
            lr=schedule(runs.lr[i]) if schedule else runs.lr[i],
            batch_size=runs.batch_size[j],
            seed=int(runs.seeds[s]),
        )
        np.testing.assert_allclose(runs.losses[i, j, s], trainer.fit(30).loss, rtol=1e-3)


def trained(model, lr, seed, steps, batch_size=16, **settings):
    """The trainer's losses, and the trainer."""
    torch.manual_seed(seed)
    trainer = Trainer(model(), train, nn.functional.cross_entropy, lr=lr, batch_size=batch_size, seed=seed, **settings)
    return trainer.fit(steps).loss, trainer


def scaled(parameters):
    return torch.optim.AdamW([{"params": list(parameters), "lr_scale": 0.1}])


@pytest.mark.parametrize(
    "optimizer",
    [
        scaled,
        partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.1),
        partial(torch.optim.SGD, momentum=0.9, dampening=0.5),
        partial(torch.optim.Adam, betas=(0.8, 0.95), weight_decay=0.1),
        partial(torch.optim.AdamW, weight_decay=0.3),
        partial(torch.optim.AdamW, amsgrad=True),
        partial(optim.SGD, momentum=0.8, weight_decay=0.1),
        partial(optim.AdamW, beta2=0.9, weight_decay=0.3),
        optim.ScheduleFree,
        optim.Muon,
        torch.optim.RMSprop,
    ],
    ids=lambda made: getattr(made, "__name__", str(made)),
)
def test_any_optimizer_with_schedules_and_clipping(optimizer):
    rates = [0.01, schedules.cosine(0.03, 60), schedules.warmup(schedules.constant(0.02), 10)]
    runs = grid(lr=rates, batch_size=[16], steps=60, seeds=[0, 3], optimizer=optimizer, clip_norm=1.0)
    assert runs.lr.tolist() == [0.01, 0.03, 0.02]
    for i, s in np.ndindex(3, 2):
        alone, _ = trained(make_model, rates[i], int(runs.seeds[s]), 60, optimizer=optimizer, clip_norm=1.0)
        np.testing.assert_allclose(runs.losses[i, 0, s], alone, rtol=2e-3 if optimizer is not optim.Muon else 5e-2)


@pytest.mark.parametrize(
    "rate", [schedules.plateau(0.5, factor=0.3, patience=1, every=2), None], ids=["bare", "hidden"]
)
def test_a_plateau_in_lr_is_fresh_for_every_run(rate):
    bare = schedules.plateau(0.5, factor=0.3, patience=1, every=2)
    rate = rate or schedules.warmup(bare, 3)
    runs = grid(lr=[rate, 0.1], batch_size=[8, 16], steps=40, seeds=[0, 1])
    assert bare.state_dict() == schedules.plateau(0.5, factor=0.3, patience=1, every=2).state_dict()
    for j, s in np.ndindex(2, 2):
        fresh = schedules.plateau(0.5, factor=0.3, patience=1, every=2)
        fresh = fresh if isinstance(rate, schedules.plateau) else schedules.warmup(fresh, 3)
        alone, _ = trained(make_model, fresh, s, 40, batch_size=int(runs.batch_size[j]))
        np.testing.assert_allclose(runs.losses[0, j, s], alone, rtol=1e-3)


@pytest.mark.parametrize("model", [make_model, noisy_model], ids=["stacked", "alone"])
@pytest.mark.filterwarnings("ignore:the runs of this sweep")
def test_losses_on_held_out_data(model, tmp_path):
    test = data.digits().test
    runs = sweep(
        model,
        train,
        nn.functional.cross_entropy,
        [0.1, 0.5],
        [16],
        70,
        seeds=[0, 2],
        evaluation=test,
        evaluate_every=30,
    )
    assert runs.evaluated.tolist() == [30, 60, 70]
    for i, s in np.ndindex(2, 2):
        for k, steps in enumerate(runs.evaluated):
            _, trainer = trained(model, runs.lr[i], int(runs.seeds[s]), int(steps))
            assert runs.evaluations[i, 0, s, k] == pytest.approx(trainer.evaluate(test)["loss"], rel=1e-3)
    runs.save(tmp_path / "runs.npz")
    np.testing.assert_array_equal(Sweep.load(tmp_path / "runs.npz").evaluations, runs.evaluations)
    assert sweep(model, train, nn.functional.cross_entropy, [0.1], [16], 5, evaluation=test).evaluated.tolist() == [5]


class Peculiar(nn.Module):
    """Frozen random features, parameters that nothing uses, and a residual, which autograd adds up in place."""

    def __init__(self):
        super().__init__()
        self.features, self.unused = nn.Linear(64, 32).requires_grad_(False), nn.Linear(3, 3)
        self.inner, self.out = nn.Linear(32, 32), nn.Linear(32, 10)
        self.register_buffer("scale", torch.rand(32))

    def forward(self, x):
        x = self.features(x).relu() * self.scale
        return self.out(x + self.inner(x).relu_())


def test_frozen_layers_are_those_of_the_runs_own_seed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is stacked
        runs = sweep(
            Peculiar, train, nn.functional.cross_entropy, [0.1, 0.3], [16], 60, seeds=[0, 3],
            optimizer=partial(torch.optim.AdamW, weight_decay=0.5),
        )  # fmt: skip
    for i, s in np.ndindex(2, 2):
        alone, _ = trained(
            Peculiar, runs.lr[i], int(runs.seeds[s]), 60, optimizer=partial(torch.optim.AdamW, weight_decay=0.5)
        )
        np.testing.assert_allclose(runs.losses[i, 0, s], alone, rtol=5e-3)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.out = nn.GRU(8, 8, batch_first=True), nn.Linear(8, 10)

    def forward(self, x):
        return self.out(self.rnn(x.view(-1, 8, 8))[0][:, -1])


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(64, 10)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen += len(x)
        return self.out(x)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Recurrent, "torch.vmap does not know GRU"),
        (lambda: nn.Sequential(nn.Linear(64, 10), nn.Dropout(0.5)), "random"),
        (Counting, "buffers change|vmap"),
    ],
    ids=["gru", "dropout", "counter"],
)
def test_what_cannot_be_stacked_is_trained_alone_and_says_why(model, reason):
    with pytest.warns(UserWarning, match=f"one after another: .*({reason})"):
        runs = sweep(model, train, nn.functional.cross_entropy, [0.1], [8], 10, seeds=[1])
    alone, _ = trained(model, 0.1, 1, 10, batch_size=8)
    np.testing.assert_allclose(runs.losses[0, 0, 0], alone, rtol=1e-5)


def test_torch_data_sets_and_losses_of_sum_and_count():
    items = torch.utils.data.ConcatDataset([torch.utils.data.TensorDataset(train.inputs, train.targets)])
    with pytest.warns(UserWarning, match="its data are not two tensors"):
        runs = sweep(make_model, items, nn.functional.cross_entropy, [0.1], [8], 10)
    np.testing.assert_allclose(runs.losses, grid(lr=[0.1], batch_size=[8], steps=10).losses, rtol=1e-4)

    halves = torch.utils.data.random_split(items.datasets[0], [1000, len(train) - 1000])
    with warnings.catch_warnings(action="error"):
        for torchs, ours in (
            (items.datasets[0], train),
            (halves[1], (train.inputs[halves[1].indices], train.targets[halves[1].indices])),
        ):
            found, expected = (
                sweep(make_model, data, nn.functional.cross_entropy, [0.1], [8], 10) for data in (torchs, ours)
            )
            np.testing.assert_array_equal(found.losses, expected.losses)

    def summed(outputs, targets):
        return nn.functional.cross_entropy(outputs, targets, reduction="sum"), len(targets)

    counted = sweep(make_model, train, summed, [0.1], [8], 10)
    np.testing.assert_allclose(counted.losses, runs.losses, rtol=1e-4)


def test_a_diverged_run_is_infinite_from_there_on_and_alone():
    diabetes = data.diabetes().train
    runs = sweep(
        partial(models.linear, 10), diabetes, nn.functional.mse_loss, lr=[0.01, 1e3], batch_size=[32], steps=60
    )
    assert np.isfinite(runs.losses[0]).all()
    assert np.isinf(runs.losses[1, 0, 0, -1])
    torch.manual_seed(0)
    trainer = Trainer(models.linear(10), diabetes, nn.functional.mse_loss, lr=1e3, batch_size=32)
    with pytest.raises(Divergence) as caught:
        trainer.fit(60)
    assert np.isfinite(runs.losses[1, 0, 0]).sum() == caught.value.step
    assert runs.best() == (0.01, 32)


def test_diverged_runs_do_not_poison_their_neighbours():
    """The same three runs, alone and between neighbours that diverge at once, early and late, over several blocks."""
    diabetes = data.diabetes().train
    make = partial(sweep, partial(models.linear, 10), diabetes, nn.functional.mse_loss, batch_size=[32], steps=300)
    rates = [0.01, 0.03, 0.1]
    calm, wild = make(lr=rates), make(lr=[1e30, 0.01, 1e3, 0.03, 0.34, 0.1, 0.4])
    np.testing.assert_allclose(wild.losses[[1, 3, 5]], calm.losses, rtol=1e-4)
    ends = np.isfinite(wild.losses[[0, 2, 4, 6], 0, 0]).sum(-1)
    assert ends[0] < ends[1] < 64 < ends[2]
    for run, end in zip(wild.losses[[0, 2, 4], 0, 0], ends):
        assert np.isinf(run[end:]).all()


def test_torchs_generator_and_denormals_are_left_as_they_were():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    grid(lr=[0.1], batch_size=[8], steps=3)
    assert torch.equal(torch.rand(3), expected)
    assert torch.tensor([1e-39]).mul(1.0).item() > 0


def test_steps_to_a_target():
    losses = np.linspace(1.0, 0.0, 101, dtype=np.float32)[None, None, None]
    runs = Sweep(np.array([0.1]), np.array([8]), np.array([0]), losses)
    assert runs.steps_to(0.501, window=1).tolist() == [[[51.0]]]
    assert runs.steps_to(0.501, window=11).tolist() == [[[56.0]]]
    assert runs.steps_to(-1.0).tolist() == [[[np.inf]]]
    with pytest.raises(ValueError, match="window must be at most the sweep's 101 steps; got 102"):
        runs.steps_to(0.5, window=102)


def test_final_and_best():
    losses = np.ones((2, 2, 1, 20), np.float32)
    losses[1, 0, 0, -2:] = 0.25
    losses[0, 1, 0, -2:] = 0.5
    runs = Sweep(np.array([0.1, 1.0]), np.array([8, 16]), np.array([0]), losses)
    assert runs.final()[..., 0].tolist() == [[1.0, 0.5], [0.25, 1.0]]
    assert runs.best() == (1.0, 8)
    assert runs.best(batch_size=16) == (0.1, 16)
    with pytest.raises(ValueError, match="batch_size must be one of 8, 16; got 9"):
        runs.best(batch_size=9)
    with pytest.raises(ValueError, match="every run diverged"):
        Sweep(runs.lr, runs.batch_size, runs.seeds, losses * np.inf).best()


def test_save_and_load(tmp_path):
    runs = grid(lr=[0.1], batch_size=[8], steps=3)
    runs.save(tmp_path / "runs.npz")
    again = Sweep.load(tmp_path / "runs.npz")
    for name, value in vars(runs).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "runs.npz").read_bytes()[:50])
    with pytest.raises(ValueError, match=r"path must name a sweep.*torn\.npz"):
        Sweep.load(tmp_path / "torn.npz")
    with pytest.raises(FileNotFoundError):
        Sweep.load(tmp_path / "none.npz")


def test_progress_shows_a_bar(capfd):
    grid(lr=[0.1, 0.2], batch_size=[8], steps=2, progress=True)
    assert "4.00/4.00" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"lr": []}, ValueError, "lr must hold at least one value"),
        ({"lr": [0.1, -1]}, ValueError, "lr must be a positive finite number; got -1"),
        ({"batch_size": [0]}, ValueError, "batch_size must be a whole number of at least 1"),
        ({"seeds": []}, ValueError, "seeds must hold"),
        ({"steps": 0}, ValueError, "steps"),
        ({"momentum": 2}, ValueError, "momentum"),
        ({"momentum": 1}, ValueError, "momentum must be at least 0 and below 1; got 1"),
        (
            {"momentum": 0.5, "optimizer": torch.optim.AdamW},
            ValueError,
            "momentum must be 0 with an optimizer of your own",
        ),
        ({"optimizer": 3}, TypeError, "optimizer must be 'sgd', 'adam' or a function"),
        ({"lr": [lambda step: -0.1]}, ValueError, r"lr\(step\) must be a finite number of at least 0; got -0.1"),
        ({"lr": [lambda step: 0.1], "schedule": decay}, ValueError, "schedule must be None where lr holds schedules"),
        ({"schedule": lambda lr: lambda step: -lr}, ValueError, r"lr\(step\) must be a finite number of at least 0"),
        ({"evaluate_every": 3}, ValueError, "evaluation must be given, for evaluate_every=3"),
        ({"clip_norm": 0}, ValueError, "clip_norm must be a positive finite number"),
        ({"optimizer": "lion"}, ValueError, "optimizer must be one of 'sgd', 'adam'; got 'lion'"),
        ({"optimizer": "adam", "momentum": 0.9}, ValueError, "momentum must be 0 with Adam"),
        ({"at_once": 0}, ValueError, "at_once"),
        ({"lr": ["a"]}, TypeError, "lr must be a positive number"),
    ],
)
def test_bad_arguments(change, error, said):
    with pytest.raises(error, match=said):
        grid(**{"lr": [0.1], "batch_size": [8], "steps": 2} | change)
