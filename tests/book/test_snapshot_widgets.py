"""The explorers of snapshots and the run quiz in a real browser: each control. Their arithmetic is tested in tests/widgets."""

import math

import numpy as np
import pytest
from visiting import SLIDERS, choose, drawn_after, in_each_view

from gdlib.widgets import Case, PredictionExplorer, RunQuiz, Snapshots, TextExplorer
from gdlib.widgets.along import loss_at
from gdlib.widgets.predictions import right

STEPS = [0, 1, 2, 4, 8, 16, 32, 64, 128, 200]
TARGETS = [s % 10 for s in range(20)]
XSS = "<img src=x onerror=\"document.title = 'broken'\"> &amp;\n    kept   \n"


def chances(sharpness: float) -> np.ndarray:
    """Of each snapshot, 20 samples and 10 classes: chances that lean towards the target more and more."""
    scores = np.random.default_rng(0).normal(size=(len(STEPS), 20, 10))
    scores[:, range(20), TARGETS] += sharpness * np.arange(len(STEPS))[:, None]
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(-1, keepdims=True)


def losses_of(fall: float) -> np.ndarray:
    return 2.3 * np.exp(-fall * np.arange(200) / 200) * np.random.default_rng(1).uniform(0.9, 1.1, 200)


def predictions() -> PredictionExplorer:
    gone = losses_of(0.5)
    gone[50:] = np.inf
    outputs = chances(0.1)[:7]
    outputs[6] = np.nan
    runs = {
        "lr 0.3": Snapshots(losses_of(3), STEPS, chances(0.6)),
        "lr 0.01": Snapshots(losses_of(1), STEPS, chances(0.2)),
        "lr 30": Snapshots(gone, STEPS[:7], outputs),
    }
    pictures = np.random.default_rng(2).random((20, 64))
    return PredictionExplorer(runs, pictures, TARGETS, (8, 8), step=16)


def curves() -> PredictionExplorer:
    waves = np.sin(np.linspace(0, 9, 40) * np.arange(1, 21)[:, None])
    names = [f"class number {c}" for c in range(10)]
    return PredictionExplorer(
        {"only": Snapshots(losses_of(3), STEPS, chances(0.6))}, waves, TARGETS, (40,), names, step=16
    )


def texts() -> TextExplorer:
    written = [XSS + "def f(x):\n    return x\n" * k for k in range(5)]
    runs = {
        "small model": Snapshots(losses_of(1), [0, 50, 100, 150, 200], written),
        "large model": Snapshots(losses_of(2), [0, 50, 100, 150, 200], written[::-1]),
    }
    return TextExplorer(runs, step=100)


def quiz() -> RunQuiz:
    good = {"train loss": losses_of(3), "test loss": (list(range(0, 200, 20)), losses_of(2)[::20])}
    bad = [2.3, 2.5, 4.0, 60.0, 1e4, math.nan]
    path = [("Does it fall?", "No, it grows."), ("Is the rate high?", "Yes, very.")]
    return RunQuiz(
        [
            Case(
                "Alpha run",
                {"train loss": bad, "learning rate": [30.0] * 6},
                "rate too high",
                "Lower it.",
                path,
                good,
                task="Digits; a perceptron; SGD",
            ),
            Case("Beta run", good | {"gradient norm": losses_of(1)}, "overfitting", "Stop early.", path),
            Case("Gamma run", {"train accuracy": np.linspace(0.1, 0.9, 50)}, "too short", "Go on.", path[:1], good),
        ]
    )


MAKERS = {"predictions": predictions, "curves": curves, "texts": texts, "quiz": quiz}
BEST = ("predictions", "curves", "texts")


def said(page) -> str:
    return page.locator(".gd-readout").inner_text()


@pytest.mark.parametrize("name", MAKERS)
def test_every_control_changes_the_picture(alone, name):
    watched = alone(MAKERS[name]())
    page = watched.page
    assert not drawn_after(watched, page.get_by_role("button", name="Reset").click)
    assert drawn_after(watched, lambda: page.locator(SLIDERS).press("ArrowRight"))
    for menu in page.locator(".gd select").all():
        for option in menu.locator("option").all():
            value = option.get_attribute("value")
            if value != menu.input_value() and menu.is_enabled():
                assert drawn_after(watched, lambda menu=menu, value=value: choose(menu, value)), value
    assert drawn_after(watched, page.get_by_role("button", name="Reset").click)
    if name in BEST:
        assert drawn_after(watched, page.get_by_role("button", name="Best setting").click)
        page.locator(".gd canvas").first.press("ArrowLeft")
        page.locator(".gd canvas").first.press("ArrowLeft")
        assert drawn_after(watched, page.get_by_role("button", name="Best setting").click)
    assert page.locator(".gd-numbers tr").count() >= 1
    assert watched.wrong == []


