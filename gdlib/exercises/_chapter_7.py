"""Chapter 7, challenges: `gdlib/exercises/_kinds.py` says how an exercise is written down."""

import math

from gdlib.exercises._kinds import compared, function, number, numbers

_LEAST = math.log(math.e + 99) - 1

EXERCISES = {
    "7.1.1": numbers(
        [208, 71.5, 48.75, 26, 16.25],
        "The five numbers, in GB,",
        within=0.01,
        mistakes=[
            ([208, 26, 26, 26, 16.25], "Only stage 3 shares all of it. Stage 1 shares the optimiser's state alone."),
            ([208, 71.5, 48.75, 26, 130], "The last one is for all eight devices together."),
            (
                [156, 45.5, 32.5, 19.5, 16.25],
                "One of the shares is missing: the copy of the weights in 32 bits counts, too.",
            ),
        ],
    ),
    "7.1.3": function(
        lambda h, layers, V: (12 * h * layers + V) / (14 * layers + 1),
        [(128, 4, 97), (4096, 32, 50000)],
        "The number of tokens",
        within=0.01,
        mistakes=[
            (
                lambda h, layers, V: 12 * h * layers / (14 * layers + 1),
                "The table of the vocabulary is copied in 16 bits as well.",
            ),
            (
                lambda h, layers, V: (12 * h * layers + V) / (28 * layers + 2),
                "The copy has 2 bytes a weight, and both sides of the equation are in bytes.",
            ),
        ],
    ),
    "7.2.1": numbers(
        [1_024_000, 30_720],
        "The two numbers of tokens",
        mistakes=[
            ([102_400, 30_720], "One per cent is 0.01, not 0.1."),
            ([1_024_000, 40_960], "A quarter fewer steps: 0.75 times what a step costs has to be below 1."),
            ([204_800, 6_144], "Muon's iteration has five rounds."),
        ],
    ),
    "7.2.2": function(
        lambda runs, wider: runs / wider**2,
        [(7, 16), (10, 4)],
        "The share",
        mistakes=[
            (lambda runs, wider: runs / wider, "A hidden layer's arithmetic goes with both of its sides."),
            (lambda runs, wider: runs, "This is the search at full width."),
            (lambda runs, wider: 1 / wider**2, "This is one run of the search."),
        ],
    ),
    "7.2.3": compared(),
    "7.2.4": compared(),
    "7.3.1": numbers(
        [0.30, 0.33, 800],
        "The three numbers",
        within=0.01,
        mistakes=[
            ([0.27, 0.297, 800], "The training error is below the noise: the fit has taken its share of it."),
            ([0.30, 0.30, 800], "The parameters carry the noise that they have learnt into the new prediction."),
            ([0.30, 0.33, 1600], "The gap goes with 1/n, not with its root."),
            ([0.297, 0.327, 800], "Divide by 1 - p/n; do not multiply by 1 + p/n."),
        ],
    ),
    "7.3.2": function(
        lambda c, eta, t: sum(1 - (1 - eta * x) ** t for x in c),
        [((1.0, 0.1, 0.01), 0.5, 10), ((2.0, 0.5), 0.1, 3)],
        "The number of parameters in use",
        mistakes=[
            (
                lambda c, eta, t: sum((1 - eta * x) ** t for x in c),
                "This counts what is not in use yet: at t = 0 it should be nothing.",
            ),
            (
                lambda c, eta, t: sum((1 - (1 - eta * x) ** t) ** 2 for x in c),
                "The squares cancel in the gap: the trace of H is left, not that of its square.",
            ),
            (lambda c, eta, t: float(len(c)), "This is all of them, after infinitely many steps."),
        ],
    ),
    "7.4.1": number(
        _LEAST,
        "The least loss",
        within=0.001,
        mistakes={
            math.log(math.e + 9) - 1: "This is the least loss for ten classes. A hundred are asked for.",
            math.log(100): "This is the loss of guessing. The right class still gets a little more than the others.",
            math.log(math.e + 100) - 1: "One class is the right one: ninety-nine others are left.",
        },
    ),
    "7.3.3": compared(),
    "7.3.4": compared(),
}
