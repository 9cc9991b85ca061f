"""The widgets of schedules, phase diagrams and range tests in a real browser: their arithmetic, and each control."""

import math
from itertools import product

import numpy as np
import pytest
from conftest import SLIDERS, call, drawn_after, in_each_view

from gdlib import Sweep
from gdlib.choosing import RangeTest
from gdlib.widgets import PhaseDiagram, RangeTestExplorer, ScheduleWorkshop
from gdlib.widgets._table import pack
from gdlib.widgets.phase import PhaseDrawing
from gdlib.widgets.range_test import RangeTestDrawing
from gdlib.widgets.schedule import REACH, STRATEGIES, ScheduleDrawing, schedule_of

SEEDS = np.array([0, 1])


def made_up(lr: list[float], sizes: list[int], best: float, steps: int = 120) -> Sweep:
    """Losses that fall with the step, lowest near a rate of ``best``, the highest rate diverging at half time."""
    generator = np.random.default_rng(0)
    off = (np.log(np.array(lr)[:, None] / (best * np.array(sizes)[None, :] ** 0.5)) ** 2)[..., None, None]
    losses = 2 * (0.2 + np.tanh(off / 20)) / (1 + 0.05 * np.arange(steps)) ** (1 / (1 + off))
    losses = losses * generator.uniform(0.9, 1.1, (len(lr), len(sizes), 2, steps))
    losses[-1, 0, 1, steps // 2 :] = np.inf
    return Sweep(np.array(lr), np.array(sizes), SEEDS, losses.astype(np.float32))


def workshop() -> ScheduleWorkshop:
    keys = [("constant", 0.0, 0.0), *product(list(STRATEGIES)[1:-1], (0.25, 0.5, 0.75), (0.0, 0.1))]
    runs = {key: made_up([0.01, 0.03, 0.1, 0.3, 1.0], [16], 0.03 * (1 + i % 5)) for i, key in enumerate(keys)}
    return ScheduleWorkshop(runs, strategy="cosine", lr=0.1, shape=0.5, warmup=0.1)


def diagram() -> PhaseDiagram:
    sizes = [4, 16, 64, 256]
    runs = {
        "SGD": made_up([0.01, 0.03, 0.1, 0.3, 1.0, 3.0], sizes, 0.03),
        "Adam": made_up([1e-4, 1e-3, 0.01, 0.1], sizes, 1e-3),
    }
    return PhaseDiagram(runs, lr=0.03, batch_size=16, base_batch_size=16, critical={"SGD": 60}, samples=120 * 16)


def range_test() -> RangeTestExplorer:
    lrs = np.geomspace(1e-4, 10, 60)
    smoothed = 2 - 1.5 / (1 + (0.1 / lrs) ** 2) + (lrs / 2) ** 2
    noisy = smoothed * np.random.default_rng(0).uniform(0.9, 1.1, 60)
    found = RangeTest(lrs, noisy, smoothed, float(lrs[34]), "because")
    return RangeTestExplorer(found, runs=made_up([0.01, 0.03, 0.1, 0.3, 1.0], [16], 0.03))


MAKERS = {"schedule": workshop, "phase": diagram, "range": range_test}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_page_computes_the_schedules_of_the_library(page, strategy):
    settings = [
        {"strategy": strategy, "lr": lr, "shape": shape, "warmup": warmup, "steps": steps}
        for lr, shape, warmup, steps in product(
            (1e-5, 0.0333, 3.0), (0.0, 0.05, 0.25, 1 / 3, 0.5, 0.875, 1.0), (0.0, 0.07, 0.2, 0.5), (2, 9, 150, 1001)
        )
    ]
    found = call(page, ScheduleDrawing._esm, "a.map(s => m.scheduleOf(s, s.steps))", settings)
    for setting, rates in zip(settings, found):
        schedule = schedule_of(**setting)
        expected = [schedule(step) for step in range(setting["steps"])]
        np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=1e-15 * setting["lr"], err_msg=str(setting))


def test_the_nearest_run_is_shown_only_where_it_is_near(page):
    known = [["cosine", 0.25, 0.0], ["cosine", 0.5, 0.0], ["cosine", 0.5, 0.1], ["constant", 0.0, 0.0]]
    asked = {
        ("cosine", 0.1, 0.4, 0.02): (1, 1, True),
        ("cosine", 0.17, 0.3, 0.04): (0, 1, True),  # 0.17 is nearer to 0.1 than to 0.3, by ratio
        ("cosine", 0.18, 0.5, 0.08): (2, 2, True),
        ("cosine", 0.1, 0.66, 0.1): (2, 1, False),  # beyond the shapes that were run
        ("cosine", 0.1, 0.25, 0.1): (2, 1, False),  # this pair was not run
        ("cosine", 0.001, 0.25, 0.0): (0, -1, False),  # nor was such a rate
        ("constant", 0.1, 0.9, 0.0): (3, 1, True),  # the shape means nothing
        ("linear", 0.1, 0.5, 0.0): (-1, 1, False),
    }
    settings = [dict(zip(("strategy", "lr", "shape", "warmup"), key)) for key in asked]
    expression = "a.settings.map(s => m.nearestRun(s, a.known, [0.01, 0.1, 0.3], a.reach))"
    found = call(page, ScheduleDrawing._esm, expression, {"settings": settings, "known": known, "reach": REACH})
    assert [(f["run"], f["rate"], f["near"]) for f in found] == list(asked.values())


