"""What is trained, and by which optimizer: checks of what a reader hands to `Trainer`."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import optimizer as torch_optimizer


def brings_its_rate(optimizer: Any) -> bool:
    """Whether an optimizer is ready, or comes from a partial with ``lr`` or a function of the reader's own."""
    while isinstance(optimizer, functools.partial):
        if "lr" in optimizer.keywords:
            return True
        optimizer = optimizer.func
    return not inspect.isclass(optimizer)


def trainable(model: nn.Module, loss: nn.Module | None) -> nn.Parameter:
    """The first parameter that is trained, after making sure that there is one, and that all of them can be."""
    parameters = [*model.parameters(), *(loss.parameters() if loss is not None else ())]
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in parameters):
        raise ValueError("model must have its parameters: call it once on an input, so that its lazy parts get theirs")
    if any(p.is_meta for p in parameters):
        raise ValueError(
            "model must have its values; got parameters on the meta device: call to_empty and initialise them"
        )
    if any(p.dtype == torch.float16 for p in parameters):
        raise ValueError(
            "model must not be in float16, whose gradients cannot be scaled; pass it in float32, with precision='fp16'"
        )
    parameters = [p for p in parameters if p.requires_grad]
    if not parameters:
        raise ValueError("model must have a parameter to train; got none that requires a gradient")
    return parameters[0]


def held(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """The parameters that an optimizer holds, group by group."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def gradients(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """The gradients of what an optimizer holds; of a sparse one the numbers in it, each once, which share its memory."""
    found = []
    for p in held(optimizer):
        if p.grad is not None and p.grad.is_sparse:
            p.grad = p.grad.coalesce()
            found.append(p.grad._values())
        elif p.grad is not None:
            found.append(p.grad)
    return found


@torch.no_grad()
def clip(optimizer: torch.optim.Optimizer, most: float) -> torch.Tensor:
    """The norm of the gradients, which are scaled down to ``most`` where it is larger, as ``torch.nn.utils.clip_grad_norm_`` does,
    which knows no sparse ones."""
    parameters = held(optimizer)
    if not any(p.grad is not None and p.grad.is_sparse for p in parameters):
        return nn.utils.clip_grad_norm_(parameters, most)
    numbers = gradients(optimizer)
    norm = nn.utils.get_total_norm(numbers)
    scale = torch.clamp(most / (norm + 1e-6), max=1.0)
    for gradient in numbers:
        gradient.mul_(scale)
    return norm


def as_optimizer(optimizer: Any, parameters: list[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    wanted = "a function from the parameters to a torch.optim.Optimizer, or such an optimizer"
    if not isinstance(optimizer, torch.optim.Optimizer):
        if not callable(optimizer):
            raise TypeError(f"optimizer must be {wanted}; got {optimizer!r}")
        fused = device.type == "cuda" and _takes_fused(optimizer)
        optimizer = optimizer(parameters, fused=True) if fused else optimizer(parameters)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be {wanted}; it gave {type(optimizer).__name__}")
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError("optimizer must take one gradient a step; got LBFGS, which asks for the loss again and again")
    if not set(held(optimizer)) & {p for p in parameters if p.requires_grad}:
        raise ValueError("optimizer must hold the model's parameters; got one that holds none of them")
    return optimizer


def _takes_fused(optimizer: Callable) -> bool:
    """Whether a function takes ``fused`` and its caller has not chosen yet."""
    try:
        known = inspect.signature(optimizer).parameters
    except (TypeError, ValueError):
        return False
    chosen = getattr(optimizer, "keywords", {})
    return "fused" in known and not {"fused", "foreach", "differentiable"} & set(chosen)


def update(optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.step()``, without what torch wraps around it where nobody listens: a label for the profiler and the hooks' loops,
    which cost as much as the update of a small model."""
    step = type(optimizer).step
    if (
        not getattr(step, "hooked", False)
        or "step" in vars(optimizer)  # torch's own schedulers put theirs there
        or optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or torch_optimizer._global_optimizer_pre_hooks
        or torch_optimizer._global_optimizer_post_hooks
        or torch.autograd.profiler._is_profiler_enabled
    ):
        optimizer.step()
    else:
        step.__wrapped__(optimizer)
