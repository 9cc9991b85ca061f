"""The explorers of snapshots: their Python face. What they draw is tested in tests/book."""

import json
import math

import numpy as np
import pytest
import torch

from gdlib.widgets import PredictionExplorer, Snapshots, TextExplorer
from gdlib.widgets.along import LIMIT, loss_at
from gdlib.widgets.predictions import UNKNOWN, right

LOSSES = 2.0 / (1 + np.arange(100))
STEPS = [0, 10, 40, 100]
TARGETS = [0, 1, 2, 0, 1]
INPUTS = np.linspace(0, 1, 20).reshape(5, 4)


def chances(*wrong: int) -> np.ndarray:
    """Of four snapshots, five samples and three classes: so many samples wrong in each snapshot."""
    found = np.full((4, 5, 3), 0.1)
    for k, count in enumerate(wrong):
        for s, target in enumerate(TARGETS):
            found[k, s, (target + (s < count)) % 3] = 0.8
    return found


def snapshots(losses=LOSSES, wrong=(5, 3, 2, 0), steps=STEPS) -> Snapshots:
    return Snapshots(losses, steps, chances(*wrong)[: len(steps)])


def predictions(**options) -> PredictionExplorer:
    runs = {"fast": snapshots(), "slow": snapshots(LOSSES + 1, (5, 4, 0, 0))}
    return PredictionExplorer(**{"runs": runs, "inputs": INPUTS, "targets": TARGETS, "shape": (2, 2)} | options)


def texts(**options) -> TextExplorer:
    written = ["q z", "the e", "def f():\n    pass", "<b>&amp;</b>"]
    runs = {"one": Snapshots(LOSSES, STEPS, written), "two": Snapshots(LOSSES / 2, [0, 20], written[:2])}
    return TextExplorer(runs, **options)


@pytest.mark.parametrize("make", [predictions, texts])
def test_trait_slider_menu_and_drawing_are_one_value(make):
    explorer, seen = make(), []
    explorer.observe(lambda change: seen.append(change["new"]), ["run", "step"])
    (slider,) = explorer.children[0].children
    assert explorer.step == 100 and slider.label == "100"
    explorer.step = 40
    assert slider.index == explorer.drawing.step_index == explorer.drawing.steps.index(40)
    slider.index = 1
    other = list(explorer._names)[1]
    explorer.run = other
    assert explorer.drawing.run == other
    explorer.drawing.run = explorer._names[0]
    assert seen == [40, explorer.drawing.steps[1], other, explorer._names[0]]
    (in_browser,) = [link for link in explorer._links if type(link).__name__ == "Link"]
    assert in_browser.source[0] is slider


def test_start_and_repr():
    assert repr(predictions()) == "PredictionExplorer(run='fast', step=100)"
    assert repr(texts(run="two")) == "TextExplorer(run='two', step=20)"
    assert repr(texts(step=10)) == "TextExplorer(run='one', step=10)"
    assert repr(snapshots()) == "Snapshots(100 losses, 4 snapshots)"
    assert predictions(step=39).step == 40  # the nearest snapshot


def test_steps_out_of_range_are_clamped_and_said_so():
    explorer = predictions()
    with pytest.warns(UserWarning, match="step must lie between 0 and 100; got 5000, took 100"):
        explorer.step = 5000
    assert explorer.step == 100
    with pytest.warns(UserWarning, match="step must lie between"):
        assert texts(step=101).step == 100


def test_the_best_is_most_right_then_lowest_loss():
    assert predictions().drawing.best == {"run": "fast", "step_index": 3}
    equal = {"fast": snapshots(LOSSES + 3, (5, 0, 0, 0)), "slow": snapshots(LOSSES + 1, (5, 4, 0, 0))}
    assert predictions(runs=equal).drawing.best == {"run": "slow", "step_index": 3}
    assert predictions(runs={"a": snapshots(wrong=(0, 3, 3, 3))}).drawing.best == {"run": "a", "step_index": 0}
    assert texts().drawing.best == {"run": "one", "step_index": 4}
    assert texts().drawing.steps == [0, 10, 20, 40, 100]


