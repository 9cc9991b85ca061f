"""The fullest moment of a step: everything that a device holds then."""

from typing import NamedTuple

from gdlib import _check
from gdlib.choosing.cost.memory import WIDE, Shape, _layer, _shape, _top, training_memory

WORK = {"fp32": 20, "mixed": 14}
"""What a layer's backward pass needs beside that: the gradients of its output and of the perceptron's hidden units."""


def step_memory(
    parameters: float | Shape,
    tokens_per_device: int = 2048,
    precision: str = "mixed",
    optimizer: str = "adamw",
    remedy: str = "none",
    accumulate: bool = False,
    devices: int = 1,
    parallel: str = "fsdp",
) -> dict[str, float]:
    """What one device holds at the fullest moment of a step: their sum is the peak.

    Gradients come as activations go, so their full sizes do not add up, unless gradients are there from the start: with
    accumulation, or in DDP's buckets, which stay. The moment is one of these: the backward pass of the loss, when the logits are
    there with their gradient; that of the last layer; that of the first; the end, when all gradients are there.

    Left out: the optimiser's temporaries (none if it is fused, which `Trainer` asks for on a GPU), workspaces of the library that
    multiplies, fragmentation, CUDA's own memory (half a gigabyte or more). With micro-batches `Trainer` compares, at steps 0, 1, 2, 4,
    8, ..., the losses of two and of both together, which takes a few times the logits of one.

    Args:
        parameters, tokens_per_device, precision, optimizer, remedy: as for `training_memory` and `activation_memory`.
        accumulate: whether a batch goes through in several micro-batches.
        devices: how many share the work.
        parallel: ``"fsdp"`` or ``"ddp"``; of no account for one device.

    Returns:
        ``{"weights", "optimizer", "gradients", "copies", "activations", "logits"}``, in bytes; ``"copies"`` are those in 16 bits, or
        gathered by FSDP.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> held = step_memory(Shape(12, 768), tokens_per_device=8 * 1024)  # GPT-2, 8 sequences
        >>> {name: round(value / 1e9, 1) for name, value in held.items()}
        {'weights': 0.5, 'optimizer': 1.0, 'gradients': 0.0, 'copies': 0.2, 'activations': 2.8, 'logits': 5.8}
    """
    shape, tokens = _shape(parameters), _check.whole("tokens_per_device", tokens_per_device)
    state = training_memory(parameters, precision, optimizer, remedy)
    many = _check.whole("devices", devices) > 1
    sharded = many and _check.one_of("parallel", parallel, ("fsdp", "ddp")) == "fsdp"
    state = {name: value / (devices if sharded else 1) for name, value in state.items()}
    early = state["gradients"] if accumulate or (many and not sharded) else 0.0
    outputs = tokens * WIDE[precision] * shape.vocabulary  # `Trainer` holds them until the step's end
    moments = (_sharded if sharded else _whole)(shape, precision, remedy, state["gradients"] / shape.parameters)
    found = [
        {
            "weights": state["weights"],
            "optimizer": state["optimizer"],
            "gradients": max(early, moment.gradients) + moment.passing,
            "copies": moment.copies,
            "activations": tokens * moment.activations,
            "logits": outputs + tokens * moment.logits,
        }
        for moment in moments
    ]
    return max(found, key=lambda terms: sum(terms.values()))


class _Moment(NamedTuple):
    """Bytes of copies, of gradients that stay and that pass, and, for each token, of activations and of logits beside the outputs."""

    copies: float
    gradients: float
    passing: float
    activations: float
    logits: float = 0.0


def _whole(shape: Shape, precision: str, remedy: str, each: float) -> list[_Moment]:
    """One process with the whole model; ``each``: bytes of a parameter's gradient."""
    layer, kept, work = _of_layers(shape, precision, remedy)
    again, copied = remedy == "recompute", precision == "mixed" and remedy != "low rank"
    one, head = 12 * shape.width**2, shape.vocabulary * shape.width
    copies, of_one, of_head = (2 * copied * n for n in (shape.matrices, one, head))
    held = of_head if again else copies  # the others of a layer are made again with it
    end = shape.layers * kept + _top(shape, precision)
    moments = [
        _Moment(held, 0, 0, end, 12 * shape.vocabulary),
        _Moment(held + again * of_one, each * head, 0, shape.layers * kept + again * layer + work),
        _Moment(of_one, each * (shape.parameters - one), 0, layer + work),
        _Moment(0, each * shape.parameters, 0, 0),
    ]
    return moments + ([_Moment(copies, 0, 0, end, 8 * shape.vocabulary)] if again and copied else [])


def _sharded(shape: Shape, precision: str, remedy: str, each: float) -> list[_Moment]:
    """One process of FSDP; ``each``: bytes of a parameter's gradient that stay with it. What is outside the layers is gathered all the
    time. A layer in its backward pass has its weights there, those of the next, its gradients, and what the one before sends. In mixed
    precision the embedding comes in 16 bits, so what goes from layer to layer is in 16 bits too."""
    wide, one = WIDE[precision], 12 * shape.width**2
    layer, kept, work = _of_layers(shape, precision, remedy, wide)
    outside = shape.parameters - shape.layers * one
    moments = [_Moment(wide * outside, 0, 0, shape.layers * kept + 2 * wide * shape.width, 12 * shape.vocabulary)]
    for left in sorted({left for left in (shape.layers, shape.layers - 1, 2, 1) if 1 <= left <= shape.layers}):
        gathered = wide * (outside + min(left, 2) * one)
        passing = wide * outside + (4 * one if left < shape.layers else 0)
        done = each * (shape.layers - left) * one
        again = layer if remedy == "recompute" else 0.0
        moments.append(_Moment(gathered, done, passing, left * kept + again + work))  # it begins
        moments.append(_Moment(gathered, done, passing + wide * one, (left - 1) * kept + work))  # it ends
    return [*moments, _Moment(0, each * shape.parameters, (wide + 4) * outside + 4 * one, 0)]


def _of_layers(shape: Shape, precision: str, remedy: str, stream: int = 4) -> tuple[float, float, float]:
    """Bytes for a token: of a whole layer's activations, of what stays of them, of what its backward pass needs beside them. What goes
    from layer to layer, and into two normalisations in each, are numbers of ``stream`` bytes."""
    layer = _layer(shape, precision, "flash") - 2 * (4 - stream) * shape.width
    return layer, stream * shape.width if remedy == "recompute" else layer, WORK[precision] * shape.width
