"""The phase diagram's Python face. What it draws is tested in tests/book."""

import numpy as np
import pytest

from gdlib import Sweep
from gdlib.widgets import PhaseDiagram


def runs_of(lr: list[float], sizes: list[int], steps: int = 80, seed: int = 0) -> Sweep:
    """Losses that fall with the step, lowest at a rate that grows with the batch; the highest rate diverges."""
    generator = np.random.default_rng(seed)
    rates, batches = np.array(lr)[:, None, None, None], np.array(sizes)[None, :, None, None]
    off = np.log(rates / (0.01 * batches**0.5)) ** 2
    losses = (1 + off) / (1 + 0.1 * np.arange(steps)) * generator.uniform(0.95, 1.05, (len(lr), len(sizes), 2, steps))
    losses[-1, 0, 1, 30:] = np.inf
    return Sweep(np.array(lr), np.array(sizes), np.array([0, 1]), losses.astype(np.float32))


SGD, ADAM = runs_of([0.01, 0.03, 0.1, 0.3], [4, 16, 64]), runs_of([0.001, 0.003, 0.01], [4, 16, 64], seed=1)


def sliders(diagram):
    return diagram.children[0].children


def test_traits_sliders_and_drawing_are_one_value():
    diagram, seen = PhaseDiagram({"SGD": SGD, "Adam": ADAM}, lr=0.1, batch_size=16), []
    diagram.observe(lambda change: seen.append(change["new"]), "lr")
    assert [slider.options for slider in sliders(diagram)] == [
        ("0.001", "0.003", "0.01", "0.03", "0.1", "0.3"),
        ("4", "16", "64"),
    ]
    diagram.lr, diagram.batch_size, diagram.optimizer, diagram.compare = 0.003, 64, "Adam", "samples"
    assert [slider.index for slider in sliders(diagram)] == [1, 2]
    drawing = diagram.drawing
    assert (drawing.lr_index, drawing.batch_index, drawing.optimizer, drawing.compare) == (1, 2, "Adam", "samples")
    sliders(diagram)[0].index = 5
    assert diagram.lr == 0.3
    assert seen == [0.003, 0.3]
    in_browser = [link for link in diagram._links if type(link).__name__ == "Link"]
    assert {link.source[0] for link in in_browser} == set(sliders(diagram))


def test_without_a_setting_it_starts_at_the_best():
    diagram = PhaseDiagram({"Adam": ADAM, "SGD": SGD})
    assert (diagram.lr, diagram.batch_size) == ADAM.best()
    assert repr(diagram).startswith("PhaseDiagram(optimizer='Adam', lr=")
    assert repr(PhaseDiagram({"SGD": SGD}, lr=0.1, batch_size=4)) == (
        "PhaseDiagram(optimizer='SGD', lr=0.1, batch_size=4, compare='steps')"
    )


def test_what_is_not_in_the_table_becomes_the_nearest_and_is_said_so():
    diagram = PhaseDiagram({"SGD": SGD})
    with pytest.warns(
        UserWarning, match=r"lr must be one of the table's, \[0.01, 0.03, 0.1, 0.3\]; got 0.12, took 0.1"
    ):
        diagram.lr = 0.12
    with pytest.warns(UserWarning, match=r"batch_size must be one of the table's, \[4, 16, 64\]; got 1000, took 64"):
        diagram.batch_size = 1000
    assert (diagram.lr, diagram.batch_size) == (0.1, 64)


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda: PhaseDiagram(SGD), TypeError, "runs must map the names of optimisers to sweeps; got Sweep"),
        (lambda: PhaseDiagram({}), ValueError, "runs must hold at least one sweep"),
        (lambda: PhaseDiagram({1: SGD}), TypeError, r"runs must have the names of optimisers as keys; got \[1\]"),
        (lambda: PhaseDiagram({"SGD": 3}), TypeError, "runs must be what gdlib.sweep returned; got int"),
        (lambda: PhaseDiagram({"SGD": runs_of([0.1], [4, 8])}), ValueError, "two learning rates and batch sizes"),
        (
            lambda: PhaseDiagram({"SGD": SGD}, optimizer="Lion"),
            ValueError,
            "optimizer must be one of 'SGD'; got 'Lion'",
        ),
        (lambda: PhaseDiagram({"SGD": SGD}, lr="x"), TypeError, "lr must be a positive number"),
        (lambda: PhaseDiagram({"SGD": SGD}, batch_size=2.5), TypeError, "batch_size must be a whole number"),
        (lambda: PhaseDiagram({"SGD": SGD}, compare="days"), ValueError, "compare must be one of 'steps', 'samples'"),
        (lambda: PhaseDiagram({"SGD": SGD}, base_lr={"Lion": 1}), ValueError, "base_lr must be one of 'SGD'"),
        (lambda: PhaseDiagram({"SGD": SGD}, base_lr=-1), ValueError, "base_lr must be a positive finite number"),
        (lambda: PhaseDiagram({"SGD": SGD}, critical={"SGD": 0}), ValueError, "critical must be a positive finite"),
        (lambda: PhaseDiagram({"SGD": SGD}, base_batch_size=0), ValueError, "base_batch_size must be a whole number"),
        (lambda: PhaseDiagram({"SGD": SGD}, samples=0.5), TypeError, "samples must be a whole number"),
        (lambda: setattr(PhaseDiagram({"SGD": SGD}), "compare", 1), ValueError, "compare must be one of"),
    ],
)
def test_bad_input(act, error, said):
    with pytest.raises(error, match=said):
        act()


