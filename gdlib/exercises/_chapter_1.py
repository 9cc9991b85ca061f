"""Chapter 1, background: `gdlib/exercises/_kinds.py` says how an exercise is written down."""

from gdlib.exercises._kinds import number, numbers

_FLOPS, _DAYS = 6 * 70e9 * 1.4e12, 6 * 70e9 * 1.4e12 / (1024 * 312e12 * 0.4) / 86400

EXERCISES = {
    "1.1": number(
        4 - 2 * 4096 / 82560,
        "The ratio",
        within=0.005,
        mistakes={
            4 - 2 * 16384 / 1264128: "This is the ratio at width 256: was the line changed?",
            4
            - 4096
            / 82560: "The first layer is passed twice less, not once: neither its inputs' gradient nor what it is added to is needed.",
        },
    ),
    "1.2": numbers(
        [_FLOPS, _DAYS, 1120],
        "FLOP, days and GB",
        within=0.03,
        mistakes=[
            (
                [_FLOPS / 3, _DAYS / 3, 1120],
                "This counts the forward pass alone. The backward pass costs twice as much again.",
            ),
            ([_FLOPS, 0.4 * _DAYS, 1120], "The devices reach 40 % of what the data sheet promises."),
            ([_FLOPS, _DAYS * 24, 1120], "These are hours. Days are asked for."),
            (
                [_FLOPS, _DAYS, 140],
                "These are the 16-bit weights alone: gradients, a 32-bit copy and AdamW's two means come on top.",
            ),
        ],
    ),
    "1.3": number(
        0.28 / 0.62,
        "The exponent",
        mistakes={
            0.34 / 0.62: "This is the exponent with which the tokens grow. The parameters have the other one.",
            0.28
            / 0.34: "The exponents add up in the denominator: multiply the derivative by N to the power of alpha + 1, and solve for N.",
        },
    ),
    "1.4": numbers(
        [0.1275, 1.2233],
        "The two factors",
        within=0.03,
        mistakes=[
            (
                [0.1275, 4 / 3],
                "The second is what one whole forward pass more would cost. Count: is all of it computed again?",
            ),
            (
                [1 / 16, 1.2233],
                "The first leaves out the end of the model, which keeps its numbers either way.",
            ),
            (
                [0.1275, 1.0],
                "The second says that nothing is computed again: was the model that recomputes counted?",
            ),
            ([1 / 0.1275, 1.2233], "The first is before over after. Asked for is after over before."),
        ],
    ),
}
