"""The noise scale against its closed form on least squares, and the two ways of measuring it against each other."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from gdlib import data, gradient_noise_scale, models
from gdlib.choosing import fit_critical_batch

mse, cross_entropy = nn.functional.mse_loss, nn.functional.cross_entropy


def least_squares(n=300, dim=5, seed=0):
    """A linear model without intercept on random data, in float64: the model, the data, and the noise scale by formula."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    y = x @ torch.arange(1.0, dim + 1, dtype=torch.float64)[:, None]
    y = y + torch.randn(n, 1, generator=generator, dtype=torch.float64)
    model = nn.Linear(dim, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    gradients = 2 * (x @ model.weight.detach().T - y) * x  # of (w.x - y)^2 by w, sample by sample
    mean = gradients.mean(0)
    trace = ((gradients - mean) ** 2).sum(1).mean().item()
    return model, data.Dataset(x, y), trace, mean.square().sum().item()


def test_exact_is_the_closed_form():
    model, dataset, trace, norm2 = least_squares()
    noise = gradient_noise_scale(model, dataset, mse)
    assert (noise.trace, noise.gradient_norm2) == pytest.approx((trace, norm2), rel=1e-9)
    assert noise.simple == noise.trace / noise.gradient_norm2
    assert noise.interval[0] < noise.simple < noise.interval[1]


def test_two_batch_is_within_a_tenth_of_the_closed_form():
    model, dataset, trace, norm2 = least_squares()
    noise = gradient_noise_scale(model, dataset, mse, "two_batch", small=4, large=64, draws=2000)
    assert noise.simple == pytest.approx(trace / norm2, rel=0.1)
    assert noise.interval[0] < trace / norm2 < noise.interval[1]


def test_two_batch_is_unbiased():
    """Each of the two estimates, averaged over independent measurements, is right to within its own error."""
    model, dataset, trace, norm2 = least_squares()
    found = [
        gradient_noise_scale(model, dataset, mse, "two_batch", draws=30, small=2, large=16, seed=s) for s in range(60)
    ]
    for name, truth in (("trace", trace), ("gradient_norm2", norm2)):
        values = torch.tensor([getattr(noise, name) for noise in found])
        assert abs(values.mean() - truth) < 4 * values.std() / len(values) ** 0.5


def test_a_part_of_the_samples_is_corrected_for_being_a_part():
    model, dataset, trace, norm2 = least_squares()
    found = [gradient_noise_scale(model, dataset, mse, samples=20, seed=s) for s in range(300)]
    for name, truth in (("trace", trace), ("gradient_norm2", norm2)):
        values = torch.tensor([getattr(noise, name) for noise in found])
        assert abs(values.mean() - truth) < 4 * values.std() / len(values) ** 0.5


@pytest.mark.parametrize("method", ["exact", "two_batch"])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(method):
    inside, (model, dataset, trace, norm2) = 0, least_squares(n=2000)
    for seed in range(100):
        noise = gradient_noise_scale(model, dataset, mse, method, samples=200, draws=40, confidence=0.9, seed=seed)
        inside += noise.interval[0] < trace / norm2 < noise.interval[1]
    assert 80 <= inside <= 100


def test_of_a_network_both_ways_agree():
    torch.manual_seed(0)
    train = data.digits().train
    model = models.mlp(64, 32, 10)
    exact = gradient_noise_scale(model, train, cross_entropy)
    two = gradient_noise_scale(model, train, cross_entropy, "two_batch", draws=300)
    assert two.simple == pytest.approx(exact.simple, rel=0.2)


def test_at_the_minimum_the_gradient_cannot_be_told_from_zero():
    model, dataset, _, _ = least_squares()
    model.weight.data = torch.linalg.lstsq(dataset.inputs, dataset.targets).solution.T
    noise = gradient_noise_scale(model, dataset, mse)
    assert noise.interval[1] == math.inf
    assert noise.simple > 1e6


def test_the_model_is_left_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 10))
    model[3].bias.requires_grad_(False)
    train = data.digits().train
    cross_entropy(model(train.inputs[:8]), train.targets[:8]).backward()
    before = [
        t.clone() for t in (*model.state_dict().values(), *(p.grad for p in model.parameters() if p.grad is not None))
    ]
    rng = torch.get_rng_state()
    for method in ("exact", "two_batch"):
        gradient_noise_scale(model, train, cross_entropy, method, draws=3, samples=50)
    after = (*model.state_dict().values(), *(p.grad for p in model.parameters() if p.grad is not None))
    assert all(torch.equal(a, b) for a, b in zip(before, after))
    assert torch.equal(rng, torch.get_rng_state())
    assert model.training


