"""The branch test against what is known: where noise rules, batches may grow; at full batches nothing is left to gain by it."""

import numpy as np
import pytest
import torch
from torch import nn

from gdlib import Trainer, data, diagnose, models

mse = nn.functional.mse_loss


def quadratic(noise, lr=0.02, batch_size=8, seed=0):
    """A linear model, far from its minimum, on samples with so much noise: the noise scale there is known."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4000, 5, generator=generator)
    y = x.sum(1, keepdim=True) + noise * torch.randn(4000, 1, generator=generator)
    model = nn.Linear(5, 1)
    nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
    return Trainer(model, (x, y), mse, lr=lr, batch_size=batch_size, seed=seed), data.Dataset(x, y)


def test_far_from_the_minimum_batches_may_grow_up_to_the_unstable_rate():
    """Under the linear rule the rate grows with the batch: 0.02 x 64 is above 2 / L, which is 1 for this loss."""
    trainer, dataset = quadratic(noise=1.0)
    found = diagnose.branch_test(trainer, dataset, [8, 16, 32, 64 * 8], samples=4096)
    assert found.size == 32
    assert "diverge" in found.reason or "lose" in found.reason
    assert found.losses.shape == (4, 3)


def test_branches_are_runs_of_the_trainer():
    trainer, dataset = quadratic(noise=1.0)
    trainer.fit(10)
    found = diagnose.branch_test(trainer, dataset, [8, 32], samples=320, repeats=2)
    for k, size in enumerate((8, 32)):
        for r in range(2):
            again, _ = quadratic(noise=1.0)
            again.fit(10)
            again.seed, again.batch_size, again.lr = r, size, 0.02 * size / 8
            again.fit(320 // size)
            assert again.evaluate(dataset)["loss"] == pytest.approx(found.losses[k, r], rel=1e-6)


def test_the_trainer_is_as_before():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 10))
    split = data.digits()
    trainer = Trainer(model, split.train, nn.functional.cross_entropy, torch.optim.AdamW, lr=1e-3, batch_size=16)
    trainer.fit(5)
    before = [t.clone() for t in (*model.state_dict().values(), torch.get_rng_state())]
    found = diagnose.branch_test(trainer, split.test, repeats=1)
    after = (*model.state_dict().values(), torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(before, after))
    assert (trainer.seed, trainer.batch_size(5), trainer.lr(5), trainer.steps_done) == (0, 16, 1e-3, 5)
    assert found.size in (16, 32, 64, 128, 256)


def test_where_nothing_is_gained_it_says_nothing_of_larger_batches():
    trainer, dataset = quadratic(noise=1.0, lr=1e-9)
    trainer.model.weight.data.fill_(1.0)
    trainer.lr = 0.05
    found = diagnose.branch_test(trainer, dataset, [8, 64], repeats=1)
    assert found.size == 8
    assert "nothing is gained" in found.reason


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"trainer": 3}, TypeError, "trainer must be a gdlib.Trainer; got int"),
        ({"batch_sizes": []}, ValueError, "batch_sizes must hold at least one size"),
        ({"batch_sizes": [64], "samples": 100}, ValueError, "samples must be at least 8 batches of 64; got 100"),
        ({"rule": "cubic"}, ValueError, "rule must be one of"),
        ({"repeats": 0}, ValueError, "repeats must be a whole number"),
    ],
)
def test_bad_arguments(change, error, said):
    trainer, dataset = quadratic(noise=1.0)
    with pytest.raises(error, match=said):
        diagnose.branch_test(**{"trainer": trainer, "data": dataset} | change)


def test_a_language_model_and_adam():
    torch.manual_seed(0)
    split = data.python_source(context=16, characters=40_000)
    model = models.gpt(len(data.CHARACTERS), context=16, width=16, layers=1, heads=2)
    trainer = Trainer(model, split.train, models.next_token_loss, torch.optim.AdamW, lr=3e-3, batch_size=8)
    trainer.fit(30)
    found = diagnose.branch_test(trainer, split.test, [8, 16], samples=256, repeats=1)
    assert np.isfinite(found.losses).all()
