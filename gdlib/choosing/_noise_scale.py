"""The gradient noise scale: from which batch size on a larger batch hardly helps (McCandlish et al. 2018)."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from tqdm.auto import tqdm

from gdlib import _check
from gdlib.choosing._samples import as_samples, batch, mean, value
from gdlib.data import tree_map
from gdlib.models import evaluating


@dataclass(frozen=True)
class NoiseScale:
    r"""The simple noise scale :math:`B_{\text{simple}} = \operatorname{tr}\Sigma / |G|^2` and what it is made of.

    Attributes:
        simple: the noise scale, in samples: an estimate of the critical batch size, right within a factor of two or three
            (McCandlish et al. 2018, section 2.3). Infinite where the gradient cannot be told from zero.
        trace: :math:`\operatorname{tr}\Sigma`, the variance of one sample's gradient, summed over the parameters.
        gradient_norm2: :math:`|G|^2`, the square of the mean gradient's norm. An estimate may be negative.
        interval: bounds of ``simple``, at the confidence asked for.

    Example:
        >>> NoiseScale(simple=50.0, trace=100.0, gradient_norm2=2.0, interval=(40.0, 62.0)).simple
        50.0
    """

    simple: float
    trace: float
    gradient_norm2: float
    interval: tuple[float, float]


def gradient_noise_scale(
    model: nn.Module,
    dataset: Any,
    loss_fn: Callable | None,
    method: str = "exact",
    samples: int | None = None,
    small: int = 8,
    large: int = 256,
    draws: int = 100,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = False,
) -> NoiseScale:
    r"""Measure the noise scale of ``model`` as it stands.

    ``method="exact"`` takes the gradient :math:`g_i` of every sample (``torch.func``):

    .. math:: G = \frac1n \sum_i g_i, \qquad \operatorname{tr}\Sigma = \frac1n \sum_i |g_i|^2 - |G|^2

    ``method="two_batch"`` needs no gradient of single samples, only of batches of two sizes :math:`b < B`, drawn with
    replacement. Both estimates are unbiased (McCandlish et al. 2018, appendix A.1); they are averaged over the draws before
    they are divided, for the ratio of one draw means little:

    .. math:: |G|^2 \approx \frac{B\,|G_B|^2 - b\,|G_b|^2}{B - b}, \qquad
        \operatorname{tr}\Sigma \approx \frac{|G_b|^2 - |G_B|^2}{1/b - 1/B}

    With a part of the samples, both are corrected for being a part. Dropout is off and batch norm uses its running statistics meanwhile: with batch statistics a sample has no gradient of
    its own. The model is left as it was, its gradients too.

    Args:
        model: where to measure; on whichever device it is. Parameters that are frozen or unused count as nothing.
        dataset: the samples, which are taken for the whole population: what `Trainer` takes, with a length.
        loss_fn: as for `Trainer`: the mean over the batch, or a sum and a count; ``None`` where the model returns its loss.
        method: ``"exact"`` or ``"two_batch"``. Where ``torch.vmap`` does not know the model (recurrent layers), ``"exact"`` is not
            to be had: a warning says so, and the other is taken.
        samples: for ``"exact"``, how many samples to use, drawn at random; ``None`` uses all.
        small, large: for ``"two_batch"``, the batch sizes :math:`b` and :math:`B`.
        draws: for ``"two_batch"``, how many pairs of batches.
        confidence: of the interval, in (0, 1). It comes from the spread over the samples, as if these were drawn from a larger
            population, or over the draws, to first order in the logarithm of the ratio (the delta method).
        seed: of the draws; torch's own generator is not touched.
        progress: show a bar.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> from gdlib import data, models
        >>> _ = torch.manual_seed(0)
        >>> train = data.diabetes().train
        >>> noise = gradient_noise_scale(models.linear(10), train, nn.functional.mse_loss)
        >>> low, high = noise.interval
        >>> low < noise.simple == noise.trace / noise.gradient_norm2 < high
        True
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module; got {type(model).__name__}")
    data = as_samples("dataset", dataset)
    if len(data) < 2:
        raise ValueError(f"dataset must hold at least two samples, for their gradients to differ; got {len(data)}")
    _check.one_of("method", method, ("exact", "two_batch"))
    if _check.positive("confidence", confidence) >= 1:
        raise ValueError(f"confidence must be above 0 and below 1; got {confidence!r}")
    generator = torch.Generator().manual_seed(_check.whole("seed", seed, low=0))
    small, large = _check.whole("small", small), _check.whole("large", large)
    draws = _check.whole("draws", draws, low=2)
    if method == "two_batch" and large <= small:
        raise ValueError(f"large must be above small = {small}; got {large}")
    n = len(data) if samples is None else min(_check.whole("samples", samples, low=2), len(data))
    gradients = _Gradients(model, data, loss_fn, progress)
    with evaluating(model):
        why = gradients.refused if method == "exact" else None
        if why:
            warnings.warn(f"method is 'two_batch' after all: torch.vmap does not know this model ({why})", stacklevel=2)
        if method == "exact" and not why:
            trace, norm2, traces, norms = _exact(gradients, n, generator)
        else:
            trace, norm2, traces, norms = _two_batch(gradients, small, large, draws, generator)
    trace, norm2 = float(trace), float(norm2)
    if not (math.isfinite(trace) and math.isfinite(norm2)):
        raise ValueError("model must have finite gradients on the dataset; got NaN or infinity")
    simple = trace / norm2 if norm2 > 0 else math.inf
    return NoiseScale(simple, trace, norm2, _interval(traces, norms, trace, norm2, confidence))


