"""Every page of the built site in a real browser, with no way out: whole, quiet, well said, and alive where it has a widget.

A page is visited once; what is asked of it follows in the order in which one move does not spoil the next. What takes how long is
measured by tests/benchmarks/pages.py: a limit in time would say how busy the machine is.
"""

import json
import re

import pytest
from axe import CODE, FOR_THE_EYE, UNHEARD, serious
from visiting import LIVE, PAGES, SITE, SLIDERS, Watched, choose, drawn_after, look, open_predictions

WAYS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
UNSET = "[...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container, .katex, math')).length"
BUTTONS = ("Reset", "Best setting", "20 tokens a parameter")
OWN_SLIDERS = """(button, sliders) => {
  const all = [...document.querySelectorAll(sliders)];
  return [...button.closest('.widget-vbox').querySelectorAll('input[type=range]')].map(e => all.indexOf(e));
}"""
REACHED = """() => {
  const e = document.activeElement;
  return e.closest('.jupyter-widgets') ? `${e.className} ${e.type ?? ''}` : '';
}"""


def settled(watched: Watched) -> None:
    """Wait until the page has stopped loading, the formulas are set and the widgets have drawn."""
    page = watched.page
    page.wait_for_load_state("networkidle")
    if page.locator("script[type='application/vnd.jupyter.widget-view+json']").count():
        page.wait_for_selector(".gd", state="attached")  # a question's figure waits, unseen, for its answer
        page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0")
    page.wait_for_function(f"() => {UNSET} === 0")
    watched.settle()


def turn(watched: Watched, theme: str, width: int) -> None:
    """What the theme's button and the reader's hand do: another theme, another width."""
    page = watched.page
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("theme => { const d = document.documentElement.dataset; d.mode = d.theme = theme; }", theme)
    watched.settle()


def is_whole(watched: Watched, theme: str, width: int) -> None:
    page = watched.page
    assert watched.sideways() <= 0, f"scrolls sideways by {watched.sideways()} px at {width} px"
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
    assert not broken


def is_said(watched: Watched, theme: str, width: int) -> None:
    """Nothing serious or critical for an assistive device. Of the colours, both themes are asked: they are all that a theme changes.

    Each formula has its MathML, each figure and each widget's picture its words, each slider its name and its value in words.
    """
    if width != 1280:
        return
    found = serious(watched, FOR_THE_EYE + CODE, None if theme == "light" else ["color-contrast"])
    assert not found, "\n".join([f"{theme}: {len(found)} findings", *found[:20]])
    assert theme == "dark" or watched.page.evaluate(UNHEARD) == []


def starts_where_the_text_does(watched: Watched) -> None:
    """The first state is the text's own: going back to it from the start changes nothing."""
    for button in watched.page.get_by_role("button", name="Reset").all():
        assert not drawn_after(watched, button.click), "Reset changes the picture at the start"


def works_by_keyboard_alone(watched: Watched, from_the_top: bool) -> None:
    """Tab reaches sliders and buttons of the page's widgets; from the top of the page, or from just before the first of them."""
    page, reached = watched.page, ""
    wanted = ["gd-button"] + ["range"] * (page.locator(SLIDERS).count() > 0)  # a page may hold questions alone
    if from_the_top:
        page.evaluate(
            "() => { document.activeElement.blur(); getSelection().collapse(document.body, 0); scrollTo(0, 0); }"
        )
    else:
        page.locator(".jupyter-widgets").first.evaluate("""widget => {
          const stops = [...document.querySelectorAll('a[href], button, summary')].filter(e => e.checkVisibility());
          stops.findLast(e => e.compareDocumentPosition(widget) & Node.DOCUMENT_POSITION_FOLLOWING).focus();
        }""")
    for _ in range(400 if from_the_top else 150):
        page.keyboard.press("Tab")
        reached += page.evaluate(REACHED) + "\n"
        if all(name in reached for name in wanted):
            return
    raise AssertionError(f"{wanted}: not all of it among what Tab reaches: {reached.split()}")


