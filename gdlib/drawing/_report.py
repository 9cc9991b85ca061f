"""A recommendation as one HTML page that asks nothing of any other host."""

import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from gdlib.drawing import _plots as plots

if TYPE_CHECKING:
    from gdlib.choosing import Recommendation, Trial

STYLE = """
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: #2b3036; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } figure { margin: 1rem 0 } svg { max-width: 100%; height: auto }
table { border-collapse: collapse; font-size: .9rem } td, th { padding: .15rem .7rem .15rem 0; text-align: right }
th:first-child, td:first-child { text-align: left } pre { padding: .6rem 1rem; overflow-x: auto; border: 1px solid #8886 } .wide { overflow-x: auto } .chosen { font-weight: bold }
@media (prefers-color-scheme: dark) { body { color: #d0d4da; background: #14181e } }
"""


def write_report(found: "Recommendation", path: Path) -> None:
    """Write the page of ``found`` to ``path``."""
    chosen = {
        "peak learning rate": (f"{found.lr:.2g}", found.reasons["lr"]),
        "batch size": (f"{found.batch_size}", found.reasons["batch_size"]),
        "warmup": (f"{found.warmup} steps" if found.warmup else "none", found.reasons["warmup"]),
        "schedule": (
            f"linear to zero over {found.steps} steps" if found.shape == "linear" else "constant",
            found.reasons["shape"],
        ),
    }
    rows = "".join(
        f"<tr><td>{name}</td><td class='chosen'>{html.escape(value)}</td><td style='text-align:left'>{html.escape(why)}</td></tr>"
        for name, (value, why) in chosen.items()
    )
    low, high = found.spread
    quick = found.soonest
    sooner = (
        f" A batch of {quick.batch_size} at {quick.lr:.2g} comes as low, {quick.loss:.3g}, in {quick.seconds:.3g} s."
        if quick.batch_size != found.batch_size
        else " No larger batch comes as low in less time."
    )
    with plt.rc_context():
        plots.style()
        pictures = [_picture(draw(found), words) for draw, words in PICTURES if draw is not _noise or _known(found)]
    path.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Learning rate and batch size</title><style>{STYLE}</style><h1>Learning rate and batch size</h1>"
        f"<p>{html.escape(found.model)}, {html.escape(found.optimizer)}, {found.date}.</p>"
        f"<p>Whole runs at the chosen setting end at a validation loss (or metric) of <b>{found.loss:.3g}</b>, between {low:.3g} and"
        f" {high:.3g} over three seeds, and take {found.seconds:.3g} s each on this machine. Differences smaller than that mean nothing."
        f"{sooner} {html.escape(found.reasons['constant']).capitalize()}.</p><p>The search cost as much as {found.cost:.1f} whole runs,"
        f" in samples, and took {found.took:.3g} s.</p><pre>{html.escape(_snippet(found))}</pre>"
        f"<div class='wide'><table><tr><th>what</th><th>take</th><th style='text-align:left'>why</th></tr>{rows}</table></div>"
        + "".join(pictures)
        + f"<h2>Every run</h2><div class='wide'><table>{_table(found.trials)}</table></div></html>",
        encoding="utf-8",
    )


def _snippet(found: "Recommendation") -> str:
    """What to paste."""
    rate = f"schedules.{'polynomial' if found.shape == 'linear' else 'constant'}({found.lr:.3g}"
    rate += f", {found.steps})" if found.shape == "linear" else ")"
    if found.warmup:
        rate = f"schedules.warmup({rate}, {found.warmup}, start={1 / (found.warmup + 1):.3g})"
    return (
        f"lr = {rate}\ntrainer = Trainer(model, data, loss_fn, optimizer, lr=lr, batch_size={found.batch_size})\n"
        f"trainer.fit({found.steps})"
    )


def _known(found: "Recommendation") -> bool:
    """Whether there is a noise scale to be drawn."""
    return any(np.isfinite(noise.simple) for noise in found.noise)


def _picture(figure: Figure, words: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg")
    plt.close(figure)
    svg = text.getvalue()
    return f"<figure role='img' aria-label='{html.escape(words)}'>{svg[svg.index('<svg') :]}<figcaption>{html.escape(words)}</figcaption></figure>"


def _table(trials: list["Trial"]) -> str:
    head = "<tr><th>lr</th><th>batch size</th><th>schedule</th><th>warmup</th><th>steps</th><th>share</th><th>seed</th><th>loss</th></tr>"
    return head + "".join(
        f"<tr><td>{t.lr:.3g}</td><td>{t.batch_size}</td><td>{t.shape}</td><td>{t.warmup}</td><td>{t.steps}</td>"
        f"<td>{t.share:.0%}</td><td>{t.seed}</td><td>{f'{t.loss:.4g}' if np.isfinite(t.loss) else 'diverged'}</td></tr>"
        for t in trials
    )


def _range(found: "Recommendation") -> Figure:
    return plots.range_test(found.found).figure


def _noise(found: "Recommendation") -> Figure:
    ax = plt.figure(figsize=(7, 2.6)).gca()
    scales = np.array([noise.simple for noise in found.noise])
    good = np.isfinite(scales)
    ax.plot(np.array(found.probes)[good], scales[good], "o", color=plots.COLORS["measured"])
    if np.isfinite(found.noise_scale):
        ax.axhline(found.noise_scale, color=plots.COLORS["measured"], ls="--", lw=1)
    for size in sorted({trial.batch_size for trial in found.trials}):
        ax.axhline(size, color=plots.COLORS["batch_size"], lw=0.8)
        plots.label(ax, found.probes[0], size, f"tried: {size}", plots.COLORS["batch_size"], xytext=(0, 6))
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(xlabel="step of the pilot run", ylabel="samples")
    return ax.figure


def _search(found: "Recommendation") -> Figure:
    shares = sorted({trial.share for trial in found.trials})
    figure, axes = plt.subplots(1, len(shares), figsize=(8, 3), sharex=True, sharey=True, squeeze=False)
    every = sorted({trial.batch_size for trial in found.trials})
    for ax, share in zip(axes[0], shares):
        here = [t for t in found.trials if t.share == share]
        for i, size in enumerate(every):
            row = sorted((t.lr, t.loss) for t in here if t.batch_size == size and np.isfinite(t.loss))
            if row:
                color = plots.CYCLE[i % len(plots.CYCLE)]
                ax.plot(*zip(*row), "o-" if share < 1 else "o", color=color, ms=4, lw=1)
                if ax is axes[0, 0]:
                    ax.text(0.03, 0.03 + 0.08 * i, f"B = {size}", color=color, fontsize="small", transform=ax.transAxes)
            for t in here:
                if t.batch_size == size and not np.isfinite(t.loss):
                    ax.plot(t.lr, 0.97 - 0.06 * i, "x", color=plots.COLORS["bad"], transform=ax.get_xaxis_transform())
        scale = "log" if all(t.loss > 0 for t in found.trials) else "linear"
        ax.set(xscale="log", yscale=scale, xlabel="peak learning rate", title=f"{share:.0%} of the budget")
    axes[0, 0].set_ylabel("validation loss")
    return figure


PICTURES = (
    (_range, "The range test: the loss of each batch while the rate rises, smoothed, and the rate it suggests."),
    (
        _noise,
        "The gradient noise scale along a short run (points; their mean dashed), and the batch sizes that were tried.",
    ),
    (
        _search,
        "Every run of the search: validation loss at the end against the peak rate. A cross is a run that diverged.",
    ),
)
