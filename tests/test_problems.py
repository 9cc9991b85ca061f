"""Closed forms against autograd, finite differences and NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdlib import data, problems

coordinate = st.floats(-3, 3)
PROBLEMS = [
    problems.Quadratic((1.0, 10.0)),
    problems.LeastSquares(data.diabetes().train.inputs[:, [2, 8]], data.diabetes().train.targets),
    problems.Rosenbrock(),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: type(p).__name__)
@given(x=coordinate, y=coordinate)
def test_gradient_and_hessian_are_those_of_autograd(problem, x, y):
    w = torch.tensor([x, y], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(problem.loss(w), w)
    torch.testing.assert_close(problem.gradient(w.detach()), gradient)
    hessian = torch.autograd.functional.hessian(problem.loss, w.detach())
    torch.testing.assert_close(problem.hessian(w.detach()), hessian)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: type(p).__name__)
def test_minimum_has_no_gradient_and_no_lower_neighbour(problem):
    assert problem.gradient(problem.minimum).abs().max() < 1e-12
    around = problem.minimum + 0.01 * torch.randn(100, 2, dtype=torch.float64, generator=torch.manual_seed(0))
    assert (problem.loss(around) > problem.loss(problem.minimum)).all()


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: type(p).__name__)
def test_max_stable_lr_is_two_over_the_largest_eigenvalue(problem):
    largest = np.linalg.eigvalsh(problem.hessian(problem.minimum).numpy())[-1]
    assert problem.max_stable_lr == pytest.approx(2 / largest, rel=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: type(p).__name__)
def test_many_points_at_once(problem):
    grid = torch.randn(3, 4, 2, dtype=torch.float64, generator=torch.manual_seed(0))
    assert problem.loss(grid).shape == (3, 4)
    assert problem.gradient(grid).shape == (3, 4, 2)
    torch.testing.assert_close(problem.loss(grid)[1, 2], problem.loss(grid[1, 2]))
    torch.testing.assert_close(problem.gradient(grid)[1, 2], problem.gradient(grid[1, 2]))


def test_least_squares_against_numpy_and_torch():
    train = data.diabetes().train
    problem = problems.LeastSquares(train.inputs, train.targets)
    x, y = train.inputs.double(), train.targets.double()[:, 0]
    expected = np.linalg.lstsq(x.numpy(), y.numpy(), rcond=None)[0]
    np.testing.assert_allclose(problem.minimum.numpy(), expected, rtol=1e-9)
    w = torch.ones(10, dtype=torch.float64)
    torch.testing.assert_close(problem.loss(w), torch.nn.functional.mse_loss(x @ w, y))
    singular = np.linalg.svd(x.numpy(), compute_uv=False)
    assert problem.condition_number == pytest.approx((singular[0] / singular[-1]) ** 2, rel=1e-9)


def test_least_squares_of_one_feature_and_of_a_singular_matrix():
    assert problems.LeastSquares([1.0, 2.0], [2.0, 4.0]).minimum.tolist() == pytest.approx([2.0])
    twice = problems.LeastSquares([[1.0, 1.0], [2.0, 2.0]], [2.0, 4.0])
    assert twice.gradient(twice.minimum).abs().max() < 1e-12
    assert twice.condition_number > 1e12


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: problems.Quadratic(()), ValueError, "curvatures must hold at least one"),
        (lambda: problems.Quadratic((1, -2)), ValueError, "curvatures must be a positive finite number; got -2"),
        (lambda: problems.Quadratic((1, float("nan"))), ValueError, "curvatures"),
        (lambda: problems.Quadratic(3.0), TypeError, "curvatures must be a sequence"),
        (lambda: problems.Quadratic(("a",)), TypeError, "curvatures"),
        (lambda: problems.Quadratic((1, 2)).loss((1, 2, 3)), ValueError, r"w must have 2 numbers.*\(3,\)"),
        (lambda: problems.Quadratic((1, 2)).loss("ab"), TypeError, "w must be 2 numbers"),
        (lambda: problems.LeastSquares([], []), ValueError, "x must have shape"),
        (lambda: problems.LeastSquares([[1.0]], [1.0, 2.0]), ValueError, r"got \(1, 1\) and \(2,\)"),
        (lambda: problems.LeastSquares([[1.0], [float("inf")]], [1.0, 2.0]), ValueError, "x must be finite"),
        (lambda: problems.LeastSquares([[0.0]], [1.0]), ValueError, "all zeros"),
        (lambda: problems.LeastSquares("ab", [1.0]), TypeError, "x and y must be arrays"),
    ],
)
def test_bad_input(call, error, said):
    with pytest.raises(error, match=said):
        call()