def test_probabilities_come_back_to_five_digits():
    given = np.random.default_rng(0).dirichlet(np.ones(3), (4, 5))
    given[1, 2] = np.nan
    drawing = predictions(runs={"a": Snapshots(LOSSES, STEPS, torch.tensor(given))}).drawing
    codes = np.frombuffer(drawing.outputs, "<u2").reshape(4, 5, 3)
    known = codes != UNKNOWN
    np.testing.assert_allclose((codes / (UNKNOWN - 1))[known], given[known], atol=1e-5)
    assert (codes[1, 2] == UNKNOWN).all() and known.sum() == 57
    assert (right(codes, TARGETS) == (np.nan_to_num(given, nan=-1).argmax(-1) == TARGETS))[known.all(-1)].all()
    assert np.frombuffer(drawing.pictures, np.uint8).tolist() == [round(255 * k / 19) for k in range(20)]
    assert drawing.names == ["0", "1", "2"]


def test_an_unknown_sample_counts_as_wrong():
    codes = np.full((1, 2, 3), UNKNOWN, "<u2")
    codes[0, 1] = [1, 5, 2]
    assert right(codes, [0, 1]).tolist() == [[False, True]]


def test_curves_end_where_a_run_diverged():
    losses = LOSSES.copy()
    losses[30:] = np.nan
    drawing = predictions(runs={"whole": snapshots(), "cut": snapshots(losses)}).drawing
    whole, cut = drawing.curves
    assert whole["diverged"] is None and cut["diverged"] == 30
    assert cut["at"][-1] == 29 and whole["at"][-1] == 99
    assert all(math.isfinite(loss) for loss in cut["losses"])
    assert loss_at(whole, 0) == 2.0
    assert loss_at(whole, 100) == whole["losses"][-1]
    json.dumps(drawing.curves, allow_nan=False)
    never = predictions(runs={"a": snapshots(np.full(100, np.inf))}).drawing
    assert never.curves[0]["losses"] == [] and never.curves[0]["diverged"] == 0


def test_the_axis_follows_the_spacing_of_the_snapshots():
    early = Snapshots(LOSSES, [0, 1, 2, 4, 8, 16, 100], ["x"] * 7)
    assert TextExplorer({"a": early}).drawing.log
    assert not TextExplorer({"a": Snapshots(LOSSES, [0, 25, 50, 75, 100], ["x"] * 5)}).drawing.log


