"""Chapter 2, core concepts: `gdlib/exercises/_kinds.py` says how an exercise is written down."""

from gdlib.exercises._kinds import function, number

EXERCISES = {
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
}