def every_control_changes_what_is_drawn(watched: Watched) -> None:
    page = watched.page
    sliders = page.locator(SLIDERS)
    assert sliders.count() or page.locator(".gd-question").count()
    for i in range(sliders.count()):
        assert moved(watched, i), f"slider {i}"
    for fold in page.locator(".gd details:has(select):not([open]) > summary").all():
        fold.click()
    for menu in page.locator(".gd select").all():
        values = [option.get_attribute("value") for option in menu.locator("option").all()]
        other = next(value for value in values if value != menu.input_value())
        assert drawn_after(watched, lambda menu=menu, other=other: choose(menu, other)), f"menu {values}"
    for name in BUTTONS:
        for button in page.get_by_role("button", name=name).all():
            mine = button.evaluate(OWN_SLIDERS, SLIDERS)
            if name != "Best setting":  # which may be what is shown
                button.click()
            assert moved(watched, mine[0])
            if name != "20 tokens a parameter" and len(mine) > 1:  # which acts on the ratio of the two
                moved(watched, mine[1])
            assert drawn_after(watched, button.click) or name == "Best setting", name


def moved(watched: Watched, slider: int) -> bool:
    """Whether two steps up, or four down, of a slider change the picture."""
    handle = watched.page.locator(SLIDERS).nth(slider)
    up, down = (
        (lambda: [handle.press("ArrowRight") for _ in range(2)]),
        (lambda: [handle.press("ArrowLeft") for _ in range(4)]),
    )
    return drawn_after(watched, up) or drawn_after(watched, down)


@pytest.mark.parametrize("path", PAGES)
def test_page_is_whole_quiet_said_and_alive(visit, path):
    """Loaded in one theme and width, each page another, then seen in all four."""
    first = PAGES.index(path) % 4
    watched = visit(path, *WAYS[first])
    settled(watched)
    is_whole(watched, *WAYS[first])
    unnamed = "[...document.querySelectorAll('article img')].filter(i => !i.alt.trim()).map(i => i.src)"
    assert not watched.page.evaluate(unnamed), "pictures without a text for those who cannot see them"
    if path in LIVE:
        open_predictions(watched)
        starts_where_the_text_does(watched)
    for way in WAYS[first + 1 :] + WAYS[:first]:
        turn(watched, *way)
        is_whole(watched, *way)
    if path in LIVE:
        turn(watched, "light", 390)
        works_by_keyboard_alone(watched, from_the_top=path == "index.html")
        turn(watched, "light", 1280)
        every_control_changes_what_is_drawn(watched)
    assert watched.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_first_visit_is_quiet_and_follows_the_readers_system(browser, base, scheme):
    context = browser.new_context(color_scheme=scheme)
    watched = Watched(context, base)
    page = watched.open(base + "index.html")
    settled(watched)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert watched.wrong == []
    context.close()


def test_the_themes_button_changes_pages_and_widgets_and_is_remembered(browser, base):
    context = browser.new_context(color_scheme="light")
    watched = Watched(context, base)
    page = watched.open(base + "index.html")
    settled(watched)
    (light, _), theme = look(watched), "document.documentElement.dataset.theme"
    for _ in range(3):  # automatic, light, dark
        if page.evaluate(theme) != "dark":
            page.locator(".theme-switch-button:visible").first.click()
    assert page.evaluate(theme) == "dark"
    assert look(watched)[0] != light
    page.reload()
    settled(watched)
    assert page.evaluate(theme) == "dark"
    assert watched.wrong == []
    context.close()


def test_every_page_with_a_widget_was_found():
    assert "index.html" in LIVE
    assert len(LIVE) >= 20


@pytest.mark.parametrize("path", PAGES)
def test_links_within_the_site_lead_somewhere(path):
    html = (SITE / path).read_text(encoding="utf-8")
    links = re.findall(r'<a[^>]* href="([^"#?]+)(?:#[^"]*)?"', html) + re.findall(r'<img[^>]* src="([^"#?]+)', html)
    for href in links:
        if not re.match(r"[a-z]+:", href):
            target = SITE / href.lstrip("/") if href.startswith("/") else (SITE / path).parent / href
            assert target.exists(), f"{path} links to {href}"


@pytest.mark.parametrize("path", LIVE)
def test_a_widget_carries_at_most_300_kb(path):
    html = (SITE / path).read_text(encoding="utf-8")
    (state,) = re.findall(r'<script type="application/vnd.jupyter.widget-state\+json">(.*?)</script>', html, re.S)
    for model in json.loads(state)["state"].values():
        assert len(json.dumps(model)) < 300_000
