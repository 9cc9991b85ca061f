"""A question on a page without a kernel: by hand, by keyboard, for a screen reader; after a reload, without storage, on paper."""

import json

import numpy as np
import pytest
from axe import AXE
from visiting import SITE, Watched, page_of

from gdlib import widgets
from gdlib.widgets import Question

CHOICES = {"It falls": "Because 0.1 < 2/L.", "It rises": "Only above 2/L.", "It stays": "Only at a minimum."}
STEPS, LOSS = np.arange(100.0), 2 * np.exp(-np.arange(100) / 20)


def choices(**options) -> Question:
    return Question("What does the loss do?", CHOICES, answer="It falls", **options)


def number(**options) -> Question:
    return Question(
        "After how many steps has the loss halved?", number=14, tolerance=1, mistakes={50: "Half of the steps is not half of the loss."},
        reason="20 ln 2 is 13.9.", hint="Solve for the step.", unit="steps", **options,
    )  # fmt: skip


def sketch() -> Question:
    line = 2 - STEPS / 50
    return Question(
        "Draw the loss.", sketch=(STEPS, LOSS), mistakes=[(line, "A straight line: each step falls less.")], reason="By a factor.",
        labels=("step", "loss"), limits=(0, 2.2),
    )  # fmt: skip


def prediction() -> Question:
    return choices(opens=widgets.DescentExplorer(lr=0.21))


MAKERS = {
    "choices": choices, "number": number, "sketch": sketch, "prediction": prediction,
    "marked": lambda: number(curves={"loss": (STEPS, LOSS)}, labels=("step", "loss")),
}  # fmt: skip


def said(page) -> str:
    return " ".join(page.locator(".gd-question .gd-readout").inner_text().split())


def press(watched: Watched, name: str) -> None:
    watched.page.get_by_role("button", name=name).click()
    watched.settle()


