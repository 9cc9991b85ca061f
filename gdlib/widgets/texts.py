"""The text explorer: what a language model writes, along its training."""

from collections.abc import Mapping

import traitlets

from gdlib.widgets._base import module
from gdlib.widgets.along import Along, AlongDrawing, Snapshots, as_runs

LENGTH = 2000  # characters of a text, at most


class TextDrawing(AlongDrawing):
    """A text under the loss curve."""

    _esm = module("texts")
    texts = traitlets.List().tag(sync=True)


class TextExplorer(Along):
    """Drag along the loss curve of a run, and read what the model wrote at that step.

    The loss is shown in nats and in bits a character, so ``losses`` should be nats a character.

    Args:
        runs: from a name to `Snapshots`, whose ``outputs`` are texts of 2000 characters at most, one a snapshot.
        run: the run shown at the start; ``None`` takes the first.
        step: the step shown at the start; ``None`` takes the run's last snapshot.

    Attributes:
        run, step: traits, to read, set and observe; they follow the menu and the slider. A step without a snapshot becomes the
            nearest that has one; one beyond them is clamped, with a warning.

    Raises:
        TypeError, ValueError: if an argument is not what is said above, or if all of it is heavier than 300 kB.

    Example:
        >>> run = Snapshots(losses=[2.0, 1.0], steps=[0, 2], outputs=["qzx", "def"])
        >>> TextExplorer({"lr 0.1": run})
        TextExplorer(run='lr 0.1', step=2)
    """

    _drawing = TextDrawing

    def __init__(self, runs: Mapping[str, Snapshots], run: str | None = None, step: int | None = None):
        runs = as_runs(runs)
        texts = [list(taken.outputs) for taken in runs.values()]
        for text in (text for row in texts for text in row):
            if not isinstance(text, str):
                raise TypeError(f"outputs must be strings; got {type(text).__name__}")
            if len(text) > LENGTH:
                raise ValueError(f"outputs must have at most {LENGTH} characters each; got {len(text)}")
        super().__init__(runs, run, step, scores=[[0] * len(row) for row in texts], texts=texts)