class _Gradients:
    """Gradients of a model's trained parameters: of the mean over some samples, and of each of them."""

    def __init__(self, model: nn.Module, data: Any, loss_fn: Callable | None, progress: bool):
        self.model, self.data, self.loss_fn, self.progress = model, data, loss_fn, progress
        self.weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self.weights:
            raise ValueError("model must have a parameter to train; got none that requires a gradient")
        self.device = next(iter(self.weights.values())).device

    def mean(self, rows: Tensor) -> tuple[list[Tensor], float]:
        """Of the mean over the samples, and over how many things that mean was taken."""
        inputs, targets = batch(self.data, rows, self.device)
        found = value(self.model, self.loss_fn, inputs, targets)
        slopes = torch.autograd.grad(mean(found), list(self.weights.values()), allow_unused=True)
        count = float(found[1]) if isinstance(found, tuple) else float(len(rows))
        slopes = [torch.zeros_like(p) if g is None else _real(g) for p, g in zip(self.weights.values(), slopes)]
        return slopes, count

    def each(self, rows: Tensor) -> list[Tensor]:
        """Of each sample's loss, of its sum where the loss returns a sum and a count: ``(samples, parameters)``."""

        samples = batch(self.data, rows, self.device)
        whole = samples[0] is samples[1]

        def loss(weights: dict[str, Tensor], inputs: Any, targets: Any) -> Tensor:
            inputs, targets = (tree_map(lambda leaf: leaf[None], side) for side in (inputs, targets))
            targets = inputs if whole else targets
            found = value(self.model, self.loss_fn, inputs, targets, partial(_called, self.model, weights))
            return found[0] if isinstance(found, tuple) else found

        detached = {name: p.detach() for name, p in self.weights.items()}
        slopes = vmap(grad(loss), in_dims=(None, 0, 0))(detached, *samples)
        return [_real(g).flatten(1) for g in slopes.values()]

    @property
    def refused(self) -> str | None:
        """Why there are no gradients of single samples; ``None`` where there are, and they are right."""
        rows = torch.arange(min(2, len(self.data)))
        try:
            each = self.each(rows)
            first, count = self.mean(rows[:1])
            ones = [g.flatten() * (count if self._sums(rows[:1]) else 1.0) for g in first]
            right = all(torch.allclose(a[0], b, rtol=1e-3, atol=1e-6, equal_nan=True) for a, b in zip(each, ones))
            return None if right else "it does not compute there what it computes alone"
        except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
            return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

    def _sums(self, rows: Tensor) -> bool:
        with torch.no_grad():
            return isinstance(value(self.model, self.loss_fn, *batch(self.data, rows, self.device)), tuple)


def _real(gradient: Tensor) -> Tensor:
    return torch.view_as_real(gradient) if gradient.is_complex() else gradient


def _called(model: nn.Module, weights: dict[str, Tensor], *inputs: Any, **named: Any) -> Any:
    return functional_call(model, weights, inputs, named)