def test_frozen_and_unused_parameters_count_as_nothing():
    class Peculiar(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.unused, self.frozen = inner, nn.Linear(2, 2), nn.Linear(1, 1).requires_grad_(False)

        def forward(self, x):
            return self.inner(x)

    model, dataset, trace, norm2 = least_squares()
    for method in ("exact", "two_batch"):
        noise = gradient_noise_scale(Peculiar(model), dataset, mse, method, draws=2000, small=4, large=64)
        assert noise.simple == pytest.approx(trace / norm2, rel=1e-9 if method == "exact" else 0.1)


def test_losses_of_sum_and_count_and_torch_data_sets():
    model, dataset, trace, norm2 = least_squares()
    items = torch.utils.data.TensorDataset(dataset.inputs, dataset.targets)
    noise = gradient_noise_scale(model, items, lambda o, y: ((o - y).square().sum(), y.numel()))
    assert (noise.trace, noise.gradient_norm2) == pytest.approx((trace, norm2), rel=1e-9)


def test_what_vmap_does_not_know_is_measured_with_two_batches_and_says_so():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = nn.GRU(8, 8, batch_first=True), nn.Linear(8, 10)

        def forward(self, x):
            return self.out(self.rnn(x.view(-1, 8, 8))[0][:, -1])

    torch.manual_seed(0)
    model, train = Recurrent(), data.digits().train
    with pytest.warns(UserWarning, match="method is 'two_batch' after all: torch.vmap does not know this model"):
        noise = gradient_noise_scale(model, train, cross_entropy, draws=30)
    assert noise == gradient_noise_scale(model, train, cross_entropy, "two_batch", draws=30)


def test_complex_parameters_count_with_both_their_parts():
    """A complex weight is two real ones."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, dtype=torch.complex64, generator=generator)

    class Complex(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3, dtype=torch.complex64))

        def forward(self, x):
            return torch.view_as_real(x @ self.w)

    class Real(nn.Module):
        def __init__(self):
            super().__init__()
            self.re, self.im = nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return torch.stack([x.real @ self.re - x.imag @ self.im, x.real @ self.im + x.imag @ self.re], -1)

    pairs = (x, torch.randn(40, 2, generator=generator))
    for method in ("exact", "two_batch"):
        one, other = (
            gradient_noise_scale(m, pairs, nn.functional.mse_loss, method, large=32) for m in (Complex(), Real())
        )
        assert one.trace == pytest.approx(other.trace, rel=1e-4) and one.simple == pytest.approx(other.simple, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"method": "fast"}, ValueError, "method must be one of 'exact', 'two_batch'; got 'fast'"),
        ({"confidence": 1.0}, ValueError, "confidence must be above 0 and below 1; got 1.0"),
        ({"method": "two_batch", "small": 64, "large": 64}, ValueError, "large must be above small = 64; got 64"),
        ({"samples": 1}, ValueError, "samples must be a whole number of at least 2; got 1"),
        ({"model": 3}, TypeError, "model must be a torch.nn.Module; got int"),
        ({"dataset": data.digits()}, TypeError, "dataset must be a Dataset; got a Split"),
        ({"dataset": (torch.ones(1, 64), [3])}, ValueError, "dataset must hold at least two samples"),
        ({"model": nn.Sequential(nn.Flatten())}, ValueError, "model must have a parameter to train"),
        ({"loss_fn": lambda o, t: cross_entropy(o / 0, t)}, ValueError, "model must have finite gradients"),
    ],
)
def test_bad_arguments(change, error, said):
    torch.manual_seed(0)
    arguments = {"model": models.linear(64, 10), "dataset": data.digits().train, "loss_fn": cross_entropy}
    with pytest.raises(error, match=said):
        gradient_noise_scale(**arguments | change)


def test_the_fit_finds_a_critical_batch_size_within_its_error():
    rng, sizes = np.random.default_rng(0), np.repeat(2.0 ** np.arange(2, 12), 3)
    for critical in (20.0, 150.0, 600.0):
        steps = 80 * (1 + critical / sizes) * np.exp(rng.normal(0, 0.05, len(sizes)))
        fit = fit_critical_batch(sizes, steps)
        assert fit.size == pytest.approx(critical, rel=0.15)
        assert abs(np.log(fit.size / critical)) < 3.5 * np.log(fit.size_error)
        assert fit.min_steps == pytest.approx(80, rel=0.1)
        assert fit.steps(fit.size) == pytest.approx(2 * fit.min_steps)


@pytest.mark.parametrize(
    ("sizes", "steps", "said"),
    [
        ([1, 2], [3, 4], "batch_size must hold at least three different sizes"),
        ([1, 2, 4], [3, 4, np.inf], "steps must be positive finite numbers"),
        ([1, 2, 4], [3, 4], "steps must be positive finite numbers, one for each point"),
        ([0, 2, 4], [3, 4, 5], "batch_size must be positive finite numbers"),
    ],
)
def test_bad_points(sizes, steps, said):
    with pytest.raises(ValueError, match=said):
        fit_critical_batch(sizes, steps)