def draw_over(page, points: list[tuple[float, float]]) -> None:
    """A stroke over the sketch through points given in steps and loss."""
    box = page.locator(".gd-question canvas").bounding_box()
    right = box["width"] - page.evaluate("document.querySelector('.gd-legend').textContent ? 14 : 90")
    places = [(box["x"] + 58 + x / 99 * (right - 58), box["y"] + 192 - y / 2.2 * 170) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def test_a_choice_is_tried_until_it_is_right(alone):
    watched = alone(choices())
    page = watched.page
    press(watched, "Check")
    assert said(page) == "Choose an answer first."
    page.get_by_role("radio", name="It rises").check()
    press(watched, "Check")
    assert said(page) == "✗ Not “It rises”. Only above 2/L."
    assert "Because" not in page.locator(".gd").inner_text()
    page.get_by_role("radio", name="It falls").check()
    press(watched, "Check")
    assert said(page) == "✓ Right. Because 0.1 < 2/L."
    assert page.get_by_role("button", name="Show the answer").count() == 0
    press(watched, "Answer again")
    assert said(page) == "" and page.locator("input:checked").count() == 0
    press(watched, "Show the answer")
    assert said(page) == "The answer is “It falls”. Because 0.1 < 2/L."
    assert watched.wrong == []


def test_a_number_with_its_mistakes(alone):
    watched = alone(number())
    page, field = watched.page, watched.page.get_by_role("textbox", name="After how many steps has the loss halved?")
    for typed, answer in (
        ("soon", "Write a number first, such as 0.5, 1e-3 or 1/3."),
        ("50", "✗ Not 50 steps. Half of the steps is not half of the loss."),
        ("30", "✗ Not 30 steps. Solve for the step."),
        ("13,5", "✓ Right. The answer is 14 steps. 20 ln 2 is 13.9."),
    ):
        field.fill(typed)
        field.press("Enter")
        watched.settle()
        assert said(page) == answer
    assert watched.wrong == []


def test_a_prediction_opens_its_figure_after_the_first_answer(alone):
    watched = alone(prediction())
    page, figure = watched.page, watched.page.locator(".gd-descent canvas").first
    assert figure.is_hidden()
    assert page.locator(".gd-prediction").bounding_box()["height"] < 300
    page.get_by_role("radio", name="It rises").check()
    press(watched, "This is my prediction")
    assert figure.is_visible()
    assert said(page) == "✗ Not “It rises”. Only above 2/L. The answer is “It falls”. Because 0.1 < 2/L."
    assert page.locator("[data-mark=right]").inner_text().strip() == "It falls"
    assert page.locator("[data-mark=wrong]").inner_text().strip() == "It rises"
    assert page.get_by_role("radio").first.is_disabled()
    press(watched, "Answer again")
    assert figure.is_hidden()
    press(watched, "Show me anyway")
    assert figure.is_visible()
    assert watched.wrong == []


PINK = """() => {
  const canvas = document.querySelector('.gd-question canvas'), { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const columns = new Set();
  for (let k = 0; k < data.length; k += 4) {
    if (Math.abs(data[k] - 184) + Math.abs(data[k + 1] - 53) + Math.abs(data[k + 2] - 127) < 12 && data[k + 3] > 200) columns.add((k / 4) % canvas.width);
  }
  return [...columns].map((x) => x / (canvas.width / canvas.clientWidth));
}"""


def test_the_readers_number_stands_in_the_figure(alone):
    watched = alone(MAKERS["marked"]())
    page = watched.page
    assert page.locator(".gd-question canvas").count() == 0
    page.get_by_role("textbox").fill("80")
    press(watched, "This is my prediction")
    columns = page.evaluate(PINK)
    width = page.locator(".gd-question canvas").bounding_box()["width"]
    assert min(columns) > 0.4 * width and max(columns) < 0.85 * width
    assert watched.wrong == []


def test_a_curve_is_drawn_by_hand_and_held_against_the_measured_one(alone):
    for stroke, answer in (
        (list(zip(STEPS[::9], LOSS[::9])), "✓ Right. By a factor."),
        ([(0, 2), (50, 1), (99, 0.02)], "✗ Not quite. A straight line: each step falls less. By a factor."),
        ([(0, 0.2), (99, 2)], "✗ Not quite. By a factor."),
    ):
        watched = alone(sketch())
        page = watched.page
        press(watched, "This is my prediction")
        assert said(page).startswith("Draw the curve first")
        draw_over(page, stroke)
        watched.settle()
        before = page.evaluate(PINK)
        assert before, "nothing of the reader's curve is drawn"
        press(watched, "This is my prediction")
        assert said(page) == answer
        assert page.evaluate(PINK), "the reader's curve is gone"
        assert watched.wrong == []


@pytest.mark.parametrize("name", MAKERS)
def test_it_is_answered_by_keyboard_alone(alone, name):
    watched = alone(MAKERS[name]())
    page = watched.page
    page.keyboard.press("Tab")
    if name in ("choices", "prediction"):
        page.keyboard.press("Space")
    elif name in ("number", "marked"):
        page.keyboard.type("14")
    else:
        page.keyboard.press("ArrowUp")
        assert "step 0: loss 1.14" in page.locator("canvas").get_attribute("aria-valuetext")
        page.keyboard.press("End")
        for _ in range(20):
            page.keyboard.press("ArrowDown")
        assert page.locator("canvas").get_attribute("aria-valuenow") == "32"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    watched.settle()
    assert said(page).startswith("✗ Not quite" if name == "sketch" else "✓ Right.")
    told = "() => document.querySelector('.gd-status').textContent"
    page.wait_for_function(told)  # a live region, once the page has been quiet
    assert " ".join(page.evaluate(told).split()) == said(page)
    assert page.evaluate("document.activeElement.textContent") == "Answer again"
    assert watched.wrong == []


@pytest.mark.parametrize("name", MAKERS)
def test_it_fits_a_phone_in_both_themes_and_axe_finds_nothing(alone, name):
    for theme, language, width in (("light", "en", 320), ("dark", "zh-CN", 390)):
        watched = alone(MAKERS[name](), theme, language, width)
        page = watched.page
        for opened in (False, True):
            if opened:
                page.locator(".gd-question .gd-button").nth(1).click()
                watched.settle()
            assert watched.sideways() <= 0
            if theme == "light":
                page.evaluate(f"{AXE};0")
                found = "async () => (await axe.run('.gd-question')).violations.map(({id}) => id)"
                assert page.evaluate(found) == []
        words = page.locator(".gd-question .gd-bar").inner_text()
        assert ("重新回答" in words) == (language == "zh-CN")
        assert watched.wrong == []


@pytest.mark.parametrize("name", MAKERS)
def test_an_answer_is_kept_by_page_and_question(alone, name):
    watched = alone(MAKERS[name]())
    page = watched.page
    if name == "sketch":
        draw_over(page, [(0, 2), (99, 1)])
    elif page.get_by_role("textbox").count():
        page.get_by_role("textbox").fill("50")
    else:
        page.get_by_role("radio", name="It stays").check()
    page.locator(".gd-question .gd-button").first.click()
    watched.settle()
    answered = said(page)
    assert answered.startswith("✗")
    page.reload()
    page.wait_for_function("() => document.querySelector('.gd-question')?.dataset.answer === 'wrong'")
    watched.settle()
    assert said(page) == answered
    assert alone(MAKERS[name]()).page.locator(".gd-question").get_attribute("data-answer") == ""  # another page
    assert watched.wrong == []


def test_it_works_where_nothing_may_be_stored_and_what_is_stored_may_be_anything(browser, shelf):
    folder, base = shelf
    (folder / "private.html").write_text(page_of(choices()), encoding="utf-8")
    refuse = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"
    )
    prompt = json.dumps("gdlib /private.html What does the loss do?")
    for script in (
        refuse,
        *(f"localStorage.setItem({prompt}, {json.dumps(v)})" for v in ("{", "7", "[9, true]", '["x", 0]')),
    ):
        context = browser.new_context()
        context.add_init_script(script)
        watched = Watched(context, base)
        page = watched.open(base + "private.html")
        page.get_by_role("radio", name="It falls").check()
        press(watched, "Check")
        assert said(page) == "✓ Right. Because 0.1 < 2/L."
        assert watched.wrong == []
        context.close()