def _exact(gradients: _Gradients, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Trace and squared norm, and what each sample contributes to them."""
    total = len(gradients.data)
    rows = torch.randperm(total, generator=generator)[:n]
    parts = [(part, *gradients.mean(part)) for part in rows.split(4096)]
    counted = sum(count for _, _, count in parts)
    whole = [sum(g[k] * (count / counted) for _, g, count in parts) for k in range(len(parts[0][1]))]
    scale = n / counted if gradients._sums(rows[:1]) else 1.0  # a sum over a sample's things, as a share of the mean
    squares, dots = [], []
    chunks = rows.split(max(1, 2**25 // sum(m.numel() for m in whole)))  # about 128 MB of gradients at a time
    for part in tqdm(chunks, disable=not gradients.progress, unit="chunk", desc="noise scale"):
        each = gradients.each(part)
        squares.append(sum(g.square().sum(1).double() for g in each).cpu() * scale**2)
        dots.append(sum((g @ m.flatten()).double() for g, m in zip(each, whole)).cpu() * scale)
    squares, dots = torch.cat(squares), torch.cat(dots)
    spread = (squares.mean() - dots.mean()) * n / max(n - 1, 1)  # unbiased for all samples, from n of them
    norms = 2.0 * dots - dots.mean()  # what each sample contributes, to first order, to the mean's squared norm
    return spread * (total - 1) / total, dots.mean() - spread / n * (1 - n / total), squares - norms, norms


def _two_batch(
    gradients: _Gradients, small: int, large: int, draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Trace and squared norm, and what each pair of batches gives."""
    norms2 = []
    for _ in tqdm(range(draws), disable=not gradients.progress, unit="draw", desc="noise scale"):
        pair = [torch.randint(len(gradients.data), (size,), generator=generator) for size in (small, large)]
        norms2.append([sum(g.square().sum().item() for g in gradients.mean(rows)[0]) for rows in pair])
    of_small, of_large = torch.tensor(norms2, dtype=torch.float64).T
    traces = (of_small - of_large) / (1 / small - 1 / large)
    norms = (large * of_large - small * of_small) / (large - small)
    return traces.mean(), norms.mean(), traces, norms


def _interval(traces: Tensor, norms: Tensor, trace: float, norm2: float, confidence: float) -> tuple[float, float]:
    """Bounds of trace / norm2, each the mean of what is given; unbounded above where norm2 cannot be told from zero."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    error = z * (norms.std() / len(norms) ** 0.5).item()
    lowest = max(trace - z * (traces.std() / len(traces) ** 0.5).item(), 0.0) / max(norm2 + error, 1e-300)
    if norm2 <= error or trace <= 0:
        return lowest, math.inf
    factor = math.exp(z * ((traces / trace - norms / norm2).std() / len(norms) ** 0.5).item())
    return trace / norm2 / factor, trace / norm2 * factor


@dataclass(frozen=True)
class CriticalBatch:
    """How the steps to one loss depend on the batch size; see `fit_critical_batch`.

    Attributes:
        size: the critical batch size, in samples.
        size_error: its standard error, as a factor: 1.2 says that a fifth more or less would fit nearly as well.
        min_steps: the steps that the largest batch still needs.

    Example:
        >>> fit = CriticalBatch(size=40.0, size_error=1.1, min_steps=24.0)
        >>> float(fit.steps(40))  # at the critical batch size, twice the fewest steps
        48.0
    """

    size: float
    size_error: float
    min_steps: float

    def steps(self, batch_size: float | np.ndarray) -> float | np.ndarray:
        """The steps that the fit gives for a batch size."""
        return self.min_steps * (1.0 + self.size / np.asarray(batch_size, dtype=float))


def fit_critical_batch(batch_size: Sequence[float], steps: Sequence[float]) -> CriticalBatch:
    r"""Fit the steps to a target loss, the rate tuned at each batch size (McCandlish et al. 2018, equation 2.11).

    .. math:: S(B) = S_{\min} \left(1 + \frac{B_{\text{crit}}}{B}\right)

    Below :math:`B_{\text{crit}}` twice the batch needs half the steps; above it, hardly fewer. The fit is of the logarithms, so
    that each point counts alike.

    Args:
        batch_size: :math:`B`, at least three different ones, ``(n,)``.
        steps: :math:`S`, ``(n,)``, each positive and finite. Several seeds are several points.

    Raises:
        ValueError: if there are fewer than three batch sizes, or a value is not positive and finite.

    Example:
        >>> fit = fit_critical_batch([4, 16, 64, 256], [1100, 350, 162.5, 115.625])
        >>> round(fit.size), round(fit.min_steps), round(float(fit.steps(1000)))
        (40, 100, 104)
    """
    b, s = np.asarray(batch_size, dtype=float), np.asarray(steps, dtype=float)
    for name, values in (("batch_size", b), ("steps", s)):
        if values.shape != b.shape or b.ndim != 1 or not (np.isfinite(values) & (values > 0)).all():
            raise ValueError(f"{name} must be positive finite numbers, one for each point; got {values.tolist()}")
    if len(np.unique(b)) < 3:
        raise ValueError(f"batch_size must hold at least three different sizes; got {np.unique(b).tolist()}")
    from scipy.optimize import curve_fit  # takes a third of a second to import

    start = (np.log(np.median(b)), np.log(s.min()))
    found, spread = curve_fit(
        lambda b, size, least: least + np.log1p(np.exp(size) / b), b, np.log(s), p0=start, maxfev=10000
    )
    return CriticalBatch(float(np.exp(found[0])), float(np.exp(spread[0, 0] ** 0.5)), float(np.exp(found[1])))