def test_the_numbers_on_the_page_are_python_s(alone):
    explorer = predictions()
    drawing = explorer.drawing
    codes = np.frombuffer(drawing.outputs, "<u2").reshape(-1, 20, 10)
    counts = right(codes, TARGETS).sum(-1)
    watched = alone(explorer)
    page = watched.page
    data = "(({run, step, right, loss}) => [run, +step, +right, +loss])(document.querySelector('.gd').dataset)"
    for k in range(5, 10):
        assert page.evaluate(data) == ["lr 0.3", STEPS[k], counts[k], loss_at(drawing.curves[0], STEPS[k])]
        page.locator(SLIDERS).press("ArrowRight")
        page.wait_for_function(f"() => +document.querySelector('.gd').dataset.step === {STEPS[min(k + 1, 9)]}")
    assert f"lr 0.3, after 200 steps: {counts[9]} of 20 right; loss 0.1" in said(page)
    page.locator("summary").click()
    assert "class 3" in page.locator(".gd-numbers tr").nth(3).inner_text()
    page.locator(".gd select").select_option("lr 30")
    page.wait_for_function("() => document.querySelector('.gd').dataset.loss === 'diverged'")
    assert "This run diverged at step 50. What is shown was taken after 32 steps." in said(page)
    assert "0 of 20 right; loss —" in said(page)
    assert page.locator(".gd-readout").get_attribute("data-state") == "bad"
    assert "unknown" in page.locator(".gd-numbers tr").first.inner_text()
    assert watched.wrong == []


def test_the_curve_is_a_slider(alone):
    watched = alone(predictions())
    page, picture = watched.page, watched.page.locator(".gd canvas").first
    size = picture.bounding_box()
    page.mouse.move(size["x"] + 0.5 * size["width"], size["y"] + 100)
    page.mouse.down()
    page.mouse.move(size["x"] + 54, size["y"] + 120, steps=4)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.gd').dataset.step === '0'")
    for key, step in (("ArrowRight", 1), ("ArrowUp", 2), ("ArrowLeft", 1), ("ArrowDown", 0), ("ArrowLeft", 0)):
        picture.press(key)
        page.wait_for_function(f"() => document.querySelector('.gd').dataset.step === '{step}'")
    picture.click(position={"x": size["width"] - 20, "y": 100})
    page.wait_for_function("() => document.querySelector('.gd').dataset.step === '200'")
    assert page.locator(".widget-readout").inner_text() == "200"  # the slider has followed
    assert watched.wrong == []


def test_texts_are_shown_as_they_are(alone):
    watched = alone(texts())
    page = watched.page
    assert page.locator(".gd-text").evaluate("e => e.textContent") == XSS + "def f(x):\n    return x\n" * 2
    page.get_by_role("button", name="Best setting").click()
    page.wait_for_function("() => document.querySelector('.gd').dataset.run === 'large model'")
    assert page.locator(".gd-text").evaluate("e => e.textContent") == XSS
    assert page.locator(".gd-text img").count() == 0
    assert page.title() != "broken"
    loss = loss_at(texts().drawing.curves[1], 200)
    assert f"loss {float(f'{loss:.3g}')} nats a character, {float(f'{loss / math.log(2):.3g}')} bits" in said(page)
    assert watched.wrong == []


