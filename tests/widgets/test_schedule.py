"""The schedule workshop's Python face. What it draws is tested in tests/book."""

import warnings
from itertools import product

import numpy as np
import pytest

from gdlib import Sweep, schedules
from gdlib.widgets import ScheduleWorkshop
from gdlib.widgets._table import DIVERGED, pack, thin
from gdlib.widgets.schedule import STRATEGIES, schedule_of

RATES = [0.01, 0.03, 0.1, 0.3]


def runs_of(losses: np.ndarray, lr: list[float] = RATES, seeds: tuple[int, ...] = (0, 1)) -> Sweep:
    return Sweep(np.array(lr), np.array([32]), np.array(seeds), losses.astype(np.float32))


@pytest.fixture(scope="module")
def runs() -> dict[tuple[str, float, float], Sweep]:
    generator = np.random.default_rng(0)
    keys = [("constant", 0.0, 0.0), *product(("cosine", "wsd"), (0.25, 0.5), (0.0, 0.1))]
    made = {key: runs_of(generator.uniform(0.5, 2.0, (4, 1, 2, 100))) for key in keys}
    made["cosine", 0.5, 0.1].losses[1] /= 10  # the best
    made["wsd", 0.5, 0.1].losses[3, 0, 1, 40:] = np.inf
    return made


def sliders(workshop):
    return workshop.children[0].children


def test_every_strategy_peaks_at_its_rate_and_ends_where_its_shape_says():
    for name in ("step", "exponential", "time", "linear", "cosine"):
        for shape in (0.0, 0.25, 0.5, 1.0):
            rate = STRATEGIES[name](2.0, 1000, shape)
            assert rate(0) == pytest.approx(2.0)
            assert rate(999 if name == "step" else 1000) == pytest.approx(2.0 * 10 ** (-4 * shape))
    assert STRATEGIES["constant"](2.0, 1000, 0.7)(999) == 2.0
    assert [STRATEGIES["restarts"](2.0, 1000, shape)(500) for shape in (0.0, 0.5)] == [2.0, 2.0]  # 1 and 3 restarts
    rate, torchs = STRATEGIES["one_cycle"](2.0, 1000, 0.25), schedules.one_cycle(2.0, 1000)
    assert [rate(step) for step in range(1000)] == pytest.approx([torchs(step) for step in range(1000)])
    assert [STRATEGIES["wsd"](2.0, 1000, 0.25)(step) for step in (0, 749, 875, 1000)] == pytest.approx([2, 2, 1, 0])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_warm_up_holds_any_strategy_back(strategy):
    bare, held = schedule_of(strategy, 0.1, 100, 0.5), schedule_of(strategy, 0.1, 100, 0.5, warmup=0.2)
    assert [held(step) for step in (0, 5, 20, 60)] == pytest.approx([0.0, bare(5) / 4, bare(20), bare(60)])


def test_traits_sliders_and_drawing_are_one_value(runs):
    workshop, seen = ScheduleWorkshop(runs, strategy="cosine", lr=0.1, shape=0.5, warmup=0.1), []
    workshop.observe(lambda change: seen.append(change["new"]), "shape")
    workshop.lr, workshop.shape, workshop.warmup, workshop.strategy = 0.03, 0.25, 0.0, "wsd"
    drawing, values = workshop.drawing, dict(zip(("lr", "shape", "warmup"), sliders(workshop)))
    for name, slider in values.items():
        assert drawing.rasters[name][slider.index] == getattr(workshop, name)
        assert getattr(drawing, f"{name}_index") == slider.index
    assert drawing.strategy == "wsd"
    values["shape"].index = drawing.rasters["shape"].index(0.75)
    assert workshop.shape == 0.75
    assert seen == [0.25, 0.75]


