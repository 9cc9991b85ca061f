"""The explorers' Python face: traits that read, set, observe and clamp. What they draw is tested in tests/book."""

import numpy as np
import pytest
import torch

from gdlib import Sweep, Trainer, data, models, sweep, widgets
from gdlib.widgets._base import labels_of
from gdlib.widgets.descent import landscapes

MSE = torch.nn.functional.mse_loss
train = data.diabetes().train


@pytest.fixture(scope="module")
def runs() -> Sweep:
    return sweep(lambda: models.linear(10), train, MSE, lr=[0.01, 0.1, 1e3], batch_size=[8, 32], steps=60, seeds=[0, 1])


def sliders(explorer):
    return explorer.children[0].children


@pytest.mark.parametrize(
    ("make", "trait", "value", "position"),
    [
        (lambda runs: widgets.DescentExplorer(), "lr", 0.25, 0),
        (lambda runs: widgets.DescentExplorer(), "momentum", 0.5, 1),
        (lambda runs: widgets.DescentExplorer(), "steps", 77, 2),
        (lambda runs: widgets.CostCalculator(), "parameters", 1e8, 0),
        (lambda runs: widgets.CostCalculator(), "tokens", 1e10, 1),
        (lambda runs: widgets.CostCalculator(), "devices", 9, 2),
        (lambda runs: widgets.RunPlanner(), "parameters", 1e9, 0),
        (lambda runs: widgets.RunPlanner(), "tokens", 1e10, 1),
        (lambda runs: widgets.RunPlanner(), "devices", 9, 2),
    ],
)
def test_trait_slider_and_drawing_are_one_value(runs, make, trait, value, position):
    explorer, seen = make(runs), []
    explorer.observe(lambda change: seen.append(change["new"]), trait)
    setattr(explorer, trait, value)
    assert sliders(explorer)[position].value == getattr(explorer.drawing, trait) == value
    sliders(explorer)[position].value = 2 * value if trait != "momentum" else 0.9
    assert getattr(explorer, trait) == getattr(explorer.drawing, trait) == sliders(explorer)[position].value
    assert len(seen) == 2


def test_run_explorer_is_one_value_too(runs):
    explorer, seen = widgets.RunExplorer(runs, lr=0.1, batch_size=32), []
    explorer.observe(lambda change: seen.append(change["new"]), "lr")
    explorer.lr, explorer.batch_size, explorer.axis = 0.01, 8, "samples"
    assert [s.index for s in sliders(explorer)] == [0, 0]
    assert (explorer.drawing.lr_index, explorer.drawing.batch_index, explorer.drawing.axis) == (0, 0, "samples")
    sliders(explorer)[0].index = 1
    assert explorer.lr == 0.1
    assert seen == [0.01, 0.1]


def test_sliders_are_linked_in_the_browser_too(runs):
    for explorer in (
        widgets.DescentExplorer(),
        widgets.CostCalculator(),
        widgets.RunPlanner(),
        widgets.RunExplorer(runs),
    ):
        links = [link for link in explorer._links if hasattr(link, "source") and link.source[0] in sliders(explorer)]
        in_browser = [link for link in links if type(link).__name__ == "Link"]
        assert {link.source[0] for link in in_browser} == set(sliders(explorer))
        assert {link.target[0] for link in in_browser} == {explorer.drawing}


def test_values_out_of_range_are_clamped_and_said_so(runs):
    explorer, calculator = widgets.DescentExplorer(), widgets.CostCalculator()
    with pytest.warns(UserWarning, match=r"lr must lie between 0.0001 and 3.16228; got 50.0, took 3.16228"):
        explorer.lr = 50
    assert explorer.drawing.lr == pytest.approx(3.1623, rel=1e-4)
    with pytest.warns(UserWarning, match="momentum must lie between 0 and 0.98"):
        explorer.momentum = 1.0
    with pytest.warns(UserWarning, match="devices must lie between 1 and 4096"):
        calculator.devices = 5000
    with pytest.warns(UserWarning, match=r"lr must be one of the table's, \[0.01, 0.1, 1000.0\]; got 0.12, took 0.1"):
        assert widgets.RunExplorer(runs, lr=0.12).lr == 0.1


def test_a_start_beyond_the_picture_is_moved_into_it(runs):
    with pytest.warns(UserWarning, match=r"start must lie between -2 and 2; got 1e\+300, took 2"):
        assert widgets.DescentExplorer(start=(1e300, 0.5)).start == [2.0, 0.5]
    explorer = widgets.DescentExplorer("rosenbrock")
    with pytest.warns(UserWarning, match="start must lie between -1 and 3; got -7.0, took -1"):
        explorer.start = (0, -7)
    assert explorer.drawing.start == [0.0, -1.0]


