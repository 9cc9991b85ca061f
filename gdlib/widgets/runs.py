"""The run explorer: real training runs, by learning rate and batch size."""

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

import traitlets

from gdlib import _check
from gdlib.choosing import Sweep
from gdlib.training import Divergence
from gdlib.widgets._base import module
from gdlib.widgets._grid import GridDrawing, GridExplorer, lr_place, size_place
from gdlib.widgets._table import as_sweep, finals, thin

POINTS = 60  # of a curve: enough for the eye, and 9 x 5 x 3 runs stay near 30 kB


class RunDrawing(GridDrawing):
    """Loss curves looked up in a table of runs. The table travels as float32 bytes."""

    _esm = module("runs")
    table = traitlets.Bytes().tag(sync=True)
    seeds = traitlets.List(traitlets.Int()).tag(sync=True)
    ends = traitlets.List(traitlets.Float()).tag(sync=True)
    finals = traitlets.List().tag(sync=True)
    setting = traitlets.List(traitlets.Int()).tag(sync=True)
    best = traitlets.List(traitlets.Int()).tag(sync=True)
    flops_per_sample = traitlets.Float().tag(sync=True)
    seconds_per_step = traitlets.List(traitlets.Float()).tag(sync=True)
    axis = traitlets.Unicode().tag(sync=True)


class RunExplorer(GridExplorer):
    """Two sliders, learning rate and batch size, over a table of runs that were really trained.

    Each curve is the mean over the seeds with the range between the lowest and the highest; a run that diverged is marked.
    The axis can count steps, samples, FLOPs or seconds: a larger batch looks worse on one and better on another. With a
    kernel, a button trains the setting again and lays the new curve over the stored one.

    Args:
        runs: what `gdlib.sweep` returned. The losses of neighbouring steps are averaged, to 60 points a curve.
        lr, batch_size: where the sliders start; the text's setting, both in ``runs``.
        flops_per_sample: of a training step, for the FLOP axis; ``None`` leaves the axis out.
        seconds_per_step: by batch size, measured, for the time axis; ``None`` leaves the axis out.
        train: ``train(lr, batch_size)`` gives the losses of a run, step by step; ``None`` hides the button.

    Attributes:
        lr, batch_size, axis: traits, to read, set and observe; they follow the sliders. A value that is not in the table
            becomes the nearest that is, with a warning.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> import numpy as np
        >>> losses = np.linspace(2, 1, 40, dtype=np.float32) * np.ones((2, 2, 1, 1), np.float32)
        >>> RunExplorer(Sweep(np.array([0.1, 1.0]), np.array([8, 32]), np.array([0]), losses), lr=0.1, batch_size=32)
        RunExplorer(lr=0.1, batch_size=32, axis='steps')
    """

    axis = traitlets.Any()
    _shown = ("lr", "batch_size", "axis")

    def __init__(
        self,
        runs: Sweep,
        lr: float = 0.1,
        batch_size: int = 32,
        flops_per_sample: float | None = None,
        seconds_per_step: Mapping[int, float] | None = None,
        train: Callable[[float, int], Iterable[float]] | None = None,
    ):
        as_sweep("runs", runs)
        lrs, sizes = runs.lr.tolist(), runs.batch_size.tolist()
        setting = [lr_place(lr, lrs), size_place(batch_size, sizes)]
        if flops_per_sample is not None:
            _check.positive("flops_per_sample", flops_per_sample)
        if seconds_per_step is not None and set(seconds_per_step) != set(sizes):
            raise ValueError(f"seconds_per_step must have the batch sizes {sizes}; got {sorted(seconds_per_step)}")
        self._axes = ["steps", "samples"] + ["flops"] * bool(flops_per_sample) + ["seconds"] * bool(seconds_per_step)
        ends, table = thin(runs.losses, POINTS)
        drawing = RunDrawing(
            table=table.tobytes(),
            lrs=lrs,
            batch_sizes=sizes,
            seeds=runs.seeds.tolist(),
            ends=ends,
            finals=finals(runs),
            setting=setting,
            best=[values.index(v) for values, v in zip((lrs, sizes), runs.best())],
            flops_per_sample=flops_per_sample or 0.0,
            seconds_per_step=[_check.positive("seconds_per_step", seconds_per_step[b]) for b in sizes]
            if seconds_per_step
            else [],
            lr_index=setting[0],
            batch_index=setting[1],
            axis="steps",
        )
        super().__init__(drawing, ("axis",))
        self._train = train
        drawing.on_msg(self._answer)

    @traitlets.validate("axis")
    def _axis(self, proposal: dict) -> str:
        return _check.one_of("axis", proposal["value"], self._axes)

    def _answer(self, drawing: RunDrawing, message: dict, buffers: list) -> None:
        """What the page sends: a greeting, which only a kernel answers, or the wish to train a setting."""
        if "hello" in message and self._train is not None:
            drawing.send({"hello": True})
        if "train" in message and self._train is not None:
            lr, batch_size = message["train"]
            drawing.send({"began": True})
            last, told = math.nan, "stopped"
            try:
                losses = iter(self._train(lr, batch_size))
                while chunk := [float(loss) for loss in islice(losses, 10)]:
                    drawing.send({"losses": chunk})
                    last = chunk[-1]
                told = f"loss {last:.3g} at the last step"
            except Divergence as error:
                told = str(error)
            finally:
                drawing.send({"done": told})
