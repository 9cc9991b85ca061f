"""Figures that look alike throughout the book. The house's colours and defaults live here, once.

Every function draws on the axes it is given, or on new ones, and returns them. Backgrounds are transparent and text is a grey
that reads on white and on black, so that a stored figure fits the light and the dark page.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from gdlib import _check
from gdlib.choosing import CriticalBatch, RangeTest, Sweep
from gdlib.descent import Path
from gdlib.problems import Problem
from gdlib.training import History

COLORS = {
    "lr": "#d95f02",
    "batch_size": "#1f8ac0",
    "train": "#1f8ac0",
    "test": "#d95f02",
    "predicted": "#9467bd",
    "measured": "#1b9e77",
    "bad": "#d62728",
    "text": "#7a7a7a",
}
"""One colour for one thing, through the whole book; chosen to stay apart for colour-blind readers."""

CYCLE = ["#1f8ac0", "#d95f02", "#1b9e77", "#9467bd", "#c2a000", "#d6589f"]


def style() -> None:
    """Set matplotlib's defaults to the house's. Each chapter's first cell calls this.

    Example:
        >>> style()
        >>> plt.rcParams["axes.spines.top"]
        False
    """
    grey = COLORS["text"]
    plt.rcParams.update(
        {
            "figure.figsize": (7.0, 3.6),
            "figure.dpi": 100,
            "figure.facecolor": "none",
            "figure.constrained_layout.use": True,
            "savefig.dpi": 170,
            "savefig.facecolor": "none",
            "savefig.transparent": True,
            "axes.facecolor": "none",
            "axes.edgecolor": grey,
            "axes.labelcolor": grey,
            "axes.titlecolor": grey,
            "axes.titlesize": "medium",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=CYCLE),
            "axes.grid": True,
            "grid.color": grey,
            "grid.alpha": 0.25,
            "lines.linewidth": 1.8,
            "text.color": grey,
            "xtick.color": grey,
            "ytick.color": grey,
            "legend.frameon": False,
            "font.size": 11,
        }
    )
    try:  # figures in a notebook are made by the inline backend, which crops them and has a resolution of its own
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("png", dpi=170)
    except ImportError:
        pass


def label(ax: Axes, x: float, y: float, text: str, color: str | None = None, **options: Any) -> None:
    """Write ``text`` at a point of the data, in the colour of the line it names: read at once, where a legend is looked up.

    Example:
        >>> ax = plt.figure().gca()
        >>> label(ax, 1.0, 2.0, "train", COLORS["train"])
        >>> ax.texts[0].get_text()
        'train'
    """
    options = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "fontsize": "small"} | options
    ax.annotate(text, (x, y), color=color or COLORS["text"], **options)


def _takes(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a gdlib {kind.__name__}; got {type(value).__name__}")


def contours(
    problem: Problem,
    *paths: Path,
    extent: Sequence[float] = (-1.5, 1.5, -1.5, 1.5),
    labels: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Level lines of a two-parameter loss, with the paths of descents over them.

    Args:
        problem: a problem with ``dim`` 2.
        paths: what `gdlib.descent.descend` returned; points outside ``extent`` are cut off.
        extent: left, right, bottom, top.
        labels: a name for each path, written where it starts.
        ax: where to draw; ``None`` makes a new figure.

    Raises:
        ValueError: if the problem has not two parameters.

    Example:
        >>> from gdlib import descent, problems
        >>> bowl = problems.Quadratic((1.0, 10.0))
        >>> ax = contours(bowl, descent.descend(bowl, start=(1.0, 1.0), lr=0.1, steps=20), labels=["lr 0.1"])
        >>> ax.get_xlabel()
        '$w_1$'
    """
    if problem.dim != 2:
        raise ValueError(f"problem must have two parameters to be drawn; got {problem.dim}")
    ax = ax or plt.figure(figsize=(4.6, 4.2)).gca()
    left, right, bottom, top = extent
    x, y = np.meshgrid(np.linspace(left, right, 121), np.linspace(bottom, top, 121))
    height = problem.loss(torch.from_numpy(np.stack([x, y], axis=-1))).numpy()
    height = height - problem.loss(problem.minimum).item()
    levels = height.max() * 2.0 ** -np.arange(14, -1, -1.0)
    ax.contour(x, y, height, levels=levels, colors=COLORS["text"], linewidths=0.7, alpha=0.7)
    ax.plot(*problem.minimum.tolist(), marker="*", ms=11, color=COLORS["measured"], ls="none")
    for i, path in enumerate(paths):
        color = CYCLE[i % len(CYCLE)]
        points = path.points.numpy()
        ax.plot(*points.T, color=color, marker="o", ms=3, lw=1.2)
        if i < len(labels):
            label(ax, *points[0], labels[i], color, xytext=(4, 8))
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="$w_1$", ylabel="$w_2$")
    ax.grid(False)
    return ax