def test_what_a_shape_means_is_said_in_words(page):
    said = call(page, ScheduleDrawing._esm, "a.map(([s, x]) => m.meaning(s, x))", [[s, 0.5] for s in STRATEGIES])
    assert dict(zip(STRATEGIES, said)) == {
        "constant": "the shape has no meaning here",
        "step": "falls three times, to 1/100 of its peak",
        **dict.fromkeys(("exponential", "time", "linear", "cosine"), "falls to 1/100 of its peak"),
        "restarts": "3 restarts",
        "one_cycle": "rises for 50 % of the steps",
        "wsd": "falls to 0 in the last 50 % of the steps",
    }


def test_packed_curves_are_read_back(page):
    losses = np.random.default_rng(0).uniform(0.01, 30, (4, 3, 7))
    losses[2, 1, 4:] = np.inf
    table, scale = pack([losses])
    first, cut = call(
        page,
        ScheduleDrawing._esm,
        "[[0, 1], [2, 0]].map(([k, first]) => m.spread(m.curvesOf(m.unpack(new DataView(Uint8Array.from(a.table).buffer),"
        " a.scale), k, 3, 7, first * 21)))",
        {"table": list(table), "scale": scale},
    )
    np.testing.assert_allclose(first["mean"], losses[1].mean(0), rtol=1e-3)
    np.testing.assert_allclose([first["low"], first["high"]], [losses[1].min(0), losses[1].max(0)], rtol=1e-3)
    assert (first["diverged"], cut["diverged"], cut["until"]) == (0, 1, 4)


def test_ridge_rules_and_cells_of_the_phase_diagram(page):
    cells = [[[3, 3, 3], None, [1]], [[2, 1, 4], [5, 5, 5], [2]], [[2.5, 2, 3], [4, 4, 4], None]]
    ridge, lowest, none, edges, one, rules, shades = call(
        page,
        PhaseDrawing._esm,
        "[m.ridge(a), m.lowest(a), m.lowest([[null, [1]]]), m.edges([1, 4, 16]), m.edges([2]),"
        " [m.ruled([32, 0.1], 128, 1), m.ruled([32, 0.1], 128, 0.5)], [0, 1, 7].map(m.shade)]",
        cells,
    )
    assert (ridge, lowest, none) == ([1, 2, -1], [1, 0], None)
    assert edges == pytest.approx([0.5, 2, 8, 32])
    assert one == pytest.approx([2 / math.sqrt(2), 2 * math.sqrt(2)])
    assert rules == pytest.approx([0.4, 0.2])
    assert shades == ["rgb(253 231 37)", "rgb(68 1 84)", "rgb(68 1 84)"]


def test_the_range_test_is_read_in_words(page):
    lrs, smoothed = [1e-3, 1e-2, 0.1, 1.0, 10.0], [2.0, 1.95, 1.2, 0.5, 4.0]
    rates = [5e-4, 3e-3, 0.03, 0.1, 0.95, 1.05, 5.0, 20.0]
    losses, zones, flat = call(
        page,
        RangeTestDrawing._esm,
        "[a.rates.map(v => m.lossAt(v, a.lrs, a.smoothed)), a.rates.map(v => m.zoneOf(v, a.lrs, a.smoothed)),"
        " [0.002, 9].map(v => m.zoneOf(v, a.lrs, [1, 1, 1, 1.2, 3]))]",
        {"rates": rates, "lrs": lrs, "smoothed": smoothed},
    )
    np.testing.assert_allclose(losses, np.interp(np.log(rates), np.log(lrs), smoothed), rtol=1e-12)
    assert zones == ["flat", "flat", "slope", "slope", "minimum", "minimum", "away", "away"]
    assert flat == ["flat", "away"]