def test_what_the_text_and_the_table_say_is_on_the_sliders_exactly(runs):
    workshop = ScheduleWorkshop(runs, strategy="cosine", lr=0.123456, shape=1 / 3, warmup=0.0789)
    assert (workshop.lr, workshop.shape, workshop.warmup) == (0.123456, 1 / 3, 0.0789)
    rasters = workshop.drawing.rasters
    assert set(RATES) <= set(rasters["lr"])
    assert (rasters["lr"][0], rasters["lr"][-1]) == (0.01, 0.3)
    assert {0.0, 0.25, 0.5, 1.0} <= set(rasters["shape"])
    assert (rasters["warmup"][0], rasters["warmup"][-1]) == (0.0, 0.2)
    assert all(raster == sorted(set(raster)) for raster in rasters.values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workshop.shape = 0.51  # the slider's nearest, without a word
    assert workshop.shape == 0.5


def test_sliders_are_linked_in_the_browser_too(runs):
    workshop = ScheduleWorkshop(runs)
    in_browser = [link for link in workshop._links if type(link).__name__ == "Link"]
    assert {link.source[0] for link in in_browser} == set(sliders(workshop))


def test_without_a_setting_it_starts_at_a_run(runs):
    assert repr(ScheduleWorkshop(runs)) == "ScheduleWorkshop(strategy='constant', lr=0.1, shape=0.0, warmup=0.0)"
    assert repr(ScheduleWorkshop(runs, "wsd")) == "ScheduleWorkshop(strategy='wsd', lr=0.1, shape=0.25, warmup=0.0)"


def test_its_schedule_is_the_one_to_train_with(runs):
    workshop = ScheduleWorkshop(runs, "cosine", lr=0.3, shape=0.5, warmup=0.1)
    expected = schedules.warmup(schedules.cosine(0.3, 100, final=0.003), 10)
    assert [workshop.schedule(step) for step in range(100)] == pytest.approx([expected(step) for step in range(100)])


def test_values_out_of_range_are_clamped_and_said_so(runs):
    workshop = ScheduleWorkshop(runs)
    for name, value, said in (
        ("lr", 50.0, "lr must lie between 0.01 and 0.3; got 50.0, took 0.3"),
        ("shape", 1.5, "shape must lie between 0 and 1; got 1.5, took 1"),
        ("warmup", 0.4, "warmup must lie between 0 and 0.2; got 0.4, took 0.2"),
    ):
        with pytest.warns(UserWarning, match=said):
            setattr(workshop, name, value)
    assert (workshop.lr, workshop.shape, workshop.warmup) == (0.3, 1.0, 0.2)
    with pytest.warns(UserWarning, match="lr must lie between"):
        assert ScheduleWorkshop(runs, lr=1e-9).lr == 0.01


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda r: ScheduleWorkshop([1]), TypeError, r"runs must map \(strategy, shape, warmup\) to sweeps; got list"),
        (lambda r: ScheduleWorkshop({}), ValueError, "runs must hold at least one sweep"),
        (lambda r: ScheduleWorkshop({"cosine": r}), ValueError, "runs must have keys"),
        (lambda r: ScheduleWorkshop({("cosine", 0.5, 0.0): [1]}), TypeError, "runs must be what gdlib.sweep returned"),
        (lambda r: ScheduleWorkshop({("cubic", 0.5, 0.0): r}), ValueError, "strategy must be one of 'constant', "),
        (lambda r: ScheduleWorkshop({("cosine", 1.5, 0.0): r}), ValueError, "shape must be a finite number between"),
        (lambda r: ScheduleWorkshop({("cosine", 0.5, 0.9): r}), ValueError, "warmup must be a finite number between"),
        (lambda r: ScheduleWorkshop({("cosine", 0.5, 0.0): r}, lr="fast"), TypeError, "lr must be a positive number"),
        (lambda r: ScheduleWorkshop({("cosine", 0.5, 0.0): r}, shape="x"), TypeError, "shape must be a number"),
        (lambda r: setattr(ScheduleWorkshop({("wsd", 0, 0): r}), "lr", -1), ValueError, "lr must be a positive finite"),
        (lambda r: setattr(ScheduleWorkshop({("wsd", 0, 0): r}), "strategy", 3), ValueError, "strategy must be one of"),
        (lambda r: schedule_of("wsd", 0.1, 1), ValueError, "steps must be a whole number of at least 2"),
    ],
)
def test_bad_input(act, error, said):
    with pytest.raises(error, match=said):
        act(runs_of(np.ones((4, 1, 2, 10))))