def test_cells_after_equal_steps_are_the_sweeps_own_final_losses():
    cells = PhaseDiagram({"SGD": SGD}).drawing.grids["SGD"]["steps"]
    final = SGD.final()
    for i, j in np.ndindex(4, 3):
        if (i, j) == (3, 0):
            assert cells[i][j] == [1]  # one of its two seeds diverged
        else:
            assert cells[i][j] == pytest.approx([final[i, j].mean(), final[i, j].min(), final[i, j].max()], rel=1e-5)


def test_cells_after_equal_samples_are_those_of_shorter_runs():
    """640 samples: 160 steps of 4, which nobody made, 40 of 16, and 10 of 64."""
    cells = PhaseDiagram({"SGD": SGD}, samples=640).drawing.grids["SGD"]["samples"]
    assert [row[0] for row in cells] == [None] * 4
    np.testing.assert_allclose([row[1][0] for row in cells], SGD.losses[:, 1, :, 36:40].mean((-1, -2)), rtol=1e-5)
    np.testing.assert_allclose([row[2][0] for row in cells], SGD.losses[:, 2, :, 9].mean(-1), rtol=1e-5)
    drawing = PhaseDiagram({"SGD": SGD}).drawing
    assert drawing.samples == 80 * 4
    assert drawing.grids["SGD"]["samples"][3][0] == [1]  # diverged at step 30 of 80
    too_few = PhaseDiagram({"SGD": SGD}, samples=20).drawing.grids["SGD"]["samples"]
    assert [row[2] for row in too_few] == [None] * 4  # less than a step of 64
    assert too_few[3][0] == pytest.approx(
        [f(SGD.losses[3, 0, :, 4]) for f in (np.mean, np.min, np.max)], rel=1e-5
    )  # it diverges only later


def test_bases_and_critical_batch_sizes():
    runs = {"SGD": SGD, "Adam": ADAM}
    grids = PhaseDiagram(runs, base_lr={"SGD": 0.2}, base_batch_size=16, critical={"Adam": 30}).drawing.grids
    assert grids["SGD"]["base"] == [16, 0.2]
    assert grids["Adam"]["base"] == [16, ADAM.best(16)[0]]
    assert (grids["SGD"]["critical"], grids["Adam"]["critical"]) == (None, 30)
    assert PhaseDiagram(runs).drawing.grids["SGD"]["base"] == [4, SGD.best(4)[0]]
    assert PhaseDiagram(runs, base_lr=0.5).drawing.grids["Adam"]["base"] == [4, 0.5]


def test_grids_in_any_order_make_the_same_picture():
    turned = Sweep(SGD.lr[::-1], SGD.batch_size[::-1], SGD.seeds, SGD.losses[::-1, ::-1])
    one, other = PhaseDiagram({"SGD": SGD}).drawing, PhaseDiagram({"SGD": turned}).drawing
    assert (one.table, one.grids, one.lrs) == (other.table, other.grids, other.lrs)
