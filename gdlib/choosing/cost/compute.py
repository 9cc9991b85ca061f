"""Floating-point operations, and the days, dollars and devices that they take."""

import math
from typing import NamedTuple

from gdlib import _check


class Hardware(NamedTuple):
    """A device to rent.

    ``peak`` is in FLOP/s by precision, dense and without sparsity, as its maker's data sheet gives it; ``memory`` in bytes;
    ``price`` in US dollars an hour, a round figure for renting one on demand in 2025, to be replaced by your own.

    Example:
        >>> HARDWARE["H100"].memory / 1e9
        80.0
    """

    peak: dict[str, float]
    memory: float
    price: float


HARDWARE = {
    "A100": Hardware({"fp32": 19.5e12, "mixed": 312e12}, 80e9, 2.0),
    "H100": Hardware({"fp32": 67e12, "mixed": 989e12}, 80e9, 3.0),
    "RTX 4090": Hardware({"fp32": 82.6e12, "mixed": 165e12}, 24e9, 0.5),
}

REMEDIES = ("none", "recompute", "8-bit state", "low rank")
"""Ways to need less memory: recomputing activations, optimiser state in 8 bits, training a low-rank addition to frozen weights."""

LOW_RANK = 0.01
"""Parameters that a low-rank addition trains, as a share of those it is added to: a rank of 32 or so in a model of a few billion."""


def training_flops(parameters: float, tokens: float, remedy: str = "none") -> float:
    r"""Floating-point operations of a training run.

    .. math:: C \approx 6 N D

    Two for each parameter and token in the forward pass (a multiplication and an addition), four in the backward pass. With
    ``"recompute"`` the forward pass is done twice: 8 N D. With ``"low rank"`` the frozen weights need no gradient: 4 N D.
    Attention over the context is left out: a small share while the context is short against 6 × the width (Kaplan et al.
    2020, section 2.1).

    Args:
        parameters: :math:`N`, without embeddings; positive.
        tokens: :math:`D`, tokens seen in training; positive.
        remedy: one of `REMEDIES`.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> f"{training_flops(7e9, 140e9):.2e}"  # 20 tokens a parameter, Hoffmann et al. 2022
        '5.88e+21'
    """
    each = {"recompute": 8.0, "low rank": 4.0}.get(_check.one_of("remedy", remedy, REMEDIES), 6.0)
    return each * _check.positive("parameters", parameters) * _check.positive("tokens", tokens)


def utilization(parameters: float, tokens: float, seconds: float, peak: float, devices: int = 1) -> float:
    r"""Share of the hardware's peak that does useful work: MFU, model FLOP utilisation (Chowdhery et al. 2022, appendix B).

    .. math:: \text{MFU} = \frac{6 N D}{k P t}

    for :math:`D` tokens in :math:`t` seconds on :math:`k` devices of :math:`P` FLOP/s. What is computed twice is counted once.
    Attention over the context is left out, as in `training_flops`: with a context of :math:`T` and a width of :math:`h` it would add
    :math:`T / 6h` of the whole.

    Args:
        parameters: :math:`N`, those that multiply something: with an embedding that is the head too, all but positions; positive.
        tokens: tokens of so many steps; positive.
        seconds: that these steps took; positive.
        peak: of one device, in FLOP/s, at the precision used; positive.
        devices: how many.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> f"{utilization(124e6, tokens=16 * 1024, seconds=0.1, peak=312e12):.0%}"
        '39%'
    """
    seconds, peak = _check.positive("seconds", seconds), _check.positive("peak", peak)
    return training_flops(parameters, tokens) / seconds / peak / _check.whole("devices", devices)


def training_days(flops: float, devices: int, peak: float, utilization: float = 0.4) -> float:
    """Days that ``devices`` of ``peak`` FLOP/s each need, of which the share ``utilization`` does useful work.

    Utilizations of 0.3 to 0.5 are usual for large models (Chowdhery et al. 2022, table 3). Failures, restarts, evaluations and
    runs that were thrown away are left out.

    Raises:
        TypeError, ValueError: if an argument is not positive, or ``utilization`` is above 1.

    Example:
        >>> f"{training_days(training_flops(7e9, 140e9), devices=64, peak=312e12):.1f} days"
        '8.5 days'
    """
    _check.number("utilization", utilization, high=1.0)
    rate = (
        _check.whole("devices", devices) * _check.positive("peak", peak) * _check.positive("utilization", utilization)
    )
    return _check.positive("flops", flops) / rate / 86400.0


def devices_needed(bytes_in_all: float, memory: float, activations: float = 0.0) -> float:
    """How many devices of ``memory`` bytes hold ``bytes_in_all`` shared evenly, beside ``activations`` bytes on each.

    Infinite where the activations alone do not fit. The framework's own memory, and what fragmentation wastes, are left out.

    Raises:
        TypeError, ValueError: if an argument is not positive, or ``activations`` is negative.

    Example:
        >>> devices_needed(112e9, memory=80e9, activations=10e9)
        2
    """
    room = _check.positive("memory", memory) - _check.number("activations", activations, low=0.0)
    return math.ceil(_check.positive("bytes_in_all", bytes_in_all) / room) if room > 0 else math.inf
