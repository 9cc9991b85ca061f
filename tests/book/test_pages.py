"""Every page of the built site in a real browser, with no way out: whole, quiet, and alive where it has a widget."""

import json
import re

import pytest
from conftest import LIVE, PAGES, SITE, Watched, drawn_after, redraw_time, slowness, time_to_first_draw

WIDGET = ".gd canvas"
WAYS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


def settle(watched: Watched) -> None:
    """Wait until the widgets have drawn and the page has stopped loading."""
    watched.page.wait_for_load_state("networkidle")
    if watched.page.locator("script[type='application/vnd.jupyter.widget-view+json']").count():
        watched.page.wait_for_selector(WIDGET)
        watched.page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0")
    formulas = "document.querySelectorAll('.math').length"
    watched.page.wait_for_function(
        f"() => document.querySelectorAll('mjx-container').length >= {formulas}", timeout=60_000
    )


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("theme", "width"), WAYS, ids=[f"{theme}-{width}" for theme, width in WAYS])
def test_page_is_whole_and_quiet(visit, path, theme, width):
    watched = visit(path, theme, width)
    settle(watched)
    page = watched.page
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{path} scrolls sideways by {wide} px at {width} px"
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
    assert not broken
    unnamed = page.evaluate("[...document.querySelectorAll('article img')].filter(i => !i.alt.trim()).map(i => i.src)")
    assert not unnamed, "pictures without a text for those who cannot see them"
    assert watched.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_first_visit_is_quiet_and_follows_the_readers_system(browser, base, scheme):
    context = browser.new_context(color_scheme=scheme)
    watched = Watched(context, base)
    page = watched.open(base + "index.html")
    settle(watched)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert watched.wrong == []
    context.close()


def test_every_page_with_a_widget_was_found():
    assert "index.html" in LIVE
    assert len(LIVE) >= 6


@pytest.mark.parametrize("path", PAGES)
def test_links_within_the_site_lead_somewhere(path):
    html = (SITE / path).read_text(encoding="utf-8")
    links = re.findall(r'<a[^>]* href="([^"#?]+)(?:#[^"]*)?"', html) + re.findall(r'<img[^>]* src="([^"#?]+)', html)
    for href in links:
        if not re.match(r"[a-z]+:", href):
            assert ((SITE / path).parent / href).exists(), f"{path} links to {href}"


@pytest.mark.parametrize("path", LIVE)
def test_first_widget_is_there_soon(browser, base, path):
    times = []
    while len(times) < 8 and min(times, default=9999) >= 1500:  # the best says what the page can do
        times.append(time_to_first_draw(browser, base + path) / slowness())
    assert min(times) < 2000, f"1.5 s is wanted, a third is left to the machine's other tenants; ms: {times}"


@pytest.mark.parametrize("path", LIVE)
def test_every_control_changes_what_is_drawn(visit, path):
    watched = visit(path)
    settle(watched)
    page = watched.page
    handles = page.locator(".noUi-handle")
    assert handles.count() >= 1
    for i in range(handles.count()):
        handle = handles.nth(i)
        moved = drawn_after(watched, lambda h=handle: [h.press("ArrowRight") for _ in range(2)])
        assert moved or drawn_after(watched, lambda h=handle: [h.press("ArrowLeft") for _ in range(4)]), f"slider {i}"
    for menu in page.locator(".gd select").all():
        values = [option.get_attribute("value") for option in menu.locator("option").all()]
        other = next(value for value in values if value != menu.input_value())
        assert drawn_after(watched, lambda m=menu, v=other: m.select_option(v)), f"menu {values}"
    for name in ("Best setting", "Text's setting", "20 tokens a parameter"):
        for button in page.get_by_role("button", name=name).all():
            page.locator(".noUi-handle").first.press("ArrowLeft")
            if name != "20 tokens a parameter":  # which acts on the ratio of the two
                handles.nth(min(1, handles.count() - 1)).press("ArrowLeft")
            page.wait_for_timeout(200)
            assert drawn_after(watched, button.click) or name == "Best setting", name
    assert watched.wrong == []


@pytest.mark.parametrize("path", LIVE)
def test_it_works_by_keyboard_alone(visit, path):
    watched = visit(path, width=390)
    settle(watched)
    page = watched.page
    reached = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(() => { const e = document.activeElement;"
                " return e.closest('.jupyter-widgets') ? (e.className || e.tagName) + e.textContent.slice(0, 20) : ''; })()"
            )
        )
        if len(reached) > 20:
            break
    text = " ".join(reached)
    assert "noUi-handle" in text
    assert "gd-button" in text


@pytest.mark.parametrize("path", LIVE)
def test_redraws_within_a_frame(visit, path):
    watched = visit(path)
    settle(watched)
    page = watched.page
    keys = ["ArrowLeft"] * 15 + ["ArrowRight"] * 30 + ["ArrowLeft"] * 15
    assert redraw_time(page, [page.locator(".noUi-handle").first], keys, more_than=5) < 16 * slowness()


@pytest.mark.parametrize("path", LIVE)
def test_widgets_start_where_the_text_does(visit, path):
    """The first state is the text's own: going back to it from the start changes nothing."""
    watched = visit(path)
    settle(watched)
    for button in watched.page.get_by_role("button", name="Text's setting").all():
        assert not drawn_after(watched, button.click)


@pytest.mark.parametrize("path", LIVE)
def test_a_widget_carries_at_most_300_kb(path):
    html = (SITE / path).read_text(encoding="utf-8")
    (state,) = re.findall(r'<script type="application/vnd.jupyter.widget-state\+json">(.*?)</script>', html, re.S)
    for model in json.loads(state)["state"].values():
        assert len(json.dumps(model)) < 300_000
