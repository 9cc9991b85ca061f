"""Chapter 3, algorithms: `gdlib/exercises/_kinds.py` says how an exercise is written down."""

import math

from gdlib.exercises._kinds import function, numbers

_ANGLE = math.degrees(math.acos(11 / math.sqrt(101 * 2)))

EXERCISES = {
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
}
