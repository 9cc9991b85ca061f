"""Bytes that devices send each other in a step, and whether the network or the arithmetic takes longer.

The collectives are rings: to add up (all-reduce) a tensor of :math:`G` bytes over :math:`N` devices each of them sends
:math:`2 (N-1)/N \\, G`; to gather it, or to add up and keep a share (reduce-scatter), half of that.
"""

from gdlib import _check
from gdlib.choosing.cost.memory import PRECISIONS, WIDE, Shape, _shape

WAYS = ("ddp", "fsdp", "hsdp", "tensor", "sequence", "pipeline")
"""Data parallelism with whole models, with sharded ones, with groups of sharded ones; a layer's matrices cut; its tokens cut too;
the stack of layers cut."""

LINKS = {"NVLink": 300e9, "InfiniBand": 25e9, "Ethernet": 1.25e9}
"""Bytes a second out of one device: NVLink of an A100 in one direction, InfiniBand of 200 Gbit/s, Ethernet of 10 Gbit/s; data sheets."""


def traffic(
    parameters: float | Shape,
    tokens: int,
    devices: int,
    way: str = "fsdp",
    precision: str = "mixed",
    micro_batches: int = 1,
    replicas: int = 1,
) -> float:
    r"""Bytes that each device sends in a step.

    With :math:`P` parameters, of which those outside the layers are :math:`P_0`, :math:`w` bytes for a number that is multiplied
    (4 in fp32, 2 in mixed precision), gradients of 4 bytes, :math:`k` micro-batches, :math:`t` tokens, :math:`l` layers of width
    :math:`h`, and :math:`r = (N-1)/N`:

    =================  ==================================================================================================
    ``"ddp"``          :math:`2 r \cdot 4 P`, once a step
    ``"fsdp"``         :math:`r k\,(2 w (P - P_0) + w P_0 + 4 P)`: layers gathered twice, what is outside them once
    ``"hsdp"``         as FSDP among the :math:`S = N / R` that share a model, and :math:`2\frac{R-1}{R} \cdot 4 k P / S` among the
                       :math:`R` ``replicas`` of each share
    ``"tensor"``       :math:`8 r\, w\, t h l`: in each layer two sums of its output forwards and two backwards
    ``"sequence"``     the same: each of those sums becomes a reduce-scatter and a gathering
    ``"pipeline"``     :math:`2 w\, t h`: a layer's output to the next stage, its gradient to the last; stages at the ends send half
    =================  ==================================================================================================

    Left out: the loss, norms, barriers, and headers, a few per cent of a small model's traffic; with ``"tensor"`` and ``"sequence"``
    the head, which is not cut, and the gradients of normalisations, which are summed with ``"sequence"``.

    Args:
        parameters: a `Shape`; or how many, without embeddings, in the shape that `shape_of` gives them.
        tokens: of the step, all devices' together.
        devices: :math:`N`, that work together in this way.
        way: one of `WAYS`.
        precision: ``"fp32"`` or ``"mixed"``.
        micro_batches: in how many parts a device's share goes through.
        replicas: of ``"hsdp"``; must divide ``devices``.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> {way: f"{traffic(7e9, tokens=2**19, devices=8, way=way) / 1e9:.0f} GB" for way in ("ddp", "fsdp", "tensor", "pipeline")}
        {'ddp': '51 GB', 'fsdp': '50 GB', 'tensor': '1017 GB', 'pipeline': '9 GB'}
    """
    shape = _shape(parameters)
    tokens, n = _check.whole("tokens", tokens), _check.whole("devices", devices)
    k, copies = _check.whole("micro_batches", micro_batches), _check.whole("replicas", replicas)
    wide = WIDE[_check.one_of("precision", precision, PRECISIONS)]
    if n % copies:
        raise ValueError(f"replicas must divide devices = {n}; got {replicas!r}")
    outside = shape.width * (shape.vocabulary + shape.context + 2)
    whole = shape.parameters if isinstance(parameters, Shape) else parameters + outside
    match _check.one_of("way", way, WAYS):
        case "ddp":
            return 2 * (n - 1) / n * 4 * whole
        case "fsdp" | "hsdp":
            share = n // copies if way == "hsdp" else n
            among = k * (wide * (2 * whole - outside) + 4 * whole)
            return (share - 1) / share * among + (
                2 * (copies - 1) / copies * 4 * k * whole / share if way == "hsdp" else 0
            )
        case "pipeline":
            return 2 * wide * tokens * shape.width if n > 1 else 0.0
    return 8 * (n - 1) / n * wide * tokens * shape.width * shape.layers


def network_share(
    parameters: float | Shape,
    tokens: int,
    devices: int,
    way: str = "fsdp",
    rate: float = 0.4 * 312e12,
    link: float = LINKS["InfiniBand"],
    precision: str = "mixed",
    micro_batches: int = 1,
    replicas: int = 1,
) -> float:
    r"""Seconds of sending for each second of computing: above 1 the network is what a step waits for.

    .. math:: \rho = \frac{\text{bytes sent} / V}{6 P t / (N F)}

    with :math:`F` useful FLOP/s of a device and :math:`V` bytes a second out of it. Left out: the delay of each message, and that
    several ways at once share one network.

    Args:
        rate: :math:`F`; as it stands, an A100 at 40 % of its peak.
        link: :math:`V`, such as one of `LINKS`; for ``"hsdp"`` that of the slowest connection.
        parameters, tokens, devices, way, precision, micro_batches, replicas: as for `traffic`.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> round(network_share(7e9, tokens=2**19, devices=64, way="fsdp"), 2)  # half a million tokens
        0.79
    """
    shape = _shape(parameters)
    rate, link = _check.positive("rate", rate), _check.positive("link", link)
    sent = traffic(parameters, tokens, devices, way, precision, micro_batches, replicas)
    return sent / link * devices * rate / (6 * shape.matrices * tokens)


def bubble(stages: int, micro_batches: int) -> float:
    r"""Share of a pipeline's time in which a stage waits, while the first micro-batches come and the last ones go.

    .. math:: \frac{p - 1}{m + p - 1}

    for :math:`p` stages that take equally long and :math:`m` micro-batches (Huang et al. 2019, section 2.3).

    Raises:
        TypeError, ValueError: if an argument is not a whole number of at least 1.

    Example:
        >>> bubble(4, 12)
        0.2
    """
    p = _check.whole("stages", stages)
    return (p - 1) / (_check.whole("micro_batches", micro_batches) + p - 1)
