"""A run planned from three numbers: parameters, tokens, devices. Everything else follows by a rule that can be looked up."""

import math
from typing import NamedTuple

from gdlib import _check
from gdlib.choosing.cost.compute import HARDWARE, Hardware, training_days, training_flops
from gdlib.choosing.cost.memory import VOCABULARY, Shape
from gdlib.choosing.cost.peak import step_memory
from gdlib.choosing.cost.traffic import LINKS, network_share

PROPORTION = 64
"""Width of GPT-2's smallest model, and of the next, for each of its layers (64 and 43; GPT-3 has 128)."""

ROOM = 0.9
"""Share of a device's memory that a plan fills: the rest is for the driver, workspaces and fragments."""

SEQUENCES = 64
"""At most so many go through a device at a time: beyond, a step takes as much longer as it has more to do."""

TRIED = (("ddp", "none"), ("fsdp", "none"), ("fsdp", "recompute"))
"""How several devices may share the work, and a remedy: what a plan tries. One device alone tries the remedy."""


class Plan(NamedTuple):
    """What `plan` found; memory in bytes, batches in tokens, prices in US dollars.

    Attributes:
        shape: of the model.
        flops: of the whole run, what is computed twice counted twice.
        data: bytes of the tokens on disk, two each.
        way: ``"alone"``, ``"ddp"`` or ``"fsdp"``.
        remedy: ``"none"`` or ``"recompute"``.
        fits: whether ``memory`` is at most `ROOM` of a device's; where no way is, everything else is of the last tried.
        memory: what a device holds at the fullest moment of a step, by `step_memory`.
        sequences: that go through a device at a time.
        micro_batches: how often in a step.
        batch: tokens of a step, all devices' together.
        steps: of the run.
        lr: the rate at the top of its schedule, for AdamW.
        network: seconds of sending for each second of computing, by `network_share`.
        days: of the longer of the two, computing and sending.
        dollars: for all devices.

    Example:
        >>> plan(7e9, tokens=1.4e11, devices=64)._replace(memory={}).way
        'fsdp'
    """

    shape: Shape
    flops: float
    data: float
    way: str
    remedy: str
    fits: bool
    memory: dict[str, float]
    sequences: int
    micro_batches: int
    batch: int
    steps: int
    lr: float
    network: float
    days: float
    dollars: float


def gpt2_shape(parameters: float, vocabulary: int = VOCABULARY, context: int = 1024) -> Shape:
    """The shape of so many parameters, embedding and positions among them, in layers of GPT-2's proportions: ``width = 64 × layers``.

    Neither width nor layers need be whole. Larger models are wider for their depth; what a plan takes from the shape, activations, is
    then a quarter less at 175 billion parameters.

    Args:
        parameters: all of them; at least a million.
        vocabulary, context: as in `Shape`.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> layers, width, *_ = gpt2_shape(124_439_808)  # GPT-2's smallest has 12 layers of 768
        >>> round(layers, 6), round(width, 6)
        (12.0, 768.0)
    """
    wanted = _check.number("parameters", parameters, low=1e6)
    outside = _check.whole("vocabulary", vocabulary) + _check.whole("context", context) + 2
    width = (PROPORTION * wanted / 12) ** (1 / 3)  # above the root of a convex function: Newton comes down to it
    for _ in range(60):
        value = width * (outside + width * (13 + 12 * width) / PROPORTION) - wanted
        width -= value / (outside + width * (26 + 36 * width) / PROPORTION)
    return Shape(width / PROPORTION, width, vocabulary, context)


def plan(
    parameters: float | Shape,
    tokens: float,
    devices: int = 1,
    hardware: str = "A100",
    utilization: float = 0.4,
    link: str = "InfiniBand",
) -> Plan:
    r"""A run of a GPT with AdamW in mixed precision: what it takes, and with what to begin.

    Batch and rate are the Step Law's (Li et al. 2025), fitted to 3,700 runs of transformers:

    .. math:: B = 0.58\, D^{0.571} \text{ tokens}, \qquad \eta = 1.79\, N^{-0.713} D^{0.307}

    for :math:`D` tokens and :math:`N` parameters without embeddings. They are where to begin, and a range test at the run's own size
    is what decides. The batch is a whole number of sequences on each device, one at least. The way is the fastest that fits into `ROOM`
    of a device's memory: a whole model on each device, a shared one, or a shared one that recomputes its activations; with as many
    sequences at a time as fit, at most `SEQUENCES`.

    Left out: validation, failures and restarts, runs that are thrown away, tensor and pipeline parallelism, people.

    Args:
        parameters: a `Shape`; or how many, all of them, at least a million, in the shape that `gpt2_shape` gives them.
        tokens: seen in training; at least a million.
        devices: how many.
        hardware: a name in `HARDWARE`.
        utilization: MFU, above 0 and at most 1.
        link: a name in `LINKS`.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> found = plan(124e6, tokens=20 * 124e6, hardware="H100", utilization=0.2)
        >>> f"{24 * found.days:.1f} hours, ${found.dollars:.0f}, {found.steps} steps of {found.batch:,} tokens at {found.lr:.4f}"
        '2.6 hours, $8, 18488 steps of 134,144 tokens at 0.0031'
    """
    shape = parameters if isinstance(parameters, Shape) else gpt2_shape(parameters)
    tokens, devices = _check.number("tokens", tokens, low=1e6), _check.whole("devices", devices)
    utilization = _check.share("utilization", utilization)
    device = HARDWARE[_check.one_of("hardware", hardware, HARDWARE)]
    speed = LINKS[_check.one_of("link", link, LINKS)]
    found = [_by(way, remedy, shape, tokens, devices, device, utilization, speed) for way, remedy in TRIED]
    return min((one for one in found if one.fits), key=lambda one: one.days, default=found[-1])


def _by(
    way: str, remedy: str, shape: Shape, tokens: float, devices: int, device: Hardware, utilization: float, speed: float
) -> Plan:
    """The plan by one way: as many sequences at a time as fit, one where none does."""
    share = max(1, math.floor(0.58 * tokens**0.571 / shape.context / devices + 0.5))
    for sequences in range(min(share, SEQUENCES), 0, -1):
        pieces = math.ceil(share / sequences)
        together = math.ceil(share / pieces)  # of about one size
        early = {"accumulate": pieces > 1, "devices": devices, "parallel": way}
        held = step_memory(shape, together * shape.context, remedy=remedy, **early)
        fits = sum(held.values()) <= ROOM * device.memory
        if fits:
            break
    batch = share * devices * shape.context
    rate, network = utilization * device.peak["mixed"], 0.0
    if devices > 1:
        network = network_share(shape, batch, devices, way, rate, speed, "mixed", pieces)
    flops = training_flops(shape.matrices, tokens, remedy)
    days = training_days(flops, devices, device.peak["mixed"], utilization) * max(1.0, network)
    inside = 12 * shape.layers * shape.width**2
    return Plan(
        shape=shape, flops=flops, data=2 * tokens, way="alone" if devices == 1 else way, remedy=remedy, fits=fits,
        memory=held, sequences=together, micro_batches=pieces, batch=batch, steps=math.ceil(tokens / batch),
        lr=1.79 * inside**-0.713 * tokens**0.307, network=network, days=days, dollars=days * 24 * devices * device.price,
    )  # fmt: skip
