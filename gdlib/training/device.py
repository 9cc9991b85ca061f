"""Which device a run uses, in which precision, and why."""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch

from gdlib import _check

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve(device: str | torch.device = "auto") -> torch.device:
    """The device to train on.

    Args:
        device: ``"auto"`` takes CUDA, else Apple's MPS, else the CPU; or ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"`` or a
            ``torch.device``.

    Raises:
        TypeError: if ``device`` is neither a string nor a ``torch.device``.
        ValueError: if torch does not know the device or this machine does not have it.

    Example:
        >>> resolve("cpu")
        device(type='cpu')
    """
    found = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if isinstance(device, str) and device == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if found[kind]))
    if not isinstance(device, (str, torch.device)):
        raise TypeError(f'device must be "auto", a name such as "cuda:1" or a torch.device; got {device!r}')
    here = ", ".join(kind for kind in found if found[kind])
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f'device must be "auto" or one of this machine\'s ({here}); got {device!r}') from error
    if (chosen.index or 0) >= found.get(chosen.type, 0):
        raise ValueError(f'device must be "auto" or one of this machine\'s ({here}); got {device!r}')
    return chosen


class Precision(NamedTuple):
    """A precision and the reason for it.

    Attributes:
        name: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
        dtype: what ``torch.autocast`` computes in; ``None`` for no autocast, so that the model keeps its own dtype.
        reason: a sentence.

    Example:
        >>> precision("fp32", torch.device("cpu"))
        Precision(name='fp32', dtype=None, reason='as asked for')
    """

    name: str
    dtype: torch.dtype | None
    reason: str

    def autocast(self, device: torch.device) -> AbstractContextManager:
        """Within it, operations on ``device`` are computed in this precision."""
        return torch.autocast(device.type, self.dtype) if self.dtype else nullcontext()


def precision(wanted: str, device: torch.device, dtype: torch.dtype = torch.float32) -> Precision:
    """The precision to train in.

    Args:
        wanted: ``"auto"`` takes bf16 on a GPU that computes in it, fp16 on an older one, fp32 elsewhere, where 16 bits are
            seldom faster; or one of ``"fp32"``, ``"bf16"``, ``"fp16"``. ``"fp32"`` means no autocast. Whether a GPU may use
            TF32 for fp32 products is torch's own setting (``torch.backends.cuda.matmul.allow_tf32``) and is not touched.
        device: from `resolve`.
        dtype: the model's own; ``"auto"`` uses autocast with float32 alone.

    Raises:
        ValueError: if ``wanted`` is none of these.

    Example:
        >>> precision("auto", torch.device("cpu")).name
        'fp32'
        >>> precision("bf16", torch.device("cpu")).dtype
        torch.bfloat16
    """
    _check.one_of("precision", wanted, ("auto", *PRECISIONS))
    if wanted != "auto":
        name, reason = wanted, "as asked for"
    elif dtype != torch.float32:
        name, reason = "fp32", f"the model is {str(dtype).removeprefix('torch.')} and keeps it"
    elif device.type != "cuda":
        name, reason = "fp32", f"on {device.type} 16 bits are seldom faster"
    elif torch.cuda.is_bf16_supported(including_emulation=False):
        name, reason = "bf16", "this GPU computes in it, with the range of fp32"
    else:
        name, reason = "fp16", "this GPU has no bf16; a loss scale guards against underflow"
    return Precision(name, PRECISIONS[name], reason)


def report() -> str:
    """What was found on this machine and what ``"auto"`` makes of it, as ``python -m gdlib devices`` prints it.

    Example:
        >>> report().splitlines()[0].startswith("torch ")
        True
    """
    chosen = resolve("auto")
    lines = [f"torch {torch.__version__}"]
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        lines.append(f"cuda:{index}: {about.name}, {about.total_memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        lines.append("mps: Apple GPU")
    lines.append(f"cpu: {torch.get_num_threads()} threads")
    picked = precision("auto", chosen)
    tf32 = " TF32 for fp32 products: " + ("on." if torch.backends.cuda.matmul.allow_tf32 else "off.")
    lines.append(f'device="auto" takes {chosen.type}.')
    lines.append(f'precision="auto" takes {picked.name}: {picked.reason}.' + (tf32 if chosen.type == "cuda" else ""))
    return "\n".join(lines)
