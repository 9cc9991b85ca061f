"""The widgets of schedules, phase diagrams and range tests in a real browser: each control. Their arithmetic is tested in tests/widgets."""

from itertools import product

import numpy as np
import pytest
from visiting import SLIDERS, drawn_after, in_each_view

from gdlib import Sweep
from gdlib.choosing import RangeTest
from gdlib.widgets import PhaseDiagram, RangeTestExplorer, ScheduleWorkshop
from gdlib.widgets.schedule import STRATEGIES

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