@pytest.mark.parametrize("name", MAKERS)
def test_every_control_changes_the_picture(alone, name):
    watched = alone(MAKERS[name]())
    page = watched.page
    for i in range(page.locator(SLIDERS).count()):
        handle = page.locator(SLIDERS).nth(i)
        assert drawn_after(watched, lambda h=handle: h.press("ArrowRight")), f"slider {i}"
    for menu in page.locator(".gd select").all():
        for option in menu.locator("option").all():
            value = option.get_attribute("value")
            assert value == menu.input_value() or drawn_after(watched, lambda m=menu, v=value: m.select_option(v)), (
                value
            )
    assert drawn_after(watched, page.get_by_role("button", name="Reset").click)
    assert not drawn_after(watched, page.get_by_role("button", name="Reset").click)
    assert drawn_after(watched, page.get_by_role("button", name="Best setting").click)
    assert watched.wrong == []


def test_kept_curves_stay_and_the_nearest_run_is_named(alone):
    watched = alone(workshop())
    page = watched.page
    said = page.locator(".gd-readout")
    assert "cosine, peak 0.1, falls to 1/100 of its peak, warm-up 10 %. The real run: final loss" in said.inner_text()
    page.get_by_role("button", name="Keep this curve").click()
    page.locator(SLIDERS).nth(1).press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.gd-readout').innerText.includes('The nearest real run')")
    assert "Best of the table: " in said.inner_text()
    assert page.locator(".gd-numbers tr").count() == 2
    page.locator(".gd select").select_option("wsd")
    page.wait_for_function("() => document.querySelector('.gd-schedule').dataset.final === ''")
    assert "No run was trained with this strategy." in said.inner_text()
    assert drawn_after(watched, page.get_by_role("button", name="Clear kept curves").click)
    assert page.locator(".gd-numbers tr").count() == 1


def test_the_map_is_a_control(alone):
    watched = alone(diagram())
    page, picture = watched.page, watched.page.locator(".gd-phase canvas").first
    chosen = "JSON.stringify((({optimizer, lr, batch}) => [optimizer, lr, batch])(document.querySelector('.gd-phase').dataset))"

    def waits(*expected: str) -> None:
        page.wait_for_function(f"s => {chosen} === s", arg="[" + ",".join(f'"{v}"' for v in expected) + "]")

    picture.press("ArrowUp")
    waits("SGD", "0.1", "16")
    picture.press("ArrowRight")
    waits("SGD", "0.1", "64")
    size = picture.bounding_box()
    picture.click(position={"x": 70, "y": 45})  # the upper left: the highest rate, the smallest batch
    waits("SGD", "3", "4")
    assert "1 of 2 seeds diverge" in page.locator(".gd-readout").inner_text()
    picture.click(position={"x": size["width"] - 20, "y": 45})
    waits("SGD", "3", "256")
    assert "beyond the critical batch size of 60 neither holds" in page.locator(".gd-readout").inner_text()
    page.locator(".gd select").first.select_option("Adam")  # which has no such rate
    page.wait_for_function("() => document.querySelector('.gd-phase').dataset.optimizer === 'Adam'")
    assert float(page.evaluate("document.querySelector('.gd-phase').dataset.lr")) in (1e-4, 1e-3, 0.01, 0.1)
    page.locator(".gd select").nth(1).select_option("samples")
    page.locator(SLIDERS).nth(1).press("Home")
    page.wait_for_function("() => document.querySelector('.gd-phase').dataset.batch === '4'")
    assert "too short for the comparison" in page.locator(".gd-readout").inner_text()
    assert watched.wrong == []


def test_the_choice_is_dragged_along_the_curve(alone):
    watched = alone(range_test())
    page, picture = watched.page, watched.page.locator(".gd-range canvas").first
    before = float(page.evaluate("document.querySelector('.gd-range').dataset.lr"))
    size = picture.bounding_box()
    page.mouse.move(size["x"] + 0.5 * size["width"], size["y"] + 100)
    page.mouse.down()
    page.mouse.move(size["x"] + 70, size["y"] + 120, steps=4)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.gd-range').dataset.zone === 'flat'")
    assert "No real run is near." in page.locator(".gd-readout").inner_text()
    picture.press("ArrowRight")
    assert float(page.evaluate("document.querySelector('.gd-range').dataset.lr")) < before / 10
    page.locator(SLIDERS).press("End")
    page.wait_for_function("() => document.querySelector('.gd-range').dataset.zone === 'away'")
    assert page.locator(".gd-readout").get_attribute("data-state") == "bad"
    page.get_by_role("button", name="Best setting").click()
    page.wait_for_function("() => document.querySelector('.gd-range').dataset.run === '0.1'")
    assert watched.wrong == []


@pytest.mark.parametrize("name", MAKERS)
def test_light_dark_narrow_and_chinese(alone, name):
    for watched, language in in_each_view(alone, MAKERS[name]):
        words = watched.page.locator("body").inner_text()
        assert ("跳到最好的设置" in words and "学习率" in words) == (language == "zh-CN")
        if language == "zh-CN":
            assert not any(
                word in words for word in ("setting", "rate", "batch", "loss", "shape", "compare", "strategy")
            )
