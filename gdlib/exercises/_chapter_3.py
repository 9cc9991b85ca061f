"""Chapter 3, algorithms: `gdlib/exercises/_kinds.py` says how an exercise is written down."""

import math
from typing import Any

import torch

from gdlib.exercises._kinds import Exercise, as_array, function, number, numbers

_ANGLE = math.degrees(math.acos(11 / math.sqrt(101 * 2)))


def _whitening(answer: Any) -> str | None:
    """What is wrong with a function that is to turn a Hessian H into a matrix A with AᵀA = c H."""
    if not callable(answer):
        return "The change of coordinates should be a function of the Hessian, as `def` or `lambda` make it."
    for entries in ([[4.0, 1.0], [1.0, 2.0]], [[9.0, 2.0, 0.0], [2.0, 5.0, 1.0], [0.0, 1.0, 3.0]]):
        H = torch.tensor(entries, dtype=torch.float64)
        try:
            found = as_array(answer(H.clone()))
        except Exception as error:
            return f"The function fails: {type(error).__name__}: {error}"
        if isinstance(found, str) or found.shape != H.shape:
            return "The function should return one matrix, of the shape of the Hessian."
        A = torch.from_numpy(found)
        after = {"good": A.T @ A, "transposed": A @ A.T}
        if not A.isfinite().all() or torch.linalg.matrix_rank(A) != len(H):
            return "The function returns a matrix that cannot be inverted: some coordinates would be lost."
        if _alike(after["good"], H):
            continue
        if _alike(after["transposed"], H):
            return "Nearly: which of the two factors stands on the right in the product? Look at its transpose."
        if _alike(torch.linalg.inv(after["good"]), H) or _alike(torch.linalg.inv(after["transposed"]), H):
            return "This goes the other way: it leads from the new coordinates to the old ones."
        if _alike(A, H):
            return "This is the Hessian itself. The change enters it twice, once from each side."
        if _alike(A, A.diag().diag()):
            return "This only stretches the axes, as standardising did: it leaves the columns correlated."
        return "In these coordinates the Hessian is no multiple of the identity: put them into the hint and look."
    return None


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two matrices are equal up to a factor."""
    return torch.allclose(one / one.norm(), other / other.norm(), atol=1e-4)


EXERCISES = {
    "3.1.1": numbers(
        [0, 28],
        "The two counts",
        within=0.1,
        mistakes=[
            (
                [0, 0],
                "At one of the two rates some steps do rise. The last loss does not show it: compare each with the one before.",
            ),
            ([0, 972], "These are the steps that fall."),
            ([1000, 972], "These are the steps that fall."),
        ],
    ),
    "3.1.2": numbers(
        [math.sqrt(101), 1.01, 0.95995, _ANGLE],
        "Length, promise, decrease and angle",
        mistakes=[
            ([101, 1.01, 0.95995, _ANGLE], "The first is the square of the length."),
            (
                [math.sqrt(101), 1.01, 1.01, _ANGLE],
                "The true decrease is less than the promise: the slope changes on the way.",
            ),
            (
                [math.sqrt(101), 1.01, 0.95995, math.radians(_ANGLE)],
                "The angle is in radians here; degrees are asked for.",
            ),
            (
                [math.sqrt(101), 1.01, 0.90945, _ANGLE],
                "The curvature takes away half of its term: J has the factor one half.",
            ),
        ],
    ),
    "3.1.3": function(
        lambda g: -sum(abs(x) for x in g),
        [((1.0, -2.0, 3.0),), ((0.5, 0.0, -0.5, 2.0),)],
        "The lowest slope",
        mistakes=[
            (
                lambda g: -math.sqrt(sum(x * x for x in g)),
                "This is the lowest slope by the Euclidean ruler. Here every entry of u may be as large as 1.",
            ),
            (
                lambda g: -max(abs(x) for x in g),
                "This moves in the largest entry alone. The others may move too, at no cost.",
            ),
            (lambda g: sum(abs(x) for x in g), "This is the highest slope. The direction is minus the sign."),
            (lambda g: -sum(g), "An entry that is negative asks for a u of the other sign."),
        ],
    ),
    "3.1.4": Exercise(
        _whitening,
        lambda H: torch.linalg.cholesky(H).T,
        (
            (lambda H: torch.linalg.cholesky(H), "which of the two factors stands on the right"),
            (lambda H: torch.linalg.inv(torch.linalg.cholesky(H).T), "goes the other way"),
            (lambda H: H, "This is the Hessian itself."),
            (lambda H: H.diag().sqrt().diag(), "only stretches the axes"),
            (lambda H: torch.zeros_like(H), "cannot be inverted"),
            (lambda H: H[0], "one matrix"),
            (lambda H: H + torch.eye(len(H)), "no multiple of the identity"),
        ),
    ),
    "3.2.1": numbers(
        [0.5897, 0.4448, 0.4430, 0.4430],
        "The four losses",
        within=0.01,
        mistakes=[
            ([0.4509, 0.4447, 0.4431, 0.4430], "These are the losses from the start of zeros: was the line changed?"),
        ],
    ),
    "3.2.2": numbers(
        [0.2, 2 / 11, 9 / 11, 35, 11],
        "The five numbers",
        within=0.03,
        mistakes=[
            (
                [0.1, 2 / 11, 9 / 11, 35, 11],
                "The first is the fastest rate for the steepest direction alone; up to which one is it stable?",
            ),
            ([0.2, 0.1, 0.9, 66, 11], "Rate 1/L is safe, not best: the best one makes both ends shrink alike."),
            (
                [0.2, 2 / 11, 9 / 11, 35, 22],
                "With momentum the factor belongs to the square root of the condition number.",
            ),
            ([0.2, 2 / 11, 9 / 11, 3.5, 1.1], "A thousandth is ln 1000 in natural logarithms."),
        ],
    ),
    "3.2.3": function(
        lambda largest, smallest, alpha: (largest + alpha) / (smallest + alpha),
        [(8.33, 0.0188, 0.1), (10.0, 1.0, 1.0)],
        "The condition number",
        mistakes=[
            (lambda largest, smallest, alpha: largest / smallest, "This is the condition number without the penalty."),
            (
                lambda largest, smallest, alpha: largest / (smallest + alpha),
                "Every curvature is raised, the largest too.",
            ),
            (
                lambda largest, smallest, alpha: (largest + alpha / 2) / (smallest + alpha / 2),
                "The second derivative of alpha/2 times a square is alpha.",
            ),
        ],
    ),
    "3.2.4": numbers(
        [10, 18],
        "The count and the power",
        within=0.01,
        mistakes=[
            ([10, 0], "The power is that of the other order, with the small rates first."),
            ([11, 18], "One of the eleven is below the limit. Which?"),
            ([1, 18], "This counts the rates below the limit."),
            ([10, 19], "The power of ten that the loss does not reach any more. Round down."),
        ],
    ),
    "3.3.1": number(
        0.93,
        "The best loss",
        within=0.05,
        mistakes={
            0.77: "This is the best loss of the decay to a tenth: was the line changed?",
            0.87: "This is the decay to a tenth, at the peak that suits the new one.",
            1.36: "This is the loss at the lowest peak. Which of the eight is best?",
            1.01: "This is the loss at the largest peak. Which of the eight is best?",
        },
    ),
    "3.3.2": numbers(
        [0.4 / 3.6, 0.4 / 3.6 / (0.2 / 3.8), 11, 22, 10 ** (-1 / 8)],
        "The five numbers",
        within=0.025,
        mistakes=[
            (
                [0.1, 2.0, 11, 22, 10 ** (-1 / 8)],
                "This is the floor for a small rate; eta times lambda is 0.2 here and counts.",
            ),
            (
                [0.4 / 3.6, 0.4 / 3.6 / (0.2 / 3.8), 21, 43, 10 ** (-1 / 8)],
                "The excess shrinks by the square of the factor at each step: 2t.",
            ),
            (
                [0.4 / 3.6, 0.4 / 3.6 / (0.2 / 3.8), 11, 22, 10 ** (-1 / 1000)],
                "The last one is per step. Per epoch of 125 steps is asked for.",
            ),
        ],
    ),
    "3.3.3": function(
        lambda eta, lam, s2, beta: eta * s2 / 2 * (1 + beta) / ((1 - beta) * (2 + 2 * beta - eta * lam)),
        [(0.001, 1.0, 1.0, 0.9), (0.01, 0.5, 4.0, 0.5)],
        "The floor",
        mistakes=[
            (lambda eta, lam, s2, beta: eta * s2 / 4, "This is the floor without momentum."),
            (
                lambda eta, lam, s2, beta: eta * (1 - beta) * s2 / 4,
                "Momentum raises the floor: it takes longer steps, with the same noise in them.",
            ),
            (
                lambda eta, lam, s2, beta: eta / (1 - beta) * s2 / 2,
                "Twice too high: compare with eta s²/4 of plain descent.",
            ),
        ],
    ),
    "3.3.4": numbers(
        [0.005, 0.0005, 0.002, 1725],
        "The four numbers",
        within=0.04,
        mistakes=[
            (
                [0.01, 0.001, 0.004, 862],
                "These are variances. The loss above the minimum is half the curvature times that.",
            ),
            ([0.005, 0.0005, 0.002, 3450], "The excess shrinks by the square of the factor at each step: 2t."),
            (
                [0.005, 0.0005, 0.0005, 6904],
                "The floor is not the rate itself: there is a number in front of it in the box.",
            ),
            (
                [0.005, 0.0005, 0.001, 3452],
                "The floor of a small rate is a quarter of the rate times the variance of the noise, not a half.",
            ),
            (
                [0.045, 0.0045, 0.018, 190],
                "The start does not count any more after the first step: its rate multiplies the error by zero.",
            ),
        ],
    ),
    "3.4.1": numbers(
        [71, 18.6, 11.7],
        "Steps and critical batch size",
        within=0.15,
        mistakes=[
            ([149, 29, 15], "These are the numbers for a target of 0.5: was it changed in both lines?"),
        ],
    ),
    "3.4.2": numbers(
        [2000 / 3, 896, 1250, 1.28e6],
        "The four numbers",
        mistakes=[
            ([896, 2000 / 3, 1250, 1.28e6], "Which of the two is a number of steps, and which a batch size?"),
            ([2000 / 3, 896, 1250, 1250], "The last one counts steps again. Samples are steps times batch size."),
            (
                [2000 / 3, 896, 2500 / 4, 6.4e5],
                "Four times the batch size would be four times fewer steps only far below the knee.",
            ),
        ],
    ),
    "3.4.3": function(
        lambda B, S_min, B_c: S_min * (B + B_c),
        [(64, 667, 896), (896, 667, 896), (4096, 100, 50)],
        "The number of samples",
        mistakes=[
            (
                lambda B, S_min, B_c: S_min * B,
                "This takes as many steps as an infinite batch. With B samples a step it takes more.",
            ),
            (lambda B, S_min, B_c: S_min * (1 + B_c / B), "This is the number of steps. Each has B samples."),
            (lambda B, S_min, B_c: S_min * B_c, "This is the least number possible, for the smallest batches."),
        ],
    ),
    "3.4.4": function(
        lambda b, m_b, B, m_B: (m_b - m_B) / (1 / b - 1 / B) * (B - b) / (B * m_B - b * m_b),
        [(8, 10.0, 256, 1.0), (1, 5.0, 64, 2.0), (32, 0.4, 1024, 0.3)],
        "The noise scale",
        within=0.01,
        mistakes=[
            (
                lambda b, m_b, B, m_B: (m_b - m_B) / (1 / b - 1 / B),
                "This is the trace. Divide it by the squared length of the exact gradient.",
            ),
            (
                lambda b, m_b, B, m_B: (m_b - m_B) / (1 / b - 1 / B) / m_B,
                "The large batch is noisy too: its mean square is more than that of the exact gradient.",
            ),
            (
                lambda b, m_b, B, m_B: b * m_b / m_B,
                "This takes all of the small batch's length for noise, and none of the large one's.",
            ),
            (
                lambda b, m_b, B, m_B: (B * m_B - b * m_b) / (B - b) / ((m_b - m_B) / (1 / b - 1 / B)),
                "This is one over it: noise over gradient is asked for.",
            ),
        ],
    ),
}