def test_paper_shows_the_question_with_all_its_reasons_and_its_figure(alone):
    watched = alone(prediction())
    page = watched.page
    page.emulate_media(media="print")
    text = page.locator(".gd-question").inner_text()
    for choice, reason in CHOICES.items():
        assert choice in text and reason in text
    assert page.locator(".gd-descent canvas").first.is_visible()
    assert page.locator(".gd-question .gd-bar").is_hidden()


def test_words_are_text_and_nothing_else(alone):
    bad = "<img src=x onerror=\"document.title='broken'\">"
    watched = alone(Question(bad, {bad: bad, "b": "c"}, answer=bad, hint=bad))
    press(watched, "Show the answer")
    assert watched.page.title() != "broken"
    assert watched.page.locator(".gd img").count() == 0
    assert watched.wrong == []


def test_what_was_guessed_in_a_quiz_is_kept(alone):
    from test_snapshot_widgets import quiz

    watched = alone(quiz())
    page = watched.page
    page.locator(".gd select").select_option("rate too high")
    press(watched, "Check")
    page.reload()
    page.wait_for_function("() => document.querySelector('.gd-readout')?.textContent.includes('Solved 1 of 3')")
    assert page.locator(".gd select").input_value() == "rate too high"
    press(watched, "Reset")
    page.reload()
    page.wait_for_function("() => document.querySelector('.gd-readout')?.textContent.includes('Solved 0 of 3')")
    assert watched.wrong == []


def test_pages_carry_code_that_several_widgets_share_once():
    for path in SITE.rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        start = html.find('<script type="application/vnd.jupyter.widget-state+json">')
        if start < 0:
            continue
        text = html[html.index(">", start) + 1 : html.index("</script>", start)]
        codes = [m["state"]["_esm"] for m in json.loads(text)["state"].values() if "_esm" in m["state"]]
        whole = [code for code in codes if isinstance(code, str)]
        assert len(set(whole)) == len(whole), path
