"""Bytes that training a GPT takes: weights, gradients, optimiser state, 16-bit copies, gathered layers, activations, logits.

What is counted is what `gdlib.Trainer` makes torch allocate. ``"mixed"`` is its ``precision="bf16"`` or ``"fp16"``: weights,
gradients and optimiser state stay in 32 bits, and autocast makes 16-bit copies of the matrices to multiply by.
"""

from typing import NamedTuple

from gdlib import _check
from gdlib.choosing.cost.compute import LOW_RANK, REMEDIES

STATE_BYTES = {"sgd": 0, "momentum": 4, "adamw": 8}
"""Bytes of optimiser state that a parameter needs, for none, one or two fp32 numbers."""

PRECISIONS = ("fp32", "mixed")
ATTENTIONS = ("flash", "stored")
"""An attention that recomputes its scores in the backward pass (Dao et al. 2022), as torch picks it where it can, or one that keeps them."""

VOCABULARY = 50257
"""GPT-2's."""

WIDE = {"fp32": 4, "mixed": 2}
"""Bytes of a number that is multiplied."""

LAYER = {"fp32": 64, "mixed": 36}
"""Bytes that a layer keeps for the backward pass, for each token and unit of width: in fp32 sixteen numbers. In 16 bits the inputs
of the two normalisations stay in 32 bits: 2 × 4 + 14 × 2. Dropout would add a byte for each of its two masks, in either."""


class Shape(NamedTuple):
    """A GPT as `gdlib.models.gpt` makes it: layers of a width, each with attention and a perceptron four times as wide.

    ``heads`` counts where attention keeps its scores alone; it is ``width / 64``, as in GPT-2, unless given.

    Example:
        >>> f"{Shape(12, 768).parameters:,.0f}"  # the smallest GPT-2
        '124,439,808'
    """

    layers: float
    width: float
    vocabulary: int = VOCABULARY
    context: int = 1024
    heads: float = 0.0

    @property
    def matrices(self) -> float:
        """Parameters that tokens are multiplied by: the layers' and the head's, which is the embedding too."""
        return 12 * self.layers * self.width**2 + self.vocabulary * self.width

    @property
    def parameters(self) -> float:
        """All of them, with positions, biases and normalisations."""
        return self.matrices + self.width * (self.context + 13 * self.layers + 2)


def shape_of(parameters: float) -> Shape:
    """The shape of so many parameters in layers of GPT-3's proportions: ``width = 128 × layers``; neither need be whole.

    Raises:
        TypeError, ValueError: if ``parameters`` is not a positive number.

    Example:
        >>> layers, width, *_ = shape_of(175e9)  # GPT-3 has 96 layers of 12,288
        >>> round(layers), round(width)
        (96, 12313)
    """
    width = (128.0 * _check.positive("parameters", parameters) / 12.0) ** (1 / 3)
    return Shape(width / 128.0, width)


