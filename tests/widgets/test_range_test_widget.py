"""The range-test explorer's Python face. What it draws is tested in tests/book."""

import numpy as np
import pytest

from gdlib import Sweep
from gdlib.choosing import RangeTest
from gdlib.widgets import RangeTestExplorer

RATES = np.geomspace(1e-4, 10, 51)
SMOOTHED = 2 - 1.5 / (1 + (0.1 / RATES) ** 2) + (RATES / 2) ** 2  # falls around 0.1, runs away above 2
FOUND = RangeTest(RATES, SMOOTHED * 1.05, SMOOTHED, float(RATES[30]), "because")
RUNS = Sweep(
    np.array([0.01, 0.1, 1.0]), np.array([32]), np.array([0, 1]),
    (np.array([1.0, 0.2, 0.5])[:, None, None, None] * np.ones((3, 1, 2, 50))).astype(np.float32),
)  # fmt: skip


def test_trait_slider_and_drawing_are_one_value():
    explorer, seen = RangeTestExplorer(FOUND), []
    assert explorer.lr == FOUND.suggestion == 0.1
    explorer.observe(lambda change: seen.append(change["new"]), "lr")
    (slider,) = explorer.children[0].children
    explorer.lr = RATES[20]
    assert slider.index == explorer.drawing.lr_index == 20
    slider.index = 25
    assert explorer.lr == RATES[25]
    assert seen == [RATES[20], RATES[25]]
    explorer.lr = 0.0101  # between the rates tried
    assert explorer.lr == pytest.approx(0.01)
    (in_browser,) = [link for link in explorer._links if type(link).__name__ == "Link"]
    assert in_browser.source[0] is slider


def test_the_start_is_exactly_what_the_text_says():
    explorer = RangeTestExplorer(FOUND, lr=0.0333)
    assert explorer.lr == 0.0333
    assert repr(explorer) == "RangeTestExplorer(lr=0.0333)"
    none = RangeTest(RATES, SMOOTHED, SMOOTHED, None, "it never fell")
    assert RangeTestExplorer(none).lr == RATES[25]
    assert RangeTestExplorer(none).drawing.suggestion is None


def test_values_out_of_range_are_clamped_and_said_so():
    explorer = RangeTestExplorer(FOUND)
    with pytest.warns(UserWarning, match="lr must lie between 0.0001 and 10; got 50.0, took 10"):
        explorer.lr = 50
    assert explorer.lr == RATES[-1]
    with pytest.warns(UserWarning, match="lr must lie between"):
        assert RangeTestExplorer(FOUND, lr=1e-9).lr == RATES[0]


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda: RangeTestExplorer([1, 2]), TypeError, "found must be what gdlib.range_test returned; got list"),
        (lambda: RangeTestExplorer(RangeTest(*[np.ones(1)] * 3, None, "")), ValueError, "found must hold at least two"),
        (lambda: RangeTestExplorer(FOUND, lr="x"), TypeError, "lr must be a positive number; got 'x'"),
        (lambda: RangeTestExplorer(FOUND, runs=3), TypeError, "runs must be what gdlib.sweep returned; got int"),
        (lambda: setattr(RangeTestExplorer(FOUND), "lr", 0), ValueError, "lr must be a positive finite number"),
        (
            lambda: RangeTestExplorer(FOUND, runs=Sweep(RUNS.lr, np.array([1, 2]), RUNS.seeds, np.ones((3, 2, 2, 5)))),
            ValueError,
            r"runs must have 1 batch size; got \[1, 2\]",
        ),
    ],
)
def test_bad_input(act, error, said):
    with pytest.raises(error, match=said):
        act()


def test_the_drawing_holds_the_test_and_the_runs():
    drawing = RangeTestExplorer(FOUND, runs=RUNS).drawing
    np.testing.assert_array_equal(np.frombuffer(drawing.seen).reshape(3, -1), [RATES, SMOOTHED * 1.05, SMOOTHED])
    assert (drawing.best, drawing.lrs, drawing.batch_size, drawing.seeds) == (0.1, [0.01, 0.1, 1.0], 32, 2)
    assert [final[0] for final in drawing.finals] == pytest.approx([1.0, 0.2, 0.5])
    assert RangeTestExplorer(FOUND).drawing.best == FOUND.suggestion
    failed = Sweep(RUNS.lr, RUNS.batch_size, RUNS.seeds, np.full_like(RUNS.losses, np.inf))
    drawing = RangeTestExplorer(FOUND, runs=failed).drawing
    assert drawing.best is None
    assert drawing.finals == [None] * 3
