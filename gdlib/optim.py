"""The optimisers, written out for reading: one rule each, a parameter at a time, equal to torch's to the last digits.

For speed take ``torch.optim``, which does the same for all parameters at once. All of these go wherever a
``torch.optim.Optimizer`` goes: into `gdlib.Trainer`, under any scheduler of torch's, through ``state_dict``.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from gdlib import _check

SLOPES = (3.4445, -4.7750, 2.0315)
"""Of `orthogonal`'s polynomial a s + b s³ + c s⁵, chosen for a steep rise from 0; singular values end between 0.7 and 1.2."""


class _Rule(torch.optim.Optimizer):
    """An optimiser that is one rule: its ``update(p, g, state, group)`` changes a parameter, given its gradient."""

    def __init__(self, parameters: Iterable, **defaults: Any):
        _check.number("lr", defaults["lr"], low=0.0)
        for name in ("momentum", "beta", "beta1", "beta2"):
            if name in defaults and _check.number(name, defaults[name], low=0.0) >= 1:
                raise ValueError(f"{name} must be at least 0 and below 1; got {defaults[name]!r}")
        for name in ("eps", "adamw_lr"):
            if name in defaults:
                _check.positive(name, defaults[name])
        _check.number("weight_decay", defaults["weight_decay"], low=0.0)
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step on every parameter that has a gradient.

        Raises:
            TypeError: if a gradient is sparse and the rule is not SGD.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    if p.grad.is_sparse and type(self) is not SGD:
                        raise TypeError(f"{type(self).__name__} takes no sparse gradients; take torch.optim.SparseAdam")
                    self.update(p, p.grad, self.state[p], group)
        return loss


