"""The cockpit on a page without a kernel: it replays what was recorded, and says so."""

import pytest
import torch
from visiting import SLIDERS, drawn_after

from gdlib import History, Trainer, data, models
from gdlib.widgets import Cockpit


@pytest.fixture(scope="module")
def recorded() -> tuple[Trainer, History]:
    torch.manual_seed(0)
    trainer = Trainer(models.mlp(64, 16, 10), data.digits().train, torch.nn.functional.cross_entropy, device="cpu")
    history = History()
    for step in trainer.run(300, history=history):
        trainer.lr, trainer.batch_size = (0.5, 16) if step.index > 150 else (0.1, 64)
    return trainer, history


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_it_replays_and_says_so_and_every_control_acts(alone, recorded, theme, width):
    watched = alone(Cockpit(recorded[0], recorded=recorded[1], about="one CPU core"), theme, width=width)
    page, cockpit = watched.page, watched.page.locator(".gd-cockpit")
    assert "A recorded session (one CPU core): step 300" in cockpit.inner_text()
    assert "No kernel is behind this page" in cockpit.inner_text()
    for i in range(2):
        handle = page.locator(SLIDERS).nth(i)
        assert drawn_after(watched, lambda h=handle: h.press("ArrowRight"))
    assert drawn_after(watched, cockpit.get_by_role("button", name="Reset").click)
    cockpit.get_by_role("button", name="Start").click()
    page.wait_for_function(
        "() => { const n = Number(document.querySelector('.gd-cockpit').dataset.steps); return n > 5 && n < 250; }"
    )
    cockpit.get_by_role("button", name="Pause").click()
    watched.settle()
    stopped = cockpit.get_attribute("data-steps")
    page.evaluate("() => new Promise(resolve => setTimeout(resolve, 300))")  # in which it would replay a hundred steps
    assert cockpit.get_attribute("data-steps") == stopped
    cockpit.get_by_role("button", name="Stop").click()
    page.wait_for_function("() => document.querySelector('.gd-cockpit').dataset.steps === '0'")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert watched.wrong == []


def test_in_chinese(alone, recorded):
    text = alone(Cockpit(recorded[0], recorded=recorded[1]), language="zh-CN").page.locator(".gd-cockpit").inner_text()
    assert "录制的训练" in text
    assert "开始" in text