def test_a_quiz_asks_waits_answers_and_explains(alone):
    watched = alone(quiz())
    page, menu = watched.page, watched.page.locator(".gd select")
    check, asked, cure, onward = (
        page.locator(".gd-button", has_text=name) for name in ("Check", "Ask", "After the cure", "Next case")
    )
    options = menu.locator("option").all_inner_texts()
    assert options == ["— choose —", "overfitting", "rate too high", "too short"]
    hidden = ("Alpha", "Lower it", "No, it grows")
    assert not [word for word in hidden if word in page.locator(".gd").inner_text()]
    assert page.locator(".gd-task").inner_text() == "Digits; a perceptron; SGD"
    assert not cure.is_visible() and not onward.is_visible()
    assert "Case 1 of 3. What is wrong with this run? Solved 0 of 3, 0 at first sight, in 0 answers." in said(page)
    assert drawn_after(watched, check.click)
    assert "Choose an answer first." in said(page)
    menu.select_option("overfitting")
    assert drawn_after(watched, check.click)
    assert "✗ Not “overfitting”. Look again: Does it fall? Solved 0 of 3, 0 at first sight, in 1 answer." in said(page)
    assert page.locator(".gd-readout").get_attribute("data-state") == "bad"
    assert drawn_after(watched, asked.click)
    assert page.locator(".gd-path li").all_inner_texts() == ["Does it fall?"]
    assert drawn_after(watched, page.get_by_role("button", name="Show its answer").click)
    assert page.locator(".gd-path li").all_inner_texts() == ["Does it fall? No, it grows."]
    assert "Look again: Is the rate high?" in said(page)
    assert "Alpha" not in page.locator(".gd").inner_text()
    assert drawn_after(watched, lambda: menu.select_option("rate too high"))
    assert "✗" not in said(page)  # what was wrong before is not said of a new choice
    assert drawn_after(watched, check.click)
    assert "✓ Right: rate too high. Solved 1 of 3, 0 at first sight, in 2 answers." in said(page)
    assert "Alpha run: rate too high\nCure: Lower it." in page.locator(".gd-case").inner_text()
    assert len(page.locator(".gd-path li").all_inner_texts()) == 2  # the reasons, whole
    assert menu.is_disabled() and check.is_disabled()

    before = page.locator(".gd canvas").evaluate("c => c.toDataURL()")
    cure.click()
    page.wait_for_function("() => document.querySelector('[aria-pressed]').ariaPressed === 'true'")
    assert page.locator(".gd canvas").evaluate("c => c.toDataURL()") != before
    cure.click()
    page.wait_for_function("() => document.querySelector('[aria-pressed]').ariaPressed === 'false'")
    assert page.locator(".gd canvas").evaluate("c => c.toDataURL()") == before

    onward.click()
    page.wait_for_function("() => document.querySelector('.gd').dataset.case !== '0'")
    if page.locator(".gd").get_attribute("data-case") == "2":  # the order is the reader's own
        page.locator(SLIDERS).press("ArrowRight")
        page.wait_for_function("() => document.querySelector('.gd').dataset.case === '1'")
    assert not cure.is_visible() and menu.input_value() == ""
    assert "Beta" not in page.locator(".gd").inner_text()
    for _ in range(2):
        assert drawn_after(watched, asked.click)
        assert drawn_after(watched, page.get_by_role("button", name="Show its answer").click)
    assert "Beta" not in page.locator(".gd").inner_text()
    assert drawn_after(watched, page.get_by_role("button", name="Tell me what is wrong").click)
    assert "Beta run: overfitting\nCure: Stop early." in page.locator(".gd-case").inner_text()
    assert "It was: overfitting. Solved 1 of 3" in said(page)  # told, it does not count
    assert not cure.is_visible()  # there is no cured run of it
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("() => document.querySelector('.gd').dataset.case === '0'")
    assert "Solved 0 of 3" in said(page)
    assert page.locator(".gd-case").inner_text() == "" and menu.input_value() == ""
    assert watched.wrong == []


def test_a_quiz_is_played_by_keyboard_on_a_phone(alone):
    watched = alone(quiz(), width=390)
    page = watched.page
    page.locator(".gd select").focus()
    page.keyboard.type("rate")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.gd').dataset.solved === '1'")
    assert "1 at first sight" in said(page)
    page.locator(".gd-button", has_text="Next case").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.gd').dataset.case !== '0'")
    assert watched.sideways() <= 0
    assert watched.wrong == []


@pytest.mark.parametrize("name", MAKERS)
def test_light_dark_narrow_and_chinese(alone, name):
    for watched, language in in_each_view(alone, MAKERS[name]):
        page = watched.page
        if name == "quiz":
            page.locator(".gd select").select_option("overfitting")
            page.locator(".gd-button").nth(0).click()
            for _ in range(5):  # until it is told
                page.locator(".gd-button").nth(1).click()
                watched.settle()
        page.locator("summary").click()
        watched.settle()
        page.locator("summary").click()
        words = page.locator("body").inner_text()
        chinese = ("问题出在哪里？", "治好之后", "病例") if name == "quiz" else ("跳到最好的设置", "步")
        assert all(word in words for word in chinese) == (language == "zh-CN")
        if language == "zh-CN":
            english = (
                "setting",
                "step",
                "loss",
                "run ",
                "What",
                "Show",
                "cure",
                "Solved",
                "guess",
                "wrong",
                "Look",
                "Best",
                "bits",
            )
            assert [word for word in english if word in words] == []


@pytest.mark.parametrize("name", MAKERS)
def test_it_works_by_keyboard_alone(alone, name):
    watched = alone(MAKERS[name]())
    page, reached = watched.page, set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("(e => e.type === 'range' ? 'slider' : e.className || e.tagName)(document.activeElement)")
        )
    wanted = {"SELECT", "SUMMARY"} if name != "curves" else {"SUMMARY"}
    wanted |= {"gd-text"} if name == "texts" else set()
    wanted |= {"CANVAS"} if name in BEST else set()
    assert wanted | {"gd-button"} <= reached
    assert any("slider" in place for place in reached)
