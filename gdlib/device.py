"""Which device a run uses."""

import torch


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
