"""Optimisers for many runs at once: the first dimension of every weight is the run, and each run has a rate of its own."""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from gdlib import optim

SMALL = 2.0**63
"""A norm below which no gradient is too large for any rule: `gdlib.optim.headroom` asks for 64 powers of two at most."""

Make = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def rule(make: Make, model: nn.Module, weights: list[Tensor]) -> "Rule":
    """What ``make`` does to the parameters of one model, done to stacked ``weights``.

    SGD, Adam and AdamW, torch's and `gdlib.optim`'s, are written out below for all runs at once. Of any other there is one for each run.
    """
    made = make([p for p in model.parameters() if p.requires_grad])
    optim.warn_if_levelled(made, stacklevel=4)
    found = _written_out(made, weights) or Each(weights, make)
    found.made = made
    return found


def _written_out(made: torch.optim.Optimizer, weights: list[Tensor]) -> "Rule | None":
    if len(made.param_groups) == 1 and made.param_groups[0].get("lr_scale", 1.0) == 1.0:
        group = made.param_groups[0]
        plain = not any(group.get(name) for name in ("maximize", "amsgrad", "decoupled_weight_decay"))
        if type(made) in (torch.optim.SGD, optim.SGD) and plain and not group.get("dampening"):
            return Sgd(weights, group["momentum"], group["weight_decay"], group["nesterov"])
        if type(made) is torch.optim.Adam and plain:
            return Adam(weights, *group["betas"], group["eps"], decay=group["weight_decay"], decoupled=False)
        if type(made) is torch.optim.AdamW and not group["maximize"] and not group["amsgrad"]:
            return Adam(weights, *group["betas"], group["eps"], decay=group["weight_decay"], decoupled=True)
        if type(made) is optim.AdamW:
            betas = group["beta1"], group["beta2"]
            return Adam(weights, *betas, group["eps"], decay=group["weight_decay"], decoupled=True)
    return None


class Rule:
    """Changes ``weights``, a list of stacked tensors, in place; ``lr`` holds the rates, shaped to multiply each of them."""

    made: torch.optim.Optimizer  # one of its kind

    def __init__(self, weights: list[Tensor]):
        self.weights, self.state = weights, []

    def room(self, lr: float) -> int | None:
        """`gdlib.optim.headroom` at a rate."""
        return optim.headroom(self.made, [lr * group.get("lr_scale", 1.0) for group in self.made.param_groups])

    def refused(self, gradients: Sequence[Tensor], lr: Sequence[float], room: int | None) -> Tensor | None:
        """Which runs have a gradient with which `Trainer` would not make an update; ``None`` where none has.

        On a CPU the norm of all gradients together is looked at first, which takes half the time of looking at each run.

        Args:
            gradients: of all runs.
            lr: the rate of each.
            room: at the highest of the rates.
        """
        if room is not None and gradients[0].is_cpu and sum(n.item() for n in torch._foreach_norm(gradients)) < SMALL:
            return None
        rooms = torch.tensor([self.room(rate) or 0 for rate in lr], dtype=torch.float64)
        limits = torch.finfo(gradients[0].dtype).max / 2.0**rooms
        return ~(_largest(gradients) <= limits.to(gradients[0].device))

    def spoilt(self, room: int | None) -> Tensor | None:
        """After an update by a rule or a rate of which nobody can say before: which runs it has left with something not finite."""
        if room is not None:
            return None
        return ~(_largest([*self.weights, *(t for tensors in self.state for t in tensors)]) < math.inf)

    def __call__(self, gradients: Sequence[Tensor], lr: Sequence[Tensor]) -> None:
        raise NotImplementedError

    def keep(self, alive: Tensor) -> list[Tensor]:
        """Drop the runs that are not ``alive``; the weights that are left, to be used from now on."""
        self.weights = [w[alive] for w in self.weights]
        self.state = [[t[alive] for t in tensors] for tensors in self.state]
        return self.weights


def _largest(tensors: Sequence[Tensor]) -> Tensor:
    """The largest magnitude in each run, ``(runs,)``; NaN where there is one."""
    return torch.stack([t.flatten(1).abs().amax(1) for t in tensors]).amax(0)


