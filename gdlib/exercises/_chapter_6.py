"""Chapter 6, tools: `gdlib/exercises/_kinds.py` says how an exercise is written down."""

import math

from gdlib.exercises._kinds import function, number, numbers

EXERCISES = {
    "6.1.1": numbers(
        [10.05, 9.95],
        "The two sums",
        within=0.002,
        mistakes=[
            ([9.95, 10.05], "Which of the two is in the right order?"),
            ([10.05, 10.05], "With the scheduler first the rate of step 0 is never used."),
            ([10, 9.9], "The rate at step 0 is the peak, so the sum is a little more than half of peak times steps."),
        ],
    ),
    "6.1.2": function(
        lambda beta, age: (1 - beta ** (age + 1)) / (1 - beta),
        [(0.9, 0), (0.9, 5), (0.5, 100)],
        "The weight",
        mistakes=[
            (lambda beta, age: beta**age, "This is its weight with zero_grad."),
            (
                lambda beta, age: (1 - beta**age) / (1 - beta),
                "A gradient of age 0 counts once: the sum begins with it.",
            ),
            (lambda beta, age: 1 / (1 - beta), "This is the weight of a very old gradient. A new one has less."),
        ],
    ),
    "6.2.1": numbers(
        [4.6, 36],
        "Ratio and steps",
        within=0.02,
        mistakes=[
            (
                [5, 36],
                "Five times is the old rate over the new. The newest gradient is in Keras's step at the new rate already.",
            ),
            ([4.6, 44], "This is where they are within 5 %."),
            ([4.6, 0.1 * 36], "Ten steps forget all but a third: count on."),
            ([1 / 4.6, 36], "This is PyTorch's step over Keras's."),
        ],
    ),
    "6.2.2": function(
        lambda m: m / (1 - m),
        [(0.9,), (0.5,), (0.99,)],
        "The delay",
        mistakes=[
            (lambda m: 1 / (1 - m), "One too many: the newest gradient is zero steps old."),
            (lambda m: math.log(2) / -math.log(m), "This is the half-life. The mean age is asked for."),
        ],
    ),
    "6.3.1": number(
        0.75,
        "The share",
        mistakes={0.25: "This is the share of the sentence. The padding's is asked for."},
    ),
    "6.4.1": numbers(
        [2, 13, 130],
        "Per cent, seconds and milliseconds",
        mistakes=[
            ([0.02, 13, 130], "The first one is a share; per cent is asked for."),
            ([2, 13_000, 130], "The second one is in milliseconds; seconds are asked for."),
            ([2, 13, 1.3], "The overhead is one per cent of which step?"),
            ([2, 650, 130], "This is how long the steps take. By how much longer does it take?"),
        ],
    ),
    "6.4.2": function(
        lambda overhead, plain, arithmetic: max(overhead, arithmetic) / max(plain, arithmetic),
        [(3.0, 1.0, 0.5), (3.0, 1.0, 2.0), (3.0, 1.0, 5.0)],
        "The ratio",
        mistakes=[
            (
                lambda o, p, a: (o + a) / (p + a),
                "This is the model with the sum. When both go on at once, the longer one counts.",
            ),
            (lambda o, p, a: o / p, "Without arithmetic this is right. With much of it the ratio becomes 1."),
        ],
    ),
}