def losses(
    runs: Iterable[Path | History | np.ndarray | torch.Tensor],
    labels: Sequence[str] = (),
    colors: Sequence[str] = (),
    floor: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """Loss against step, on a logarithmic axis, one line a run, each named at its end.

    Args:
        runs: descents, histories, or losses as one-dimensional arrays; an array of shape ``(seeds, steps)`` is drawn as
            its mean with the range from the lowest to the highest around it.
        labels: a name for each run.
        colors: a colour for each run; the house's in turn if empty.
        floor: subtracted from every loss, such as the loss at the minimum.
        ax: where to draw; ``None`` makes a new figure.

    Example:
        >>> ax = losses([np.array([2.0, 1.0, 0.5])], labels=["a run"])
        >>> ax.get_yscale()
        'log'
    """
    if isinstance(runs, (Path, History, Sweep)) or not isinstance(runs, Iterable):
        raise TypeError(f"runs must be a list of runs; got {type(runs).__name__}")
    ax = ax or plt.figure().gca()
    for i, run in enumerate(runs):
        values = run.losses if isinstance(run, Path) else run.loss if isinstance(run, History) else run
        values = np.atleast_2d(np.asarray(values, dtype=float)) - floor
        color = colors[i] if i < len(colors) else CYCLE[i % len(CYCLE)]
        mean, steps = values.mean(0), np.arange(values.shape[1])
        ax.plot(steps, mean, color=color)
        if len(values) > 1:
            ax.fill_between(steps, values.min(0), values.max(0), color=color, alpha=0.2, lw=0)
        shown = np.flatnonzero(np.isfinite(mean) & (mean > 0))
        if i < len(labels) and len(shown):
            label(ax, shown[-1], mean[shown[-1]], labels[i], color, annotation_clip=False)
    ax.set(yscale="log", xlabel="step", ylabel="loss" if not floor else "loss above the minimum")
    return ax


def schedules(
    functions: Iterable[Callable[[int], float]],
    steps: int,
    labels: Sequence[str] = (),
    colors: Sequence[str] = (),
    quantity: str = "learning rate",
    ax: Axes | None = None,
) -> Axes:
    """Schedules, or batch sizes, as what they are: functions of the step, each named where it ends.

    Args:
        functions: from the step to a number.
        steps: how far to draw.
        labels: a name for each.
        colors: a colour for each; the house's in turn if empty.
        quantity: what the numbers are, for the axis.
        ax: where to draw; ``None`` makes a new figure.

    Example:
        >>> from gdlib import schedules as rates
        >>> ax = schedules([rates.cosine(0.1, 100), rates.constant(0.05)], 100, labels=["cosine", "constant"])
        >>> len(ax.lines)
        2
    """
    ax = ax or plt.figure().gca()
    at = range(_check.whole("steps", steps))
    for i, function in enumerate(functions):
        values = [function(step) for step in at]
        color = colors[i] if i < len(colors) else CYCLE[i % len(CYCLE)]
        ax.plot(at, values, color=color)
        if i < len(labels):
            label(ax, at[-1], values[-1], labels[i], color, annotation_clip=False)
    ax.set(xlabel="step", ylabel=quantity, ylim=(0, None))
    return ax


def range_test(found: RangeTest, ax: Axes | None = None) -> Axes:
    """Loss against the rising learning rate: each batch's, the smoothed curve, and the suggestion on it.

    Example:
        >>> lrs = np.geomspace(1e-4, 1.0, 50)
        >>> seen = 2.0 - 1.5 / (1 + (0.1 / lrs) ** 2)
        >>> ax = range_test(RangeTest(lrs, seen, seen, suggestion=0.1, reason="the steepest fall"))
        >>> ax.texts[0].get_text()
        'suggested: 0.1'
    """
    _takes("found", found, RangeTest)
    ax = ax or plt.figure().gca()
    ax.plot(found.lrs, found.losses, ".", color=COLORS["measured"], ms=3, alpha=0.6)
    ax.plot(found.lrs, found.smoothed, color=COLORS["measured"])
    if found.suggestion is not None:
        at = int(np.argmin(np.abs(found.lrs - found.suggestion)))
        ax.plot(found.lrs[at], found.smoothed[at], "o", color=COLORS["lr"], ms=8)
        label(ax, found.lrs[at], found.smoothed[at], f"suggested: {found.suggestion:.2g}", COLORS["lr"], xytext=(9, 6))
    top = found.losses[: max(1, len(found.losses) // 2)].max()
    low = found.smoothed.min()
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - 0.1 * (top - low), top + 0.5 * (top - low)))
    return ax


def heat_map(runs: Sweep, ax: Axes | None = None) -> Axes:
    """Final loss over learning rate × batch size, the mean over the seeds; dots at each batch size's best rate.

    A cell with a cross holds a seed that diverged. Colours are spaced by the logarithm of the loss.

    Example:
        >>> runs = Sweep(np.array([0.1, 1.0]), np.array([8, 32]), np.array([0]), np.ones((2, 2, 1, 10), np.float32))
        >>> heat_map(runs).get_xlabel()
        'batch size'
    """
    _takes("runs", runs, Sweep)
    ax = ax or plt.figure(figsize=(6.0, 4.2)).gca()
    final = runs.final().mean(-1)
    known = np.ma.masked_invalid(final)
    places = np.arange(len(runs.batch_size)), np.arange(len(runs.lr))
    mesh = ax.pcolormesh(*places, known, norm="log", cmap="viridis_r", shading="nearest")
    for j, i in zip(*np.nonzero(~np.isfinite(final.T))):
        ax.plot(j, i, "x", color=COLORS["bad"], ms=6)
    best = [i.argmin() for i in final.T]
    alive = np.isfinite(final).any(0)
    ax.plot(places[0][alive], np.array(best)[alive], "o-", color=COLORS["lr"], ms=6, lw=1.2)
    ax.set_xticks(places[0], [f"{b:g}" for b in runs.batch_size])
    ax.set_yticks(places[1], [f"{lr:.2g}" for lr in runs.lr])
    ax.set(xlabel="batch size", ylabel="learning rate")
    ax.grid(False)
    plt.colorbar(mesh, ax=ax, label="final loss")
    return ax


def steps_to_target(
    batch_size: Sequence[float], steps: np.ndarray, fit: CriticalBatch | None = None, ax: Axes | None = None
) -> Axes:
    """Steps to one loss against batch size, with the fit's two asymptotes: half the steps for twice the batch, and no gain.

    Args:
        batch_size: ``(n,)``.
        steps: ``(n,)``, or ``(n, seeds)``: their mean is drawn with the range between lowest and highest.
        fit: what `gdlib.diagnose.fit_critical_batch` returned; its curve, asymptotes and critical batch size are drawn.
        ax: where to draw; ``None`` makes a new figure.

    Example:
        >>> from gdlib.choosing import fit_critical_batch
        >>> sizes, steps = [4, 16, 64, 256], [550, 175, 81, 58]
        >>> steps_to_target(sizes, np.array(steps), fit_critical_batch(sizes, steps)).get_ylabel()
        'steps to the target'
    """
    ax = ax or plt.figure().gca()
    b, values = np.asarray(batch_size, dtype=float), np.asarray(steps, dtype=float).reshape(len(batch_size), -1)
    mean = values.mean(1)
    ax.errorbar(b, mean, [mean - values.min(1), values.max(1) - mean], fmt="o", color=COLORS["measured"], ms=5, lw=1.5)
    if fit is not None:
        line = np.geomspace(b.min(), b.max(), 200)
        ax.plot(line, fit.steps(line), color=COLORS["predicted"])
        faint = {"color": COLORS["text"], "lw": 1.0, "ls": "--"}
        ax.plot(line[line <= 3 * fit.size], fit.min_steps * fit.size / line[line <= 3 * fit.size], **faint)
        ax.axhline(fit.min_steps, **faint)
        ax.axvline(fit.size, color=COLORS["batch_size"], lw=1.2, ls=":")
        label(ax, fit.size, mean.max(), f"critical batch size {fit.size:.0f}", COLORS["batch_size"])
    ax.set(xscale="log", yscale="log", xlabel="batch size", ylabel="steps to the target")
    return ax


def loss_against_lr(runs: Sweep, batch_size: int | None = None, ax: Axes | None = None) -> Axes:
    """Final loss against learning rate, one line a batch size, with the range over the seeds; crosses where a run diverged.

    Args:
        runs: what `gdlib.sweep` returned.
        batch_size: draw this one alone.
        ax: where to draw; ``None`` makes a new figure.

    Raises:
        ValueError: if ``batch_size`` is not one of the sweep's.

    Example:
        >>> runs = Sweep(np.array([0.1, 1.0]), np.array([8]), np.array([0]), np.ones((2, 1, 1, 10), np.float32))
        >>> loss_against_lr(runs, batch_size=8).get_xlabel()
        'learning rate'
    """
    _takes("runs", runs, Sweep)
    ax = ax or plt.figure().gca()
    sizes = runs.batch_size.tolist()
    if batch_size is not None:
        sizes = [_check.one_of("batch_size", batch_size, sizes)]
    final = runs.final()
    for i, size in enumerate(sizes):
        values = final[:, runs.batch_size.tolist().index(size)]
        color = CYCLE[i % len(CYCLE)]
        good = np.isfinite(values).all(-1)
        ax.plot(runs.lr[good], values[good].mean(-1), color=color, marker="o", ms=3)
        ax.fill_between(runs.lr[good], values[good].min(-1), values[good].max(-1), color=color, alpha=0.2, lw=0)
        if good.any():
            label(ax, runs.lr[good][-1], values[good][-1].mean(), f"B = {size}", color, annotation_clip=False)
        ax.plot(
            runs.lr[~good],
            np.full((~good).sum(), 0.97 - 0.05 * i),
            "x",
            color=color,
            transform=ax.get_xaxis_transform(),
        )
    ax.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="final loss")
    return ax
