"""The prediction explorer: what a model says of some samples, along its training."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from gdlib import _check
from gdlib.widgets._base import module
from gdlib.widgets.along import Along, AlongDrawing, Snapshots, as_array, as_runs

SAMPLES = 24  # at most: what can be looked at
UNKNOWN = 2**16 - 1  # the code of a probability that is not a number


class PredictionDrawing(AlongDrawing):
    """Samples and what a model says of them, under the loss curve."""

    _esm = module("predictions")
    outputs = traitlets.Bytes().tag(sync=True)
    pictures = traitlets.Bytes().tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    targets = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)


class PredictionExplorer(Along):
    """Drag along the loss curve of a run, and see what the model made of some samples at that step.

    Each sample stands with the class that the model finds most probable, that probability as a bar, and a sign for right or wrong.

    Args:
        runs: from a name to `Snapshots`, whose ``outputs`` have the shape (k, m, classes): the probability of each class
            for each of the m samples. One that is not a number is unknown; a sample without a known one counts as wrong.
        inputs: the samples, m of them, 24 at most.
        targets: of shape (m,), the class of each.
        shape: of a sample: (height, width) for a picture in grey, (n,) for a curve.
        names: of the classes; ``None`` takes their numbers.
        run: the run shown at the start; ``None`` takes the first.
        step: the step shown at the start; ``None`` takes the run's last snapshot.

    Attributes:
        run, step: traits, to read, set and observe; they follow the menu and the slider. A step without a snapshot becomes the
            nearest that has one; one beyond them is clamped, with a warning.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, or if all of it is heavier than 300 kB.

    Example:
        >>> unsure, sure = [[0.5, 0.5]], [[0.1, 0.9]]
        >>> run = Snapshots(losses=[2.0, 1.0], steps=[0, 2], outputs=[unsure, sure])
        >>> PredictionExplorer({"lr 0.1": run}, inputs=[[0.0, 1.0, 1.0, 0.0]], targets=[1], shape=(2, 2))
        PredictionExplorer(run='lr 0.1', step=2)
    """

    _drawing = PredictionDrawing

    def __init__(
        self,
        runs: Mapping[str, Snapshots],
        inputs: Any,
        targets: Any,
        shape: Sequence[int],
        names: Sequence[str] | None = None,
        run: str | None = None,
        step: int | None = None,
    ):
        runs = as_runs(runs)
        shape = _as_shape(shape)
        inputs, targets = as_array("inputs", inputs), as_array("targets", targets)
        m = len(inputs) if inputs.ndim else 0
        if not 1 <= m <= SAMPLES:
            raise ValueError(f"inputs must hold 1 to {SAMPLES} samples; got {m}")
        if inputs.size != m * math.prod(shape):
            raise ValueError(f"inputs must hold samples of the shape {tuple(shape)}; got {inputs.shape[1:]}")
        if not np.isfinite(inputs).all():
            raise ValueError("inputs must be finite; got a value that is not")
        if targets.shape != (m,):
            raise ValueError(f"targets must have the shape ({m},), as inputs does; got {targets.shape}")
        targets = [_check.whole("targets", target, low=0) for target in targets.tolist()]
        outputs = {name: as_array("outputs", taken.outputs) for name, taken in runs.items()}
        classes = next(iter(outputs.values())).shape[-1]
        for name, values in outputs.items():
            if values.shape != (len(runs[name].steps), m, classes):
                wanted = (len(runs[name].steps), m, classes)
                raise ValueError(f"outputs must have the shape {wanted} in {name!r}; got {values.shape}")
            known = values[~np.isnan(values)]
            if known.size and not (known.min() >= -1e-6 and known.max() <= 1 + 1e-6):
                raise ValueError(
                    f"outputs must be probabilities between 0 and 1; got {known.min():g} to {known.max():g}"
                )
        if max(targets) >= classes:
            raise ValueError(f"targets must be below the {classes} classes of outputs; got {max(targets)}")
        names = [str(c) for c in range(classes)] if names is None else list(names)
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"names must be strings; got {names!r}")
        if len(names) != classes:
            raise ValueError(f"names must be those of the {classes} classes; got {len(names)}")
        codes = [_codes(values) for values in outputs.values()]
        low, high = inputs.min(), inputs.max()
        super().__init__(
            runs,
            run,
            step,
            scores=[right(rows, targets).sum(-1).tolist() for rows in codes],
            outputs=np.concatenate([rows.ravel() for rows in codes]).tobytes(),
            pictures=np.round((inputs - low) / ((high - low) or 1) * 255).astype(np.uint8).tobytes(),
            shape=shape,
            targets=targets,
            names=names,
        )


def right(codes: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """Which samples of each snapshot are right: (k, m, classes) to (k, m)."""
    known = (codes != UNKNOWN).all(-1)
    return known & (codes.argmax(-1) == np.array(targets))


def _codes(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities in 16 bits each; a sample with one that is not a number is unknown as a whole."""
    codes = np.round(np.clip(np.nan_to_num(probabilities), 0, 1) * (UNKNOWN - 1)).astype("<u2")
    codes[np.isnan(probabilities).any(-1)] = UNKNOWN
    return codes


def _as_shape(shape: Sequence[int]) -> list[int]:
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise TypeError(f"shape must be (height, width) or (n,); got {shape!r}")
    if len(shape) not in (1, 2):
        raise ValueError(f"shape must be (height, width) or (n,); got {tuple(shape)!r}")
    return [_check.whole("shape", side) for side in shape]
