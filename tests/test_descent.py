"""Descents against torch.optim.SGD and the theory of quadratics."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdlib import data, problems, schedules
from gdlib.descent import descend

bowl = problems.Quadratic((1.0, 10.0))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(
    ("problem", "start", "lr"),
    [(bowl, (1.0, 1.0), 0.1), (problems.Rosenbrock(), (-1.2, 1.0), 1e-4)],
)
def test_equals_torch_sgd(problem, start, lr, momentum):
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=lr, momentum=momentum)
    path = descend(problem, start, lr, steps=200, momentum=momentum)
    for point in path.points:
        torch.testing.assert_close(point, w.detach(), rtol=1e-9, atol=1e-12)
        optimizer.zero_grad()
        problem.loss(w).backward()
        optimizer.step()


@given(
    curvatures=st.lists(st.floats(0.01, 100), min_size=1, max_size=5),
    ratio=st.sampled_from([0.5, 0.9, 0.99, 1.01, 1.1, 2.0]),
)
def test_diverges_exactly_above_the_largest_stable_rate(curvatures, ratio):
    problem = problems.Quadratic(curvatures)
    path = descend(problem, [1.0] * problem.dim, lr=ratio * problem.max_stable_lr, steps=2000)
    assert path.diverged == (ratio > 1)


@pytest.mark.parametrize("features", [[2], [2, 3], list(range(10))])
def test_least_squares_diverges_exactly_above_two_over_l(features):
    train = data.diabetes().train
    problem = problems.LeastSquares(train.inputs[:, features], train.targets)
    start = [3.0] * problem.dim
    assert not descend(problem, start, lr=0.99 * problem.max_stable_lr, steps=3000).diverged
    assert descend(problem, start, lr=1.01 * problem.max_stable_lr, steps=3000).diverged


@pytest.mark.parametrize("kappa", [2.0, 10.0, 100.0])
def test_rate_of_convergence(kappa):
    """With lr = 2 / (L + mu) the distance shrinks by (kappa - 1) / (kappa + 1) a step (Nesterov 2004, theorem 2.1.15)."""
    path = descend(problems.Quadratic((1.0, kappa)), (1.0, 1.0), lr=2 / (1 + kappa), steps=60)
    distance = path.points.norm(dim=1)
    measured = (distance[60] / distance[10]).item() ** (1 / 50)
    assert measured == pytest.approx((kappa - 1) / (kappa + 1), abs=5e-4)


def test_momentum_doubles_the_stable_range():
    limit = 2 * (1 + 0.9) / 10
    assert not descend(bowl, (1.0, 1.0), lr=0.99 * limit, steps=5000, momentum=0.9).diverged
    assert descend(bowl, (1.0, 1.0), lr=1.01 * limit, steps=5000, momentum=0.9).diverged


def test_tolerance_ends_the_path_and_says_so():
    path = descend(bowl, (1.0, 1.0), lr=0.1, steps=1000, tolerance=1e-3)
    norms = [math.hypot(*bowl.gradient(w).tolist()) for w in path.points]
    assert path.converged
    assert path.steps < 1000
    assert norms[-1] <= 1e-3 < norms[-2]
    assert not descend(bowl, (1.0, 1.0), lr=0.1, steps=3, tolerance=1e-3).converged
    assert descend(bowl, (0.0, 0.0), lr=0.1, steps=3, tolerance=1e-3).steps == 0
    assert not descend(bowl, (1.0, 1.0), lr=0.1, steps=1000).converged


def test_shapes_start_and_no_steps():
    path = descend(bowl, (1.0, 2.0), lr=0.1, steps=7)
    assert path.points.shape == (8, 2)
    assert path.losses.shape == (8,)
    assert path.points[0].tolist() == [1.0, 2.0]
    assert descend(bowl, (1.0, 2.0), lr=0.1, steps=0).steps == 0


def test_a_path_that_runs_away_is_cut_and_marked():
    path = descend(problems.Rosenbrock(), (-2.0, 3.0), lr=1.0, steps=1000)
    assert path.diverged
    assert path.steps < 1000


def test_lr_may_be_a_function_of_the_step():
    halving = descend(bowl, (1.0, 1.0), lr=lambda step: 0.1 / 2**step, steps=2)
    by_hand = torch.tensor([1.0, 1.0], dtype=torch.float64)
    for lr in (0.1, 0.05):
        by_hand = by_hand - lr * bowl.gradient(by_hand)
    torch.testing.assert_close(halving.points[-1], by_hand)
    same = descend(bowl, (1.0, 1.0), lr=schedules.constant(0.1), steps=9)
    assert torch.equal(same.points, descend(bowl, (1.0, 1.0), lr=0.1, steps=9).points)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"lr": -0.1}, ValueError, "lr must be a positive finite number; got -0.1"),
        ({"lr": 0}, ValueError, "lr"),
        ({"lr": float("nan")}, ValueError, "lr"),
        ({"lr": "fast"}, TypeError, "lr must be a positive number; got 'fast'"),
        ({"lr": True}, TypeError, "lr"),
        ({"steps": -1}, ValueError, "steps must be a whole number of at least 0; got -1"),
        ({"steps": 1.5}, TypeError, "steps"),
        ({"momentum": 1.0}, ValueError, "momentum"),
        ({"momentum": -0.1}, ValueError, "momentum"),
        ({"tolerance": 0.0}, ValueError, "tolerance"),
        ({"start": (1.0,)}, ValueError, "start must have 2 numbers"),
        ({"start": (1.0, float("inf"))}, ValueError, "start must be 2 finite numbers"),
        ({"start": ((1.0, 1.0),)}, ValueError, "start"),
    ],
)
def test_bad_input(change, error, said):
    with pytest.raises(error, match=said):
        descend(**{"problem": bowl, "start": (1.0, 1.0), "lr": 0.1, "steps": 3} | change)