def test_sliders_say_as_many_digits_as_tell_their_values_apart():
    assert labels_of([0.1, 0.3162277, 1.0]) == ["0.1", "0.316", "1"]
    assert labels_of([0.2, 0.20092330025650476]) == ["0.2", "0.201"]
    assert labels_of([0.1, 0.10001, 0.10002]) == ["0.1", "0.10001", "0.10002"]
    assert labels_of([1.0, 1.0]) == ["1", "1"]


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda: widgets.DescentExplorer(problem="cubic"), ValueError, "problem must be one of 'quadratic', "),
        (lambda: widgets.DescentExplorer(start=(1,)), ValueError, "start must have 2 numbers"),
        (lambda: widgets.DescentExplorer(lr="fast"), TypeError, "lr must be a positive number; got 'fast'"),
        (lambda: setattr(widgets.DescentExplorer(), "lr", -1), ValueError, "lr must be a positive finite number"),
        (lambda: setattr(widgets.DescentExplorer(), "lr", float("nan")), ValueError, "lr must be"),
        (lambda: setattr(widgets.DescentExplorer(), "start", (1, "a")), TypeError, "start must be a number; got 'a'"),
        (lambda: widgets.CostCalculator(hardware="TPU"), ValueError, "hardware must be one of 'A100', 'H100'"),
        (lambda: widgets.RunPlanner(utilization=0.42), ValueError, "utilization must be one of 0.1, 0.2"),
        (lambda: setattr(widgets.RunPlanner(), "link", "post"), ValueError, "link must be one of 'NVLink'"),
        (lambda: setattr(widgets.CostCalculator(), "precision", "fp8"), ValueError, "precision must be one of"),
        (lambda: widgets.RunExplorer([1, 2]), TypeError, "runs must be what gdlib.sweep returned; got list"),
    ],
)
def test_bad_input(act, error, said):
    with pytest.raises(error, match=said):
        act()


def test_bad_run_explorers(runs):
    with pytest.raises(ValueError, match=r"seconds_per_step must have the batch sizes \[8, 32\]; got \[8\]"):
        widgets.RunExplorer(runs, seconds_per_step={8: 1.0})
    explorer = widgets.RunExplorer(runs)
    with pytest.raises(ValueError, match="axis must be one of 'steps', 'samples'; got 'flops'"):
        explorer.axis = "flops"
    assert widgets.RunExplorer(runs, flops_per_sample=60).drawing.flops_per_sample == 60


def test_the_same_text_every_time(runs):
    """nbval compares it."""
    assert repr(widgets.RunExplorer(runs)) == "RunExplorer(lr=0.1, batch_size=32, axis='steps')"
    made = [repr(widgets.DescentExplorer()), repr(widgets.CostCalculator())]
    assert made == [repr(widgets.DescentExplorer()), repr(widgets.CostCalculator())]
    assert "0x" not in "".join(made)
    explorer = widgets.DescentExplorer(lr=np.float64(0.1))
    assert "lr=0.1," in repr(explorer)
    explorer.lr = 10**-0.75  # 0.1778279410038923 here, another last digit elsewhere
    assert "lr=0.177827941004," in repr(explorer)


def test_the_table_holds_every_loss_once(runs):
    """Averaged over windows of steps that follow each other without a gap, each run's losses keep their sum."""
    drawing = widgets.RunExplorer(runs).drawing
    table = np.frombuffer(drawing.table, "<f4").reshape(3, 2, 2, -1)
    widths = np.diff([0, *drawing.ends])
    assert (widths > 0).all()
    assert drawing.ends[-1] == 60
    np.testing.assert_allclose((table[:2] * widths).sum(-1), runs.losses[:2].sum(-1), rtol=1e-4)
    assert drawing.finals[2] == [None, None]
    assert np.isinf(table[2, :, :, -1]).all()
    assert drawing.best == [list(runs.lr).index(runs.best()[0]), list(runs.batch_size).index(runs.best()[1])]
    mean, low, high = drawing.finals[1][0]
    assert low <= mean <= high
    assert mean == pytest.approx(runs.final()[1, 0].mean(), rel=1e-5)


def test_the_button_trains_and_sends_every_loss(runs):
    def learn(lr, batch_size):
        torch.manual_seed(0)
        return (step.loss for step in Trainer(models.linear(10), train, MSE, lr=lr, batch_size=batch_size).run(25))

    explorer, sent = widgets.RunExplorer(runs, train=learn), []
    explorer.drawing.send = sent.append
    explorer._answer(explorer.drawing, {"hello": True}, [])
    assert sent == [{"hello": True}]
    explorer._answer(explorer.drawing, {"train": [0.1, 32]}, [])
    losses = [loss for message in sent for loss in message.get("losses", [])]
    assert losses == list(learn(0.1, 32))
    assert sent[-1] == {"done": f"loss {losses[-1]:.3g} at the last step"}
    explorer._train = lambda lr, batch_size: learn(1e9, 8)
    explorer._answer(explorer.drawing, {"train": [0.1, 32]}, [])
    assert "the loss is" in sent[-1]["done"]


def test_without_something_to_train_there_is_no_button(runs):
    explorer, sent = widgets.RunExplorer(runs), []
    explorer.drawing.send = sent.append
    explorer._answer(explorer.drawing, {"hello": True}, [])
    explorer._answer(explorer.drawing, {"train": [0.1, 32]}, [])
    assert sent == []


def test_landscapes_hold_their_minimum_and_start_within_the_picture():
    for given in landscapes().values():
        left, right, bottom, top = given["extent"]
        for x, y in (given["minimum"], given["start"]):
            assert left < x < right
            assert bottom < y < top
