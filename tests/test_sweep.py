"""A sweep against each of its runs trained alone."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gdlib import Divergence, Sweep, Trainer, data, models, sweep

train = data.digits().train
make_model = partial(models.mlp, 64, 16, 10)
grid = partial(sweep, make_model, train, nn.functional.cross_entropy)


def decay(peak):
    return lambda step: peak / (1 + step)


@pytest.mark.parametrize(("momentum", "schedule"), [(0.0, None), (0.9, decay)])
def test_every_run_is_that_of_the_trainer(momentum, schedule):
    runs = grid(lr=[0.05, 0.5], batch_size=[8, 32], steps=30, momentum=momentum, schedule=schedule, seeds=[0, 3])
    assert runs.losses.shape == (2, 2, 2, 30)
    for i, j, s in np.ndindex(2, 2, 2):
        torch.manual_seed(int(runs.seeds[s]))
        trainer = Trainer(
            make_model(),
            train,
            nn.functional.cross_entropy,
            partial(torch.optim.SGD, momentum=momentum),
            lr=schedule(runs.lr[i]) if schedule else runs.lr[i],
            batch_size=runs.batch_size[j],
            seed=int(runs.seeds[s]),
        )
        np.testing.assert_allclose(runs.losses[i, j, s], trainer.fit(30).loss, rtol=1e-3)


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
    assert "2/2" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"lr": []}, ValueError, "lr must hold at least one value"),
        ({"lr": [0.1, -1]}, ValueError, "lr must be a positive finite number; got -1"),
        ({"batch_size": [0]}, ValueError, "batch_size must be a whole number of at least 1"),
        ({"seeds": []}, ValueError, "seeds must hold"),
        ({"steps": 0}, ValueError, "steps"),
        ({"momentum": 2}, ValueError, "momentum"),
        ({"lr": ["a"]}, TypeError, "lr must be a positive number"),
    ],
)
def test_bad_arguments(change, error, said):
    with pytest.raises(error, match=said):
        grid(**{"lr": [0.1], "batch_size": [8], "steps": 2} | change)
