"""What training a large transformer costs: compute, memory, time and money, by the formulas practitioners use.

The numbers are estimates for a decoder-only transformer. Each function says what it leaves out.
"""

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

STATE_BYTES = {"sgd": 0, "momentum": 4, "adamw": 8}
"""Bytes of optimiser state that a parameter needs, for none, one or two fp32 numbers."""

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


def training_memory(
    parameters: float, precision: str = "mixed", optimizer: str = "adamw", remedy: str = "none"
) -> dict[str, float]:
    """Bytes that weights, gradients and optimiser state take, over all devices together.

    In ``"fp32"`` weights and gradients take 4 bytes a parameter each. In ``"mixed"`` they take 2 each, and an fp32 copy of the
    weights, counted with the optimiser's state, takes 4 more: 16 bytes a parameter with AdamW (Rajbhandari et al. 2020,
    section 3.1). With ``"8-bit state"`` the optimiser's own numbers take a byte each (Dettmers et al. 2022), with ``"low rank"``
    gradients, state and copy are those of `LOW_RANK` of the parameters (Hu et al. 2022). Activations depend on shape and batch:
    see `activation_memory`.

    Args:
        parameters: how many; positive.
        precision: ``"fp32"`` or ``"mixed"`` (bf16 or fp16 with an fp32 copy of the weights).
        optimizer: ``"sgd"``, ``"momentum"`` or ``"adamw"``.
        remedy: one of `REMEDIES`.

    Returns:
        ``{"weights", "gradients", "optimizer"}``, in bytes.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> sum(training_memory(7e9).values()) / 1e9
        112.0
    """
    n = _check.positive("parameters", parameters)
    _check.one_of("precision", precision, ("fp32", "mixed"))
    _check.one_of("optimizer", optimizer, STATE_BYTES)
    width, copy = (4, 0) if precision == "fp32" else (2, 4)
    _check.one_of("remedy", remedy, REMEDIES)
    state = copy + STATE_BYTES[optimizer] / (4 if remedy == "8-bit state" else 1)
    trained = n * (LOW_RANK if remedy == "low rank" else 1)
    return {"weights": width * n, "gradients": width * trained, "optimizer": state * trained}


def activation_memory(
    parameters: float, tokens_per_device: int = 2048, precision: str = "mixed", remedy: str = "none"
) -> float:
    r"""Bytes of activations that one device keeps for the backward pass, with an attention that stores no scores.

    .. math:: A \approx 34\, t\, h\, l \quad\text{in 16 bits}, \qquad N \approx 12\, l\, h^2

    for :math:`t` tokens at a time, :math:`l` layers of width :math:`h` (Korthikanti et al. 2022, equation 2, without its
    attention term; Dao et al. 2022 for why it may go). The shape is taken as :math:`h = 128\, l`, that of GPT-3. With
    ``"recompute"`` each layer keeps its input alone, and one layer at a time all the rest: :math:`2\, t\, h\, l + 34\, t\, h`.

    Raises:
        TypeError, ValueError: if an argument is not positive, or ``precision`` or ``remedy`` is unknown.

    Example:
        >>> f"{activation_memory(175e9) / 1e9:.0f} GB"  # 96 layers of width 12,288
        '82 GB'
    """
    n = _check.positive("parameters", parameters)
    tokens = _check.whole("tokens_per_device", tokens_per_device)
    _check.one_of("precision", precision, ("fp32", "mixed"))
    width = (128.0 * n / 12.0) ** (1 / 3)
    layers = width / 128.0
    kept = 2.0 * layers + 34.0 if _check.one_of("remedy", remedy, REMEDIES) == "recompute" else 34.0 * layers
    return (1.0 if precision == "mixed" else 2.0) * kept * tokens * width


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