class SGD(_Rule):
    r"""Stochastic gradient descent with momentum (Polyak 1964; Sutskever et al. 2013 for Nesterov's).

    .. math:: v \leftarrow m\,v + g, \qquad w \leftarrow w - \eta\,v

    with :math:`g` the gradient plus ``weight_decay`` times :math:`w`, and with ``nesterov`` :math:`g + m\,v` in place of
    :math:`v`. Equal to ``torch.optim.SGD``.

    Args:
        parameters: what to optimise.
        lr: :math:`\eta`.
        momentum: :math:`m`, in [0, 1).
        weight_decay: added to the gradient, times the weight.
        nesterov: look ahead.

    Raises:
        TypeError, ValueError: if a number is out of its range.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = SGD([w], lr=0.1)
        >>> w.square().sum().backward()
        >>> optimizer.step()
        >>> w.item()
        0.800000011920929
    """

    def __init__(
        self,
        parameters: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        if group["weight_decay"]:
            g = g.add(p, alpha=group["weight_decay"])
        if group["momentum"]:
            if "velocity" not in state:
                state["velocity"] = g.clone()
            else:
                state["velocity"].mul_(group["momentum"]).add_(g)
            g = g.add(state["velocity"], alpha=group["momentum"]) if group["nesterov"] else state["velocity"]
        p.add_(g, alpha=-group["lr"])


class AdamW(_Rule):
    r"""Adam with decoupled weight decay (Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2).

    .. math:: m \leftarrow \beta_1 m + (1-\beta_1)\,g, \quad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2, \quad
        w \leftarrow (1-\eta\lambda)\,w - \eta\, \frac{m / (1-\beta_1^t)}{\sqrt{v / (1-\beta_2^t)} + \epsilon}

    Equal to ``torch.optim.AdamW``, and with ``weight_decay=0`` to ``torch.optim.Adam``.

    Args:
        parameters: what to optimise.
        lr: :math:`\eta`.
        beta1, beta2: how much of the running means is kept, in [0, 1).
        eps: :math:`\epsilon`, positive.
        weight_decay: :math:`\lambda`.

    Raises:
        TypeError, ValueError: if a number is out of its range.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([1.0]))
        >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.0)
        >>> w.square().sum().backward()
        >>> optimizer.step()
        >>> round(w.item(), 6)  # the first step is as long as the rate, whatever the gradient
        0.9
    """

    def __init__(
        self,
        parameters: Iterable,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(parameters, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        if p.is_complex():  # a complex number is two real ones
            p, g = torch.view_as_real(p), torch.view_as_real(g)
        if not state:
            state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
        state["step"] += 1
        p.mul_(1 - group["lr"] * group["weight_decay"])
        state["mean"].lerp_(g, 1 - group["beta1"])
        state["square"].mul_(group["beta2"]).addcmul_(g, g, value=1 - group["beta2"])
        correction1 = 1 - group["beta1"] ** state["step"]
        correction2 = 1 - group["beta2"] ** state["step"]
        denominator = (state["square"].sqrt() / correction2**0.5).add_(group["eps"])
        p.addcdiv_(state["mean"], denominator, value=-(group["lr"] / correction1))


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns: every singular value near 1, its directions kept.

    A Newton-Schulz iteration in bf16 (Jordan et al. 2024): products of matrices alone, as fast as a GPU is at them.

    Args:
        matrix: ``(rows, columns)``.
        steps: of the iteration.

    Returns:
        bf16, of the same shape.

    Example:
        >>> s = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([3.0, 1.0, 0.3]))).float())
        >>> bool((s > 0.5).all() and (s < 1.5).all())
        True
    """
    a, b, c = SLOPES
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(AdamW):
    r"""Momentum, made orthogonal: every direction of a weight matrix moves as far (Jordan et al. 2024).

    .. math:: v \leftarrow m\,v + (1-m)\,g, \qquad
        W \leftarrow (1-\eta\lambda)\,W - \eta\,\sqrt{\max(1, r/c)}\; \operatorname{orthogonal}\!\left((1-m)\,g + m\,v\right)

    for a matrix of :math:`r` rows and :math:`c` columns; equal to ``torch.optim.Muon``. Parameters that are not matrices, and groups
    with ``"adamw": True``, are updated as `AdamW` does, at a rate of ``adamw_lr`` times this one: put the embedding and the head of a
    language model there, which are tables, not maps.

    Args:
        parameters: what to optimise, or groups.
        lr: :math:`\eta`.
        momentum: :math:`m`, in [0, 1).
        weight_decay: :math:`\lambda`.
        adamw_lr: AdamW's rate as a multiple of this one.
        beta1, beta2, eps: AdamW's.

    Raises:
        TypeError, ValueError: if a number is out of its range.

    Example:
        >>> from gdlib import models
        >>> optimizer = Muon(models.mlp(64, 32, 10).parameters(), lr=0.02)
    """

    def __init__(
        self,
        parameters: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        adamw_lr: float = 0.1,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ):
        _Rule.__init__(
            self, parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, adamw_lr=adamw_lr,
            beta1=beta1, beta2=beta2, eps=eps, adamw=False,
        )  # fmt: skip

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        if group["adamw"] or p.ndim != 2 or p.is_complex():
            return super().update(p, g, state, group | {"lr": group["lr"] * group["adamw_lr"]})
        if not state:
            state["velocity"] = torch.zeros_like(p)
        state["velocity"].lerp_(g, 1 - group["momentum"])
        direction = orthogonal(g.lerp(state["velocity"], group["momentum"]))
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(direction, alpha=-group["lr"] * math.sqrt(max(1, p.shape[0] / p.shape[1])))


class ScheduleFree(_Rule):
    r"""SGD that needs no schedule: the gradient is taken between a fast iterate and the mean of all (Defazio et al. 2024).

    .. math:: y = (1-\beta)\,z + \beta\,x, \qquad z \leftarrow z - \eta\,g(y), \qquad
        x \leftarrow (1 - 1/t)\,x + z/t

    The model holds :math:`y` while it trains. What it has learnt is :math:`x`, the mean: look at it within `averaged`.

    Args:
        parameters: what to optimise.
        lr: :math:`\eta`, constant; larger than that of a decayed schedule.
        beta: :math:`\beta`, in [0, 1): how near to the mean the gradient is taken.
        weight_decay: added to the gradient, times :math:`y`.

    Raises:
        TypeError, ValueError: if a number is out of its range.

    Example:
        >>> from gdlib import Trainer, data, models
        >>> _ = torch.manual_seed(0)
        >>> split = data.digits()
        >>> trainer = Trainer(models.mlp(64, 32, 10), split.train, torch.nn.functional.cross_entropy, ScheduleFree, lr=1.0)
        >>> _ = trainer.fit(200)
        >>> with trainer.optimizer.averaged():
        ...     trainer.evaluate(split.test)["accuracy"] > 0.9
        True
    """

    def __init__(self, parameters: Iterable, lr: float = 0.1, beta: float = 0.9, weight_decay: float = 0.0):
        super().__init__(parameters, lr=lr, beta=beta, weight_decay=weight_decay)

    def update(self, p: Tensor, g: Tensor, state: dict, group: dict) -> None:
        if not state:
            state.update(step=0, fast=p.clone(), mean=p.clone())
        state["step"] += 1
        if group["weight_decay"]:
            g = g.add(p, alpha=group["weight_decay"])
        state["fast"].add_(g, alpha=-group["lr"])
        state["mean"].lerp_(state["fast"], 1 / state["step"])
        p.copy_(state["fast"].lerp(state["mean"], group["beta"]))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model holds the mean within, to be evaluated or saved, and goes on training from where it was afterwards."""
        held = [(p, p.detach().clone(), self.state[p]["mean"]) for p in self.state]
        try:
            for p, _, mean in held:
                p.data.copy_(mean)
            yield
        finally:
            for p, before, _ in held:
                p.data.copy_(before)


