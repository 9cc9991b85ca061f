"""Chapter 4, practice: `gdlib/exercises/_kinds.py` says how an exercise is written down."""

import math

from gdlib import data
from gdlib.exercises._kinds import choice, function, number, numbers

_MEAN_SHARE = 1 - 0.99 * (1 - 0.99**100) / (100 * 0.01)

EXERCISES = {
    "4.1.1": numbers(
        [0.5, -1.0],
        "Rate and factor",
        mistakes=[
            (
                [1.0, 0.0],
                "That would be right for a Hessian of 1; here it is 2, as the loss has no half before its square.",
            ),
            ([0.5, 1.0], "The distance keeps its size at rate 1. And its sign?"),
            ([0.5, 0.0], "At rate 1 the step is twice as long as the one that reaches the minimum: where does it end?"),
        ],
    ),
    "4.1.2": function(
        lambda lr, trace, r2: lr / 4 * trace / (1 - lr * r2),
        [(0.02, 2.0, 14.0), (0.1, 5.0, 3.0)],
        "The floor",
        mistakes=[
            (
                lambda lr, trace, r2: lr / 4 * trace,
                "This is the floor of the box: the noise grows with the distance too.",
            ),
            (lambda lr, trace, r2: lr / 4 * trace * (1 - lr * r2), "More noise makes the floor higher, not lower."),
            (
                lambda lr, trace, r2: lr / 4 * trace * (1 + lr * r2),
                "This puts the floor of the box into the noise once. The excess itself is unknown: solve for it.",
            ),
            (
                lambda lr, trace, r2: lr / 4 * trace / (1 - 4 * lr * r2),
                "The 4 in front of the new noise meets the 4 of the box.",
            ),
        ],
    ),
    "4.1.3": numbers(
        [300 / 354, 54 / 354],
        "The factors",
        within=0.002,
        mistakes=[
            (
                [0.5, 0.5],
                "That is right for equal halves. Here one part has more patients, and each patient should count alike.",
            ),
            ([300, 54], "Each part's loss is a mean already: times its count it is a sum, and so would be the whole."),
            (
                [1, 1],
                "Two means added up weigh every patient of the small part more than one of the large, and give twice a mean.",
            ),
        ],
    ),
    "4.1.4": numbers(
        [1.0, 1.17, 1.33],
        "The factor and the two ratios",
        within=0.08,
        mistakes=[
            (
                [8.0, 1.17, 1.33],
                "The rate is eight times as high, and the batch is eight times as large: what is in the box?",
            ),
            ([1.0, 1.33, 1.17], "Look again which of the two ratios belongs to one patient."),
            ([1.0, 1 / 1.17, 1 / 1.33], "Measured over predicted is asked for, not predicted over measured."),
        ],
    ),
    "4.2.1": number(
        _MEAN_SHARE,
        "The share",
        mistakes={
            100 * _MEAN_SHARE: "A share lies between 0 and 1; this looks like per cent.",
            1
            - _MEAN_SHARE: "This is the share that is lost, or the share at the last of the 100 steps: asked for is the mean that is left.",
            1 / _MEAN_SHARE: "This is the factor that repays the loss. The share that is left is asked for.",
            1 - 0.9 * (1 - 0.9**100) / (100 * 0.1): "This is the share for a momentum of 0.9.",
        },
    ),
    "4.2.2": function(
        lambda beta, j: (1 + beta**j) / (1 - beta**j),
        [(0.9, 1), (0.9, 5), (0.5, 3)],
        "The factor",
        mistakes=[
            (
                lambda beta, j: math.sqrt((1 + beta**j) / (1 - beta**j)),
                "This is the factor of the deviation; the variance is its square.",
            ),
            (
                lambda beta, j: 1 / (1 - beta**j),
                "This is what the correction divides by. The variance needs the squares of all weights.",
            ),
            (
                lambda beta, j: 1 / (1 - beta**j) ** 2,
                "The correction enters squared, but the sum that it divides is smaller than at rest, too.",
            ),
            (
                lambda beta, j: (1 - beta**j) / (1 + beta**j),
                "Over fewer gradients the variance is larger, not smaller.",
            ),
        ],
    ),
    "4.2.3": numbers(
        [0.97, 0.67, 0.42, 0.24],
        "The suggestions",
        within=0.15,
        mistakes=[
            ([0.97, 0.49, 0.24, 0.12], "These halve exactly, as the formula says. What did the tests suggest?"),
            ([0.28, 0.13, 0.065, 0.032], "These look like the ramps with momentum: `beta=0.0`?"),
        ],
    ),
    "4.2.4": numbers(
        [-3.1, -3.0, -1.0, -15.0],
        "The powers",
        within=0.1,
        mistakes=[
            ([-3.1, -3.0, -1.0, -1.0], "The last run did not restart: is the loss compared with the one before?"),
            (
                [-1.35, -1.3, -0.43, -6.5],
                "This looks like half the powers: the last losses are asked for, not their roots.",
            ),
        ],
    ),
    "4.2.5": numbers(
        [0.01, 0.005],
        "The two rates",
        mistakes=[
            (
                [0.01, 0.00821],
                "Step 30 is right. The cosine counts from its own milestone: over how many steps does it fall?",
            ),
            (
                [0.0075, 0.00345],
                "This begins its fall at once: is there a level part between the warm-up and the cosine?",
            ),
        ],
    ),
    "4.3.1": numbers(
        [3.2, 6e-4],
        "The two rates",
        mistakes=[
            ([3.2, 1.2e-3], "SGD's is right. Adam divides by the noise already: its rate follows another rule."),
            (
                [0.1 * 32**0.5, 6e-4],
                "Adam's is right. SGD follows the other rule, and 32 times as many devices make 32 times the batch.",
            ),
            ([0.1 * 32**0.5, 1.2e-3], "The two rules have changed places."),
            ([0.1 * 8192, 3e-4 * 1024], "A rule needs the batch size for which the rate was found: the ratio counts."),
        ],
    ),
    "4.3.2": numbers(
        [6.4, 12.8, 25.6],
        "The rates that count",
        mistakes=[
            (
                [0.064, 0.128, 0.256],
                "Momentum makes the drift faster, not slower: a gradient is applied again at every later step.",
            ),
            (
                [0.64 * 1.9, 1.28 * 1.9, 2.56 * 1.9],
                "A gradient is not applied twice only, but at every later step, each time a tenth less: sum the series.",
            ),
            ([0.64, 1.28, 2.56], "These are the rates as set, without the momentum."),
        ],
    ),
    "4.3.3": numbers(
        [1.31, 1.38, 1.44, 1.44],
        "The losses",
        within=0.03,
        mistakes=[
            ([1.35, 1.49, 1.44, 1.39], "These are from the base of 0.002."),
            ([1.31, 1.38, 1.38, 1.44], "With other betas the loss should not be quite the same: did they reach Adam?"),
        ],
    ),
    "4.3.4": choice(
        "b",
        {
            "a": "Which of the three has nothing to remember? For it a new optimiser is the old one, to the last bit.",
            "c": "Adam has two memories. But momentum has one as well.",
            "d": "Momentum has a memory. But Adam has two.",
        },
    ),
    "4.3.5": numbers(
        [2, 35],
        "Sequence and tokens",
        mistakes=[
            ([1, 52], "These two are the longest: the other half then holds very few."),
            ([3, 37], "Near, but there is a shorter one left for it."),
            ([3, 35], "The tokens are right. Count the sequences from 0."),
        ],
    ),
    "4.4.1": numbers(
        [23.5, 21.4, 28.8, 25.1],
        "GB",
        mistakes=[
            ([21.1, 21.1, 21.1, 21.1], "That is weights, gradients and state alone."),
            (
                [28.8, 25.1, 28.8, 25.1],
                "All at once, gradients come as activations go: their full sizes do not add up.",
            ),
            ([23.5, 21.4, 23.5, 21.4], "In pieces the gradients of the earlier pieces are there from the start."),
        ],
    ),
    "4.4.2": number(
        0.125,
        "The smallest weight that cannot move",
        mistakes={
            0.0625: "A move of at least half the spacing is enough: which power of two has a spacing of twice the rate?",
            0.25: "From a smaller one on, too: half the spacing below 0.25 is still above the rate.",
            0.0768: "The spacing is the same within a power of two: the answer is one.",
        },
    ),
    "4.4.3": function(
        lambda layers: math.sqrt(layers) / 4,
        [(16,), (96,), (1000,)],
        "The best group",
        mistakes=[
            (
                lambda layers: math.sqrt(layers),
                "A layer keeps 16 times as much as the input of a group: that moves the optimum.",
            ),
            (lambda layers: math.sqrt(layers / 4), "The 16 stands under the root."),
            (
                lambda layers: 4 * math.sqrt(layers),
                "The other way round: what is recomputed is dear, so the groups are small.",
            ),
        ],
    ),
    "4.4.4": number(
        0.1 / 65_536,
        "The length of a step",
        mistakes={
            0.1: "The clipped gradient has length 1, but the scaler still divides it.",
            0.034: "This is the step of the true gradient. It was clipped while it was scaled.",
            1 / 65_536: "And the learning rate?",
        },
    ),
    "4.5.1": numbers(
        [6.5, 100.75, 4.03],
        "GB, GB and seconds",
        mistakes=[
            ([208, 100.75, 4.03], "Every device keeps its share of the state, not all of it."),
            ([6.5, 104, 4.16], "A process does not send its own part: 31 of 32."),
            (
                [6.5, 75.56, 3.02],
                "Weights are gathered twice, in 2 bytes each, and gradients are added up in 4: eight bytes.",
            ),
        ],
    ),
    "4.5.2": function(
        lambda k, short, long: (k - 1) * (short - long) / (2 * (1 + k)),
        [(3.0, 2.0, 1.0), (10.0, 1.0, 4.0)],
        "The difference",
        mistakes=[
            (
                lambda k, short, long: (k - 1) * (long - short) / (2 * (1 + k)),
                "The plain average less the mean over tokens is asked for: the sign.",
            ),
            (lambda k, short, long: (short + long) / 2, "This is the plain average itself."),
            (lambda k, short, long: (short + k * long) / (1 + k), "This is the mean over tokens itself."),
        ],
    ),
    "4.5.4": function(
        lambda k: (k + 1 / k) / 2,
        [(2**0.5,), (0.5,), (3.0,)],
        "The factor",
        mistakes=[
            (lambda k: k, "Saving more rarely also costs fewer saves: two terms."),
            (lambda k: k + 1 / k, "At the best interval the factor must be 1."),
            (lambda k: (k + 1 / k) / 2 - 1, "This is the part that is added. The factor is asked for."),
        ],
    ),
    "4.6.1": numbers(
        [5.504, 88.06],
        "Hours and dollars",
        within=0.02,
        mistakes=[
            ([44.03, 704.5], "Eight devices share the work: the hours are for all of them together."),
            ([5.504, 11.01], "Each of the eight devices is paid for every hour."),
            ([1.651, 26.42], "That is at the full peak. Three tenths of it do useful work."),
            ([0.2293, 88.06], "The plan counts in days; hours are asked for."),
        ],
    ),
    "4.6.2": function(
        lambda layers, h, V: (12 * layers * h + V) / (12 * layers * h + 2 * V),
        [(12, 768, 50257), (2, 32, 225)],
        "The share",
        within=0.01,
        mistakes=[
            (
                lambda layers, h, V: 12 * layers * h / (12 * layers * h + V),
                "There is a vocabulary before the doubling, too.",
            ),
            (
                lambda layers, h, V: (12 * layers * h + 2 * V) / (12 * layers * h + V),
                "This is how much dearer a token becomes. Its number must fall by as much.",
            ),
            (lambda layers, h, V: 0.5, "Only the head doubles; the layers cost what they did."),
        ],
    ),
    "4.6.3": number(
        0.1294,
        "The MFU",
        within=0.02,
        mistakes={
            0.0431: "This counts the forward pass alone. The backward pass takes twice as much again.",
            0.0216: "Count the FLOP of a token for each parameter: six, not one.",
            0.00108: "The interval holds 120 steps, not ten.",
        },
    ),
    "4.6.4": numbers(
        data.batch_indices(10_000, 1120, 16).tolist(),
        "The samples",
        within=1e-9,
        mistakes=[
            (data.batch_indices(10_000, 1600, 16).tolist(), "The first 60 steps took 8 samples each."),
            (data.batch_indices(10_000, 1136, 16).tolist(), "This is the batch after it: steps are counted from 0."),
            (list(range(1120, 1136)), "These are places in the order of the pass, not the samples that stand there."),
        ],
    ),
}
