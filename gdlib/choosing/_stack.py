"""Many runs of one batch size, trained as one: their weights lie in one tensor, with a dimension for the run."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm.auto import tqdm

from gdlib import _check
from gdlib.choosing import _rules, _tape
from gdlib.choosing._samples import mean, of_its_own, some, stateful
from gdlib.data import Dataset, batch_indices
from gdlib.models import evaluating
from gdlib.schedules import Schedule, plateaus
from gdlib.training import Divergence, Trainer
from gdlib.training import device as devices
from gdlib.training.calling import at_least_one

BLOCK = 64  # steps whose batches are looked up together; between blocks, runs that have diverged leave the stack
WORTH = 40  # steps from which on it pays to record the step first
ROWS = 4096  # samples, over all runs, that are evaluated at a time


class Run(NamedTuple):
    """One run of a plan."""

    lr: Schedule
    seed: int
    part: int = 0  # of the plan's parts


@dataclass(frozen=True)
class Plan:
    """What all runs of a sweep have in common."""

    make_model: Callable[[], nn.Module]
    data: Any
    loss_fn: Callable
    optimizer: _rules.Make
    steps: int
    clip_norm: float | None
    device: torch.device
    evaluation: Any
    marks: tuple[int, ...]  # steps after which it is evaluated on
    precision: str = "fp32"
    metric: Callable | None = None  # what it is judged by; its loss if that is None
    parts: tuple[tuple[Tensor, Tensor], ...] = ()  # rows of the data to train on and to be evaluated on, instead of all

    def samples(self, part: int) -> tuple[Any, Any]:
        """What a run trains on, and what it is evaluated on."""
        if not self.parts:
            return self.data, self.evaluation
        return tuple(some(self.data, rows) for rows in self.parts[part])

    def judged(self, trainer: Trainer, evaluation: Any) -> float:
        found = trainer.evaluate(evaluation, {"metric": self.metric} if self.metric else None)
        return found["metric" if self.metric else "loss"]

    def started(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model = self.make_model()
        if not isinstance(model, nn.Module):
            raise TypeError(f"make_model must return a torch.nn.Module; got {type(model).__name__}")
        return (model if model.training else model.train()).to(self.device)  # parts in evaluation mode stay there


def alone(plan: Plan, runs: Sequence[Run], batch_size: int, bar: tqdm) -> tuple[np.ndarray, np.ndarray]:
    """Losses, ``(runs, steps)``, and losses on the evaluation set, ``(runs, marks)``, of one run after another."""
    losses = np.full((len(runs), plan.steps), np.inf, dtype=np.float32)
    judged = np.full((len(runs), len(plan.marks)), np.inf, dtype=np.float32)
    for r, run in enumerate(runs):
        samples, evaluation = plan.samples(run.part)
        trainer = Trainer(
            plan.started(run.seed), samples, of_its_own(plan.loss_fn), plan.optimizer, lr=run.lr, batch_size=batch_size,
            device=plan.device, precision=plan.precision, clip_norm=plan.clip_norm, seed=run.seed,
        )  # fmt: skip
        try:
            for step in trainer.run(plan.steps):
                losses[r, step.index] = step.loss
                if step.index + 1 in plan.marks:
                    judged[r, plan.marks.index(step.index + 1)] = plan.judged(trainer, evaluation)
        except Divergence:
            pass  # what is left of the row stays infinite
        bar.update(plan.steps)
    return losses, judged


def why_alone(plan: Plan) -> str | None:
    """Why runs cannot be stacked; ``None`` where they can: a stack of two gives the losses and gradients of each by itself."""
    if not isinstance(plan.data, Dataset) or not all(
        isinstance(x, Tensor) for x in (plan.data.inputs, plan.data.targets)
    ):
        return "its data are not two tensors"
    if isinstance(plan.optimizer, torch.optim.Optimizer):
        return "its optimizer is not a function"
    if devices.precision(plan.precision, plan.device).name != "fp32":
        return "its precision is not fp32"
    if plan.loss_fn is None:
        return "the loss is its model's own"
    plan = replace(plan, loss_fn=of_its_own(plan.loss_fn))
    own = stateful(plan.loss_fn)
    if own is not None and any(p.requires_grad for p in own.parameters()):
        return "its loss has parameters of its own"
    models = [plan.started(seed) for seed in (0, 1)]
    if len({p.dtype for p in models[0].parameters()}) > 1 or any(p.is_complex() for p in models[0].parameters()):
        return "its parameters are complex, or not of one dtype"
    kinds = {
        type(m).__name__
        for m in models[0].modules()
        if isinstance(m, (nn.RNNBase, nn.RNNCellBase, nn.modules.batchnorm._BatchNorm))
    }
    if kinds:
        return f"torch.vmap does not know {', '.join(sorted(kinds))}"
    rows = torch.arange(min(4, len(plan.data)), device=plan.device)
    x, y = plan.data.inputs[rows], plan.data.targets[rows]
    try:
        stack = _Stack(plan, {0: models[0], 1: models[1]}, [0, 1])
        each, *gradients = stack.gradients(*stack.weights, *stack.fixed, torch.stack([x, x]), torch.stack([y, y]))
        kept = [*models, *([own] if own is not None else [])]
        before = [{name: b.clone() for name, b in module.named_buffers()} for module in kept]
        for r, model in enumerate(models):
            loss = mean(plan.loss_fn(model(x), y))
            alone = torch.autograd.grad(loss, [model.get_parameter(name) for name in stack.names])
            after = [dict(module.named_buffers()) for module in kept]
            if any(not torch.equal(now[name], then[name]) for now, then in zip(after, before) for name in then):
                return "its buffers change while it trains"
            pairs = [(each[r], loss), *((g[r], a) for g, a in zip(gradients, alone))]
            if not all(torch.allclose(a, b, rtol=1e-3, atol=1e-6, equal_nan=True) for a, b in pairs):
                return "stacked, it does not compute what it computes alone"
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        return f"torch.vmap says: {said[0][:200]}"
    return None


class _Stack:
    """The weights of models with these seeds, and the losses of all of them."""

    def __init__(self, plan: Plan, started: dict[int, nn.Module], seeds: list[int]):
        self.model, self.loss_fn, self.seeds = started[seeds[0]], plan.loss_fn, seeds
        tensors = {seed: {**dict(m.named_parameters()), **dict(m.named_buffers())} for seed, m in started.items()}
        rows = torch.arange(min(2, len(plan.data)), device=plan.device)
        trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        loss = mean(plan.loss_fn(self.model(plan.data.inputs[rows]), plan.data.targets[rows]))
        used = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
        self.names = [name for name, g in zip(trained, used) if g is not None]  # torch's optimizers skip the others too
        first, others = tensors[seeds[0]], list(tensors.values())
        rest = [name for name in first if name not in self.names]
        self.own = [name for name in rest if not all(torch.equal(t[name], first[name]) for t in others)]
        self.common = {name: first[name].detach() for name in rest if name not in self.own}
        self.weights, self.fixed = (
            [torch.stack([tensors[seed][name].detach() for seed in seeds]) for name in names]
            for names in (self.names, self.own)
        )
        self.each = vmap(self._loss)
        self.sums, self.sums_on_one = vmap(self._sum), vmap(self._sum, in_dims=(0, None, None))

    def _value(self, tensors: dict[str, Tensor], x: Tensor, y: Tensor) -> Any:
        with sdpa_kernel(SDPBackend.MATH) if x.is_cpu else nullcontext():  # vmap knows no other attention on a CPU
            return self.loss_fn(functional_call(self.model, {**self.common, **tensors}, (x,)), y)

    def _loss(self, tensors: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return mean(self._value(tensors, x, y))

    def _sum(self, tensors: dict[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the loss, and what it is to be divided by."""
        found = self._value(tensors, x, y)
        total, count = found if isinstance(found, tuple) else (found * len(x), len(x))
        return total, torch.as_tensor(count, device=x.device)

    def _named(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        return dict(zip((*self.names, *self.own), tensors))

    def gradients(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The loss of each run, and the gradients of the weights; takes weights, fixed tensors, inputs and targets."""
        *state, x, y = tensors
        n = len(self.names)
        weights = [w.detach().requires_grad_() for w in state[:n]]
        with torch.enable_grad():
            each = self.each(self._named((*weights, *state[n:])), x, y)
            return each.detach(), *torch.autograd.grad(each.sum(), weights)

    @torch.no_grad()
    def evaluate(self, data: Dataset, metric: Callable | None = None, rows: Tensor | None = None) -> Tensor:
        """The mean loss of each run, or its ``metric``, on all of the data or on rows of its own, ``(runs, n)``."""
        total, count, tensors = 0.0, 0.0, self._named((*self.weights, *self.fixed))
        with evaluating(self.model):
            if metric is not None:
                return torch.tensor([self._judged(data, metric, r, rows) for r in range(len(self.seeds))])
            n, step = len(data) if rows is None else rows.shape[1], max(1, ROWS // len(self.seeds))
            for some_rows in torch.arange(n, device=data.inputs.device).split(step):
                if rows is None:
                    found = self.sums_on_one(tensors, data.inputs[some_rows], data.targets[some_rows])
                else:
                    mine = rows[:, some_rows]
                    found = self.sums(tensors, data.inputs[mine], data.targets[mine])
                total, count = total + found[0].double(), count + found[1].double()
        return total / at_least_one(count)

    def _judged(self, data: Dataset, metric: Callable, r: int, rows: Tensor | None) -> float:
        own = {name: t[r] for name, t in self._named((*self.weights, *self.fixed)).items()}
        inputs, targets = (side if rows is None else side[rows[r]] for side in (data.inputs, data.targets))
        outputs = functional_call(self.model, {**self.common, **own}, (inputs,))
        return float(metric(outputs.cpu(), targets.cpu()))


def together(plan: Plan, runs: Sequence[Run], batch_size: int, bar: tqdm) -> tuple[np.ndarray, np.ndarray]:
    """As `alone`, all runs at once."""
    stack = _Stack(
        plan, {seed: plan.started(seed) for seed in dict.fromkeys(r.seed for r in runs)}, [r.seed for r in runs]
    )
    update = _rules.rule(plan.optimizer, stack.model, stack.weights)
    losses = torch.full((len(runs), plan.steps), torch.inf, dtype=torch.float32)
    judged = torch.full((len(runs), len(plan.marks)), torch.inf, dtype=torch.float32)
    here, gradients = list(range(len(runs))), None  # which runs are still in the stack, and what gives their gradients
    for begin, end in _blocks(plan.steps, plan.marks):
        batches = _batches(plan, begin, end, batch_size, [runs[r] for r in here])
        if gradients is None:
            gradients = stack.gradients
            if plan.steps - begin >= WORTH and end - begin > 1:
                state = (*stack.weights, *stack.fixed)
                examples = ((*state, *_pick(plan.data, batches[k], batch_size)) for k in (0, 1))
                gradients = _tape.record(stack.gradients, *examples) or stack.gradients
        seen = _steps(plan, stack, update, gradients, [runs[r].lr for r in here], (begin, end), batches, batch_size)
        finite = seen.isfinite().cumprod(1).bool()  # a run that came back from infinity would still have diverged
        bar.update((end - begin) * len(runs))
        losses[here, begin:end] = seen.masked_fill(~finite, torch.inf)
        alive = finite.all(1)
        if not alive.all():
            here, gradients = [r for r, lives in zip(here, alive.tolist()) if lives], None
            if not here:
                bar.update((plan.steps - end) * len(runs))
                break
            alive = alive.to(plan.device)
            stack.weights, stack.fixed = update.keep(alive), [t[alive] for t in stack.fixed]
            stack.seeds = [runs[r].seed for r in here]
        if end in plan.marks:
            rows = torch.stack([plan.parts[runs[r].part][1] for r in here]).to(plan.device) if plan.parts else None
            found = stack.evaluate(plan.data if plan.parts else plan.evaluation, plan.metric, rows).float().cpu()
            judged[here, plan.marks.index(end)] = found.masked_fill(~found.isfinite(), torch.inf)
    return losses.numpy(), judged.numpy()


def _blocks(steps: int, marks: tuple[int, ...]) -> list[tuple[int, int]]:
    ends = sorted({*range(BLOCK, steps, BLOCK), *marks, steps})
    return list(zip([0, *ends], ends))


def _batches(plan: Plan, begin: int, end: int, size: int, runs: list[Run]) -> Tensor:
    """Which samples the runs take, ``(steps, runs * size)``."""
    kinds = list(dict.fromkeys((run.seed, run.part) for run in runs))
    device, found = plan.data.inputs.device, []
    for seed, part in kinds:
        own = plan.parts[part][0].to(device) if plan.parts else None
        n = len(plan.data) if own is None else len(own)
        rows = batch_indices(n, begin * size, (end - begin) * size, seed, device)
        found.append((rows if own is None else own[rows]).view(end - begin, size))
    return torch.stack(found, 1)[:, [kinds.index((run.seed, run.part)) for run in runs]].flatten(1)


def _pick(data: Dataset, rows: Tensor, size: int) -> list[Tensor]:
    return [side.index_select(0, rows).unflatten(0, (-1, size)) for side in (data.inputs, data.targets)]


@torch.no_grad()
def _steps(
    plan: Plan, stack: _Stack, update: _rules.Rule, gradients: Callable, schedules: list[Schedule], block: tuple[int, int],
    batches: Tensor, size: int,
) -> Tensor:  # fmt: skip
    """The losses of a block of steps, ``(runs, steps)``."""
    begin, end = block
    reacting = [[p for p in plateaus(schedule) if p.watch == "loss"] for schedule in schedules]
    known = None if any(reacting) else _rates(schedules, range(begin, end), stack.weights)
    room = known and update.room(max(map(max, known[0])))
    seen = torch.empty(end - begin, len(schedules), device=plan.device)
    for k, rows in enumerate(batches):
        state = (*stack.weights, *stack.fixed)
        seen[k], *slopes = gradients(*state, *_pick(plan.data, rows, size))
        rates, shaped = known or _rates(schedules, [begin + k], stack.weights)
        at = k if known else 0
        room = room if known else update.room(max(rates[at]))
        refused = update.refused(slopes, rates[at], room)
        if plan.clip_norm is not None:
            slopes = _clipped(slopes, plan.clip_norm)
        update(slopes, [rate[at] for rate in shaped])
        for bad in (refused, update.spoilt(room)):
            if bad is not None:
                seen[k] = seen[k].masked_fill(bad, torch.inf)
        if any(reacting):
            for told, loss in zip(reacting, seen[k].tolist()):
                for schedule in told:
                    schedule.observe(loss)
    return seen.T.float().cpu()


def _rates(
    schedules: list[Schedule], steps: Sequence[int], weights: list[Tensor]
) -> tuple[list[list[float]], list[Tensor]]:
    """The rates, ``(steps, runs)``, and the same shaped to multiply each of the weights."""
    rates = torch.tensor([[schedule(step) for schedule in schedules] for step in steps], dtype=torch.float64)
    for wrong in rates[~(rates.isfinite() & (rates >= 0))].tolist():
        _check.number("lr(step)", wrong, low=0.0)
    shaped = rates.to(weights[0].device, weights[0].dtype)
    return rates.tolist(), [shaped.view(*rates.shape, *[1] * (w.ndim - 1)) for w in weights]


def _clipped(gradients: Sequence[Tensor], norm: float) -> list[Tensor]:
    """As ``clip_grad_norm_`` does it, each run's by its own norm."""
    norms = sum(g.square().flatten(1).sum(1) for g in gradients).sqrt()
    factor = (norm / (norms + 1e-6)).clamp(max=1.0)
    return [g * factor.view(-1, *[1] * (g.ndim - 1)) for g in gradients]
