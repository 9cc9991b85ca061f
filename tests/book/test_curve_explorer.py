"""The curve explorer in a real browser: each control, its names, and what it says."""

import numpy as np
from visiting import SLIDERS, drawn_after, in_each_view

from gdlib.widgets import Axis, CurveExplorer

STEPS = np.arange(41)


def curves() -> CurveExplorer:
    return CurveExplorer(
        lambda lr, damping: {
            "flat direction": (STEPS, abs(1 - lr) ** STEPS),
            "steep direction": (STEPS, abs(1 - 10 * lr) ** STEPS * damping),
            "_level": ([0, 40], [damping, damping]),
            "dots": (STEPS[::8], np.where(STEPS[::8] > 20, np.nan, 0.5)),
        },
        {"learning rate": [0.01, 0.05, 0.1, 0.2, 0.25], "damping": [0.5, 1.0]},
        Axis("step", 0, 40),
        Axis("error", 1e-4, 100, log=True),
        start=[0.05, 1.0],
        say=lambda lr, damping: f"The steep direction keeps {abs(1 - 10 * lr):.1f} of its error in a step.",
        looks={"steep direction": "orange", "_level": "faint dashed", "dots": "green dots"},
    )


def test_every_control_changes_the_picture_and_is_told(alone):
    for watched, language in in_each_view(alone, curves):
        page, said = watched.page, watched.page.locator(".gd-readout")
        comma = "，" if language != "en" else ", "
        colon = "：" if language != "en" else ":"
        assert said.inner_text().startswith(f"learning rate 0.05{comma}damping 1{colon} The steep direction keeps 0.5")
        label = page.locator(".gd canvas").get_attribute("aria-label")
        assert label == f"error / step. {said.inner_text()}"
        sliders = page.locator(SLIDERS)
        assert sliders.count() == 2
        assert drawn_after(watched, lambda s=sliders: s.nth(0).press("End"))
        assert "keeps 1.5 of its error" in said.inner_text()
        assert drawn_after(watched, lambda s=sliders: s.nth(1).press("Home"))
        reset = page.locator(".gd-button")
        assert drawn_after(watched, reset.click)
        assert not drawn_after(watched, reset.click)


def test_names_stand_beside_their_curves_or_below_on_a_phone(alone):
    wide, narrow = (alone(curves(), width=width).page.locator(".gd-legend") for width in (1280, 390))
    assert wide.inner_text() == ""
    assert [span.inner_text() for span in narrow.locator("span").all()] == ["flat direction", "steep direction", "dots"]
