"""Chapter 2, core concepts: `gdlib/exercises/_kinds.py` says how an exercise is written down."""

from gdlib.exercises._kinds import function, number, numbers

EXERCISES = {
    "2.1": numbers(
        [0.0623, 0.1247],
        "The two ratios",
        within=0.03,
        mistakes=[
            (
                [0.125, 0.25],
                "These are the ratios with 16 samples: was the line changed? The gradient that the cell divides by is still that of 16.",
            ),
            (
                [1 / 32, 1 / 16],
                "This divides the rate by four. The move is the rate times a mean, and a mean does not grow with the batch.",
            ),
            ([0.5, 1.0], "This multiplies the rate by four, as if the gradients of the batch were added up."),
        ],
    ),
    "2.2": number(
        0.1 * 2 / 64 / 10,
        "The rate",
        mistakes={
            0.1 * 2 / 64: "Momentum 0.9 applies each gradient ten times in all: that is missing.",
            0.1 / 64 / 10: "The batch has doubled: for the same curve against samples the rate has to follow.",
            0.1 * 2 / 10: "The loss is a sum now, and its gradient that much larger.",
            0.1 * 2 / 32 / 10: "The sum is over the batch that is used now, not the old one.",
            0.1 * 2 / 64 * 10: "Momentum makes the moves longer, so that the rate has to be smaller.",
        },
    ),
    "2.3": function(
        lambda n, B: (n - B) / (n - 1),
        [(1000, 10), (100, 50), (10, 9)],
        "The factor",
        within=0.002,
        mistakes=[
            (
                lambda n, B: (n - B) / n,
                "Nearly. For B = 1 nothing is drawn twice in any case, and the factor must be 1.",
            ),
            (lambda n, B: (n - B) / (B * (n - 1)), "This holds the 1/B already. What is asked for stands beside it."),
            (
                lambda n, B: 1 - B * (B - 1) / (n * (n - 1)),
                "The pairs within a batch: each has the mean product -tr/(n - 1), and there are B(B - 1) of them, over B squared.",
            ),
        ],
    ),
    "2.4": numbers(
        [0.233, 0.234, 0.345, 2.265],
        "The four losses",
        within=0.08,
        mistakes=[
            (
                [0.233] * 4,
                "These do not change at all, as with the factor 100. Compare the gradient with epsilon: how small has it become?",
            ),
            (
                [0.233, 2.265, 2.265, 2.265],
                "Any smaller factor stops it here. Adam divides by the size of the gradient, as long as epsilon is the smaller of the two.",
            ),
            (
                [0.233, 0.233e-4, 0.345e-6, 2.265e-8],
                "These losses are multiplied by the factor. Compare the losses themselves: `mean_loss` gives them.",
            ),
        ],
    ),
}
