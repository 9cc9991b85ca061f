"""A recommendation in sentences."""

import math
from typing import TYPE_CHECKING, Any

from gdlib.choosing._search import LONGER, SHORT, Search
from gdlib.choosing._setting import Trial

if TYPE_CHECKING:
    from gdlib.choosing._branch import BranchTest
    from gdlib.choosing._noise_scale import NoiseScale
    from gdlib.choosing._range_test import RangeTest

APART = 4.0  # factor from which on two estimates of one batch size are said to disagree


def reasons(
    search: Search,
    chosen: Any,
    best: Trial,
    others: dict[str, Trial],
    found: "RangeTest",
    noise: list["NoiseScale"],
    branch: "BranchTest | None",
    level: float,
    by_metric: bool,
) -> dict[str, str]:
    """A sentence for each thing that was chosen."""
    word = "metric" if by_metric else "loss"
    short = [t for t in search.trials if t.share == SHORT and t.shape == "linear" and not t.warmup]
    sizes = sorted({t.batch_size for t in short})
    near = min(sizes, key=lambda size: abs(math.log(size / chosen.batch_size)))
    mine = [t for t in short if t.batch_size == near]
    lowest = min(t.loss for t in mine)
    good = [t.lr for t in mine if t.loss <= lowest + 0.1 * abs(lowest)]
    good = f"{good[0]:.2g} alone" if len(good) == 1 else f"all from {min(good):.2g} to {max(good):.2g}"
    tried = sorted({t.lr for t in search.trials if t.batch_size == chosen.batch_size and t.share == LONGER})
    per_size = {size: min(t.loss for t in short if t.batch_size == size) for size in sizes}
    seeds = (
        f"three seeds at the chosen setting{', each judged by other samples,' if search.folds else ''} lie between"
        f" {chosen.spread[0]:.3g} and {chosen.spread[1]:.3g}"
    )
    plain = f"a run with {LONGER:.0%} of the budget that falls to zero from the start ended at {best.loss:.3g}"
    suggested = "nothing" if found.suggestion is None else f"{found.suggestion:.2g}"
    return {
        "lr": f"the range test suggested {suggested}; of {len(mine)} rates in short runs with a batch of {near} {good} came"
        f" within 10 % of the best; longer runs tried {', '.join(f'{lr:.2g}' for lr in tried)}",
        "batch_size": f"the best {word} of short runs, each batch size at its own best rate, was "
        + ", ".join(f"{loss:.3g} with {size}" for size, loss in per_size.items())
        + f"; {_estimates(noise, branch)}",
        "warmup": f"{plain}, with a warmup at {others['warmup'].loss:.3g}; {seeds}",
        "shape": f"{plain}, with a constant rate, a third as high, at {others['constant'].loss:.3g}; {seeds}",
        "constant": _against(chosen, level, word),
    }


def _estimates(noise: list["NoiseScale"], branch: "BranchTest | None") -> str:
    """What the noise scale and the branch test say about the batch, and whether they agree."""
    norm2 = sum(n.gradient_norm2 for n in noise)
    scale = sum(n.trace for n in noise) / norm2 if norm2 > 0 else math.inf
    said = (
        f"the noise scale is about {scale:.0f} samples"
        if math.isfinite(scale)
        else "the noise scale cannot be told from infinite"
    )
    if branch is None:
        return said
    said += f", and in the branch test batches of up to {branch.size} lost nothing"
    top = branch.size == branch.batch_sizes[-1]
    if scale > APART * branch.size and not top:
        return (
            said + ": the two disagree, and the branch test, which trains, is the one to believe; larger batches lose"
        )
    if scale < branch.size / APART:
        return (
            said
            + ": the two disagree, and the branch test, which trains, is the one to believe; larger batches lose nothing yet"
        )
    return said


def _against(chosen: Any, level: float, word: str) -> str:
    if math.isnan(level):
        return "what a constant prediction would get was not measured"
    said = f"the best constant prediction has a validation {word} of {level:.3g}"
    if chosen.loss >= level:
        return f"{said}: nothing that was tried beats it; look at the data, the model or the length of the run before its rate"
    if chosen.spread[1] >= level:
        return f"{said}: with one seed or another that is as good"
    return f"{said}"