def test_at_most_300_kb():
    steps = list(range(0, 100, 5))
    outputs = np.random.default_rng(0).dirichlet(np.ones(10), (20, 20))
    run = Snapshots(LOSSES, steps, outputs)
    inputs, targets = np.random.default_rng(0).random((20, 64)), [1] * 20
    explorer = PredictionExplorer({f"run {k}": run for k in range(20)}, inputs, targets, (8, 8))
    state = explorer.drawing.get_state()
    size = sum(
        4 * len(v) / 3 if isinstance(v, bytes) else len(json.dumps(v)) for k, v in state.items() if k != "layout"
    )
    assert 200_000 < size < LIMIT
    with pytest.raises(ValueError, match="runs must fit in 300 kB; got [0-9]+ kB"):
        PredictionExplorer({f"run {k}": run for k in range(40)}, inputs, targets, (8, 8))
    with pytest.raises(ValueError, match="runs must fit in 300 kB"):
        TextExplorer({f"run {k}": Snapshots(LOSSES, steps, ["x" * 2000] * 20) for k in range(8)})


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda: Snapshots("abc", [0], ["x"]), TypeError, "losses must be an array of numbers; got str"),
        (lambda: Snapshots([], [0], ["x"]), ValueError, "losses must be a row|losses must be an array"),
        (lambda: Snapshots([[1.0]], [0], ["x"]), ValueError, r"losses must be a row of numbers.*got the shape \(1, 1\)"),
        (lambda: Snapshots([1.0], [0.5], ["x"]), TypeError, "steps must be a whole number; got"),
        (lambda: Snapshots([1.0], [-1], ["x"]), ValueError, "steps must be a whole number of at least 0; got -1"),
        (lambda: Snapshots([1.0], [1, 0], ["x", "y"]), ValueError, r"steps must rise; got \[1, 0\]"),
        (lambda: Snapshots([1.0], [2], ["x"]), ValueError, "steps must be at most the 1 that losses has; got 2"),
        (lambda: Snapshots([1.0], [0, 1], ["x"]), ValueError, "outputs must hold 2 snapshots, as steps does; got 1"),
        (lambda: Snapshots([1.0], [0], "x"), TypeError, "outputs must hold a snapshot for each of steps; got str"),
        (lambda: TextExplorer([1]), TypeError, "runs must map names to widgets.Snapshots; got list"),
        (lambda: TextExplorer({}), ValueError, "runs must hold at least one run; got none"),
        (lambda: TextExplorer({1: snapshots()}), TypeError, "runs must have names as keys; got 1"),
        (lambda: TextExplorer({"a": 3}), TypeError, "runs must map names to widgets.Snapshots; 'a' is int"),
        (lambda: TextExplorer({"a": snapshots()}), TypeError, "outputs must be strings; got ndarray"),
        (lambda: TextExplorer({"a": Snapshots([1.0], [0, 1], ["x" * 2001, ""])}), ValueError, "at most 2000 characters"),
        (lambda: TextExplorer({"a": Snapshots([1.0], [0], ["x"])}), ValueError, r"snapshots at two steps or more; got \[0\]"),
        (lambda: texts(run="three"), ValueError, "run must be one of 'one', 'two'; got 'three'"),
        (lambda: texts(step="x"), TypeError, "step must be a whole number; got 'x'"),
        (lambda: setattr(texts(), "step", -1), ValueError, "step must be a whole number of at least 0; got -1"),
        (lambda: setattr(texts(), "run", 3), ValueError, "run must be one of"),
        (lambda: predictions(shape=8), TypeError, r"shape must be \(height, width\) or \(n,\); got 8"),
        (lambda: predictions(shape=(1, 2, 2)), ValueError, r"shape must be \(height, width\)"),
        (lambda: predictions(shape=(3, 3)), ValueError, r"inputs must hold samples of the shape \(3, 3\); got \(4,\)"),
        (lambda: predictions(inputs=INPUTS * np.nan), ValueError, "inputs must be finite"),
        (lambda: predictions(inputs=np.ones((25, 4))), ValueError, "inputs must hold 1 to 24 samples; got 25"),
        (lambda: predictions(targets=[0, 1]), ValueError, r"targets must have the shape \(5,\)"),
        (lambda: predictions(targets=[0, 1, 2, 0, 3]), ValueError, "targets must be below the 3 classes of outputs; got 3"),
        (lambda: predictions(targets=[0.5] * 5), TypeError, "targets must be a whole number"),
        (lambda: predictions(names=["a"]), ValueError, "names must be those of the 3 classes; got 1"),
        (lambda: predictions(names=[1, 2, 3]), TypeError, "names must be strings"),
        (
            lambda: predictions(runs={"a": Snapshots(LOSSES, STEPS, chances(0) * 2)}),
            ValueError,
            "outputs must be probabilities between 0 and 1; got 0.2 to 1.6",
        ),
        (
            lambda: predictions(runs={"a": Snapshots(LOSSES, STEPS, np.ones((4, 3, 3)))}),
            ValueError,
            r"outputs must have the shape \(4, 5, 3\) in 'a'; got \(4, 3, 3\)",
        ),
    ],
)  # fmt: skip
def test_bad_input(act, error, said):
    with pytest.raises(error, match=said):
        act()