SQUARED = 64
"""Gradients of 2 to this power would overflow the squares that Adam keeps, in 32 bits."""


def warn_if_levelled(optimizer: torch.optim.Optimizer, stacklevel: int = 3) -> None:
    """Warn where parameter groups have rates of their own, which one rate for all is about to take from them.

    Args:
        optimizer: whose groups they are. A group's ``"lr_scale"`` keeps their ratio, and then nothing is said.
        stacklevel: whose line the warning names, as in ``warnings.warn``.

    Example:
        >>> v, w = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     warn_if_levelled(torch.optim.SGD([{"params": [v], "lr": 0.1}, {"params": [w], "lr": 0.2}]))
        >>> len(said)
        1
    """
    groups = optimizer.param_groups
    rates = [float(group["lr"]) for group in groups if "lr" in group]
    if len(set(rates)) > 1 and not any("lr_scale" in group for group in groups):
        warnings.warn(
            f"one rate for all takes the place of the groups' own, {', '.join(f'{rate:g}' for rate in dict.fromkeys(rates))}:"
            ' a group\'s "lr_scale" multiplies it, and keeps their ratio',
            stacklevel=stacklevel,
        )


def headroom(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> int | None:
    """How many powers of two an update needs above the gradient, to be finite where the gradient is.

    SGD multiplies by the rate and, with momentum, adds many gradients up; the others square them.

    Args:
        optimizer: whose update it is.
        rates: the rate of each of its groups.

    Returns:
        The power, or ``None`` where nobody knows: a rule that is neither torch's nor of this module, or a rate beyond 2 to the 50th.

    Example:
        >>> w = torch.nn.Parameter(torch.ones(1))
        >>> headroom(torch.optim.SGD([w], momentum=0.9), [0.1]), headroom(torch.optim.Adam([w]), [0.1])
        (4, 64)
    """
    known = type(optimizer).__module__.startswith(("torch.optim", "gdlib.optim"))
    room = 0
    for lr, group in zip(rates, optimizer.param_groups):
        momentum = group.get("momentum") or 0.0
        if (
            not known
            or lr * max(1.0, group.get("weight_decay") or 0.0) >= 2.0**50
            or not group.get("eps", 1.0)
            or momentum >= 1
        ):
            return None
        room = max(room, math.ceil(math.log2(max(1.0, lr) / (1.0 - momentum))))
    return room if type(optimizer).__name__ == "SGD" else SQUARED