def training_memory(
    parameters: float | Shape, precision: str = "mixed", optimizer: str = "adamw", remedy: str = "none"
) -> dict[str, float]:
    """Bytes that weights, gradients and optimiser state take, over all devices together.

    Weights and gradients take 4 bytes a parameter each, whatever the precision: autocast's 16-bit copies come and go with each
    step, see `working_weights`. (Code that keeps 16-bit weights and gradients keeps a 32-bit copy with the optimiser's state, and
    comes to the same 16 bytes with AdamW: Rajbhandari et al. 2020, section 3.1.) With ``"8-bit state"`` the optimiser's own numbers
    take a byte each (Dettmers et al. 2022). With ``"low rank"`` gradients and state are those of `LOW_RANK` of the parameters, and
    the frozen weights are kept in 16 bits with ``"mixed"`` (Hu et al. 2022).

    Args:
        parameters: how many, positive; or a `Shape`.
        precision: one of `PRECISIONS`.
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
    n = _check.positive("parameters", parameters.parameters if isinstance(parameters, Shape) else parameters)
    _check.one_of("precision", precision, PRECISIONS)
    state = STATE_BYTES[_check.one_of("optimizer", optimizer, STATE_BYTES)]
    if _check.one_of("remedy", remedy, REMEDIES) == "low rank":
        trained = LOW_RANK * n
        return {
            "weights": WIDE[precision] * n + 4 * trained, "gradients": 4 * trained, "optimizer": state * trained
        }  # fmt: skip
    return {"weights": 4 * n, "gradients": 4 * n, "optimizer": state / (4 if remedy == "8-bit state" else 1) * n}


def working_weights(
    parameters: float | Shape, precision: str = "mixed", remedy: str = "none", devices: int = 1
) -> float:
    """Bytes of weights that each device holds beside its share while it works, if FSDP shares them out.

    One device alone, in ``"mixed"``: autocast's 16-bit copies of all matrices, 2 bytes each, alive through the forward pass.
    Several: FSDP gathers the embedding, which is also the head, and two layers at a time, the present and the next; with ``"mixed"``
    in 16 bits, so that autocast has nothing to copy.

    Args:
        parameters, precision, remedy: as for `training_memory`.
        devices: how many share the parameters.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> working_weights(7e9) / 1e9, round(working_weights(7e9, devices=8) / 1e9, 1)
        (14.0, 1.3)
    """
    shape, wide = _shape(parameters), WIDE[_check.one_of("precision", precision, PRECISIONS)]
    copied = precision == "mixed" and _check.one_of("remedy", remedy, REMEDIES) != "low rank"
    if _check.whole("devices", devices) > 1:
        return wide * shape.width * (shape.vocabulary + 24 * min(shape.layers, 2) / 2 * shape.width)
    return 2.0 * (shape.matrices if isinstance(parameters, Shape) else parameters) if copied else 0.0


def activation_memory(
    parameters: float | Shape,
    tokens_per_device: int = 2048,
    precision: str = "mixed",
    remedy: str = "none",
    attention: str = "flash",
) -> float:
    r"""Bytes of activations that one device keeps for the backward pass.

    .. math:: A = t\,(36\, h\, l + 6\, h + 4\, V) \quad\text{in mixed precision}, \qquad t\,(64\, h\, l + 8\, h + 4\, V) \quad\text{in fp32}

    for :math:`t` tokens at a time, :math:`l` layers of width :math:`h` and a vocabulary of :math:`V`, whose log-probabilities the
    loss keeps. (Korthikanti et al. 2022, equation 2, has 34 where we have 36: its normalisations are in 16 bits, and it has two
    masks of dropout.) An attention that keeps its scores adds 4 bytes for each token, head and token of the context, and in mixed
    precision, as torch computes it in 32 bits, :math:`6h` for each token. With ``"recompute"`` each layer keeps its input alone,
    :math:`4\,h`.

    Args:
        parameters: a `Shape`; or how many, without embeddings, in the shape that `shape_of` gives them.
        tokens_per_device: that go through the model at a time.
        precision: one of `PRECISIONS`.
        remedy: one of `REMEDIES`.
        attention: one of `ATTENTIONS`.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> f"{activation_memory(Shape(12, 768), tokens_per_device=8 * 1024) / 1e9:.1f} GB"
        '4.4 GB'
    """
    shape, tokens = _shape(parameters), _check.whole("tokens_per_device", tokens_per_device)
    layer = _layer(shape, _check.one_of("precision", precision, PRECISIONS), attention)
    kept = 4 * shape.width if _check.one_of("remedy", remedy, REMEDIES) == "recompute" else layer
    return tokens * (shape.layers * kept + _top(shape, precision) + 4 * shape.vocabulary)


def _shape(parameters: float | Shape) -> Shape:
    return parameters if isinstance(parameters, Shape) else shape_of(parameters)


def _layer(shape: Shape, precision: str, attention: str) -> float:
    """Bytes that a layer keeps for each token."""
    scores = 0.0
    if _check.one_of("attention", attention, ATTENTIONS) == "stored":
        scores = 4 * (shape.heads or shape.width / 64) * shape.context + (
            6 * shape.width if precision == "mixed" else 0
        )
    return LAYER[precision] * shape.width + scores


def _top(shape: Shape, precision: str) -> float:
    """Bytes that the last normalisation and the head keep for each token, but for the loss: their inputs."""
    return (4 + WIDE[precision]) * shape.width
