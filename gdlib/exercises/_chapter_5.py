"""Chapter 5, applications: `gdlib/exercises/_kinds.py` says how an exercise is written down."""

import math

from gdlib.exercises._kinds import function, number, numbers

_DENSE = 16 * 112**2 * (3 * 224**2 + 1)

EXERCISES = {
    "5.1.1": numbers(
        [5e-5, 200_000],
        "Weight decay and step",
        mistakes=[
            (
                [0.1, 100],
                "`C` weighs a sum over the rows, `weight_decay` stands beside a mean: the number of rows is missing.",
            ),
            ([5e-5, 20_000], "This is rate times step. Divide by the rate."),
            ([5e-3, 2_000], "The penalty is one over `C` and over the number of rows: `C` is not a penalty."),
        ],
    ),
    "5.1.2": number(
        71,
        "The condition number",
        within=0.03,
        mistakes={
            444: "This is the condition number without the penalty.",
            44.4: "The penalty is added to every curvature; it does not divide them.",
        },
    ),
    "5.1.3": numbers(
        [42, 6],
        "The best stops",
        within=0.2,
        mistakes=[
            ([42, 4.2], "The second is what the formula predicts. What was measured?"),
            ([42, 42], "Momentum did not change anything: did it reach the optimiser?"),
        ],
    ),
    "5.1.4": number(
        0.047,
        "The difference",
        within=0.3,
        mistakes={
            -0.047: "Which was to be taken from which? Adam's error comes first.",
            0.68: "This is Adam's error itself. Take gradient descent's from it.",
        },
    ),
    "5.2.1": numbers(
        [6090, 448, _DENSE],
        "The counts",
        within=1e-4,
        mistakes=[
            (
                [16 * 9 + 32 * 16 * 9 + 10 * 128, 16 * 27, 16 * 112**2 * 3 * 224**2],
                "The biases are missing: one for each filter, each output.",
            ),
            ([6090, 160, _DENSE], "The second one's pictures have three colours."),
            (
                [6090, 448, 16 * 224**2 * (3 * 224**2 + 1)],
                "With a stride of 2 there are half as many places in each direction.",
            ),
            ([6090, 448, 16 * (3 * 224**2 + 1)], "A dense layer has an output for each filter *at each place*."),
        ],
    ),
    "5.2.2": function(
        lambda first_column, i, j: first_column[(i - j) % len(first_column)],
        [((1.0, 2.0, 4.0, 8.0), i, j) for i in range(4) for j in range(4)],
        "The entry",
        mistakes=[
            (
                lambda w, i, j: w[(j - i) % len(w)],
                "This matrix commutes with the move too, but the first column is another one: what is M[i, 0]?",
            ),
            (
                lambda w, i, j: w[(i + j) % len(w)],
                "Moving both indices by one must not change the entry: i + j changes by two.",
            ),
            (lambda w, i, j: w[i], "All columns are equal here. The column j is the first one moved by j places."),
        ],
    ),
    "5.2.3": number(
        0.47,
        "The accuracy on the moved pictures",
        within=0.12,
        mistakes={
            0.965: "This is the usual test set. One pixel aside is asked for.",
        },
    ),
    "5.2.4": numbers(
        [0.88, 0.80],
        "The accuracies",
        within=0.05,
        mistakes=[
            ([0.96, 0.9], "These look like the training curves. The test curves count."),
            ([0.80, 0.80], "Noise should cost hardly anything: is it added while testing, too?"),
        ],
    ),
    "5.3.1": numbers(
        [200_000 * 2.08 / math.log(2) / 8, 4 * 2.08 / math.log(2)],
        "Bytes and bits",
        mistakes=[
            ([200_000 * 2.08 / 8, 4 * 2.08], "The loss is in nats. A file is in bits: how many bits is a nat?"),
            ([200_000 * 2.08 * math.log(2) / 8, 4 * 2.08 * math.log(2)], "A nat is more than a bit, not less."),
            ([200_000 * 2.08 / math.log(2), 4 * 2.08 / math.log(2)], "The first one is in bits; a byte has eight."),
            (
                [200_000 * 2.08 / math.log(2) / 8, 2.08 / math.log(2) / 4],
                "A token stands for four characters: it takes more bits, not fewer.",
            ),
        ],
    ),
    "5.3.2": function(
        lambda eps: -math.log2(1 - eps),
        [(0.01,), (0.1,), (0.5,)],
        "The most that is lost",
        mistakes=[
            (lambda eps: -math.log(1 - eps), "This is in nats; bits are asked for."),
            (
                lambda eps: -math.log2(eps),
                "With the uniform part alone the loss would be bounded by about this. But most of q is still there.",
            ),
            (lambda eps: math.log2(1 - eps), "The loss of a code is minus a logarithm: the sign."),
        ],
    ),
    "5.3.3": numbers(
        [[3.46, 2.72], [3.47, 3.06]],
        "The bits",
        within=0.04,
        mistakes=[
            ([[3.47, 3.06], [3.46, 2.72]], "The rates have changed places: the first row is the lower one's."),
            ([[2.4, 1.89], [2.41, 2.12]], "These are nats. A nat is 1.44 bits."),
            ([[7.79, 6.12], [7.81, 6.89]], "These are bits a token. How many characters has a token?"),
        ],
    ),
    "5.3.4": numbers(
        [3.04, 3.67],
        "The bits",
        within=0.04,
        mistakes=[
            ([3.67, 3.04], "Which of the two read tokens?"),
            ([6.84, 3.67], "The first is in bits a token. How many characters has a token?"),
            ([3.04, 2.54], "The second is in nats."),
        ],
    ),
}