class Sgd(Rule):
    """SGD with momentum, plain or Nesterov's, and weight decay in the gradient."""

    def __init__(self, weights: list[Tensor], momentum: float = 0.0, decay: float = 0.0, nesterov: bool = False):
        super().__init__(weights)
        self.momentum, self.decay, self.nesterov = momentum, decay, nesterov
        self.state = [[torch.zeros_like(w) for w in weights]] if momentum else []

    def __call__(self, gradients: Sequence[Tensor], lr: Sequence[Tensor]) -> None:
        if self.decay:
            gradients = torch._foreach_add(gradients, self.weights, alpha=self.decay)
        if self.momentum:
            torch._foreach_mul_(self.state[0], self.momentum)
            torch._foreach_add_(self.state[0], gradients)
            ahead = self.nesterov
            gradients = torch._foreach_add(gradients, self.state[0], alpha=self.momentum) if ahead else self.state[0]
        torch._foreach_addcmul_(self.weights, gradients, lr, value=-1)


class Adam(Rule):
    """Adam (Kingma and Ba 2015, algorithm 1), with decay in the gradient or decoupled from it (Loshchilov and Hutter 2019)."""

    def __init__(self, weights: list[Tensor], beta1: float, beta2: float, eps: float, *, decay: float, decoupled: bool):
        super().__init__(weights)
        self.beta1, self.beta2, self.eps, self.decay, self.decoupled = beta1, beta2, eps, decay, decoupled
        self.state = [[torch.zeros_like(w) for w in weights] for _ in range(2)]
        self.steps = 0

    def __call__(self, gradients: Sequence[Tensor], lr: Sequence[Tensor]) -> None:
        self.steps += 1
        if self.decay and self.decoupled:
            torch._foreach_mul_(self.weights, [1 - self.decay * rate for rate in lr])
        elif self.decay:
            gradients = torch._foreach_add(gradients, self.weights, alpha=self.decay)
        means, squares = self.state
        torch._foreach_lerp_(means, gradients, 1 - self.beta1)
        torch._foreach_mul_(squares, self.beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - self.beta2)
        below = torch._foreach_sqrt(squares)
        torch._foreach_div_(below, (1 - self.beta2**self.steps) ** 0.5)
        torch._foreach_add_(below, self.eps)
        torch._foreach_div_(below, [rate / (self.beta1**self.steps - 1) for rate in lr])
        torch._foreach_addcdiv_(self.weights, means, below)


class Each(Rule):
    """One optimizer for each run, whose parameters are views of the stacked weights."""

    def __init__(self, weights: list[Tensor], make: Make):
        super().__init__(weights)
        self.runs = [[nn.Parameter(w[r]) for w in weights] for r in range(len(weights[0]))]
        self.optimizers = [make(parameters) for parameters in self.runs]

    def __call__(self, gradients: Sequence[Tensor], lr: Sequence[Tensor]) -> None:
        rates = lr[0].flatten().tolist()
        for r, (parameters, optimizer) in enumerate(zip(self.runs, self.optimizers)):
            for p, g in zip(parameters, gradients):
                p.grad = g[r]
            for group in optimizer.param_groups:
                group["lr"] = rates[r] * group.get("lr_scale", 1.0)
            with torch.enable_grad():
                optimizer.step()

    def spoilt(self, room: int | None) -> Tensor | None:
        found = super().spoilt(room)
        if found is not None:
            for r, optimizer in enumerate(self.optimizers):
                kept = (t for own in optimizer.state.values() for t in own.values() if isinstance(t, Tensor))
                found[r] |= not all(t.isfinite().all() for t in kept)
        return found

    def keep(self, alive: Tensor) -> list[Tensor]:
        weights, here = super().keep(alive), alive.nonzero().flatten().tolist()
        self.runs, self.optimizers = [self.runs[r] for r in here], [self.optimizers[r] for r in here]
        for r, parameters in enumerate(self.runs):
            for p, w in zip(parameters, weights):
                p.data = w[r]
        return weights