def test_sweeps_that_do_not_belong_together(runs):
    one = runs["constant", 0.0, 0.0]
    for other in (runs_of(np.ones((4, 1, 2, 90))), runs_of(np.ones((4, 1, 2, 100)), lr=[1, 2, 3, 4])):
        with pytest.raises(ValueError, match="runs must all have the same lr, seeds and steps"):
            ScheduleWorkshop({("constant", 0.0, 0.0): one, ("cosine", 0.5, 0.0): other})
    two_sizes = Sweep(one.lr, np.array([8, 16]), one.seeds, np.ones((4, 2, 2, 100), dtype=np.float32))
    with pytest.raises(ValueError, match=r"runs must have 1 batch size; got \[8, 16\]"):
        ScheduleWorkshop({("constant", 0.0, 0.0): two_sizes})
    with pytest.raises(ValueError, match="runs must have at least two learning rates"):
        ScheduleWorkshop({("constant", 0.0, 0.0): runs_of(np.ones((1, 1, 2, 9)), lr=[0.1])})


def test_the_table_holds_the_runs(runs):
    drawing = ScheduleWorkshop(runs).drawing
    codes = np.frombuffer(drawing.table, "<u2").reshape(9, 4, 2, -1)
    low, span = drawing.scale
    losses = np.exp(low + codes.astype(float) * span / (DIVERGED - 1))
    widths = np.diff([0, *drawing.ends])
    assert drawing.ends[-1] == 100
    keys = [tuple(key) for key in drawing.known]
    assert keys == list(runs)
    for key, table in zip(keys, losses):
        if key != ("wsd", 0.5, 0.1):
            np.testing.assert_allclose((table * widths).sum(-1), runs[key].losses[:, 0].sum(-1), rtol=1e-3)
    last = codes[keys.index(("wsd", 0.5, 0.1)), 3, :, -1]
    assert last[0] != DIVERGED and last[1] == DIVERGED
    assert drawing.finals[keys.index(("wsd", 0.5, 0.1))][3] is None
    assert drawing.finals[0][2][0] == pytest.approx(runs[keys[0]].final()[2].mean(), rel=1e-5)
    assert drawing.best == [keys.index(("cosine", 0.5, 0.1)), 1]


def test_rates_in_any_order_make_the_same_table(runs):
    turned = {key: Sweep(run.lr[::-1], run.batch_size, run.seeds, run.losses[::-1]) for key, run in runs.items()}
    one, other = ScheduleWorkshop(runs).drawing, ScheduleWorkshop(turned).drawing
    for name in ("table", "lrs", "finals", "best", "rasters"):
        assert getattr(one, name) == getattr(other, name)


def test_the_full_table_stays_below_300_kb():
    run = runs_of(
        np.random.default_rng(0).uniform(0.1, 2, (7, 1, 3, 400)), lr=list(np.geomspace(0.001, 1, 7)), seeds=(0, 1, 2)
    )
    runs = {key: run for key in product(STRATEGIES, (0.25, 0.5, 0.75), (0.0, 0.1))}
    drawing = ScheduleWorkshop(runs).drawing
    rest = sum(len(str(getattr(drawing, name))) for name in ("_esm", "_css", "finals", "known", "ends", "rasters"))
    assert len(drawing.table) * 4 / 3 + 1.1 * rest < 300_000


def test_packed_losses_come_back_to_a_part_in_a_thousand():
    losses = np.concatenate([np.geomspace(1e-6, 1e4, 1000), [np.inf, np.nan]])
    table, (low, span) = pack([losses])
    codes = np.frombuffer(table, "<u2")
    np.testing.assert_allclose(np.exp(low + codes[:-2] * (span / (DIVERGED - 1))), losses[:-2], rtol=1e-3)
    assert list(codes[-2:]) == [DIVERGED, DIVERGED]
    assert np.frombuffer(pack([np.full(3, np.inf)])[0], "<u2").tolist() == [DIVERGED] * 3
    assert len(thin(np.ones(10_000), 40, log=False)[0]) == 40
