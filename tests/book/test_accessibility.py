"""What is said of the pages to readers with an assistive device. That axe-core finds nothing serious on any page, in either theme, is asked
in the one visit of a page (test_pages.py)."""

import re

from axe import FOR_THE_EYE, coloured, serious
from visiting import LIVE, PAGES, ROOT

NAMED = """([role, name]) => {
  const words = (e) => e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.alt ?? e.textContent;
  const of = {slider: 'input[type=range], [role=slider]', picture: 'img, [role=img]', formula: 'math', disclosure: 'summary'};
  const value = (e) => e.hasAttribute('aria-valuetext') ? `: ${e.getAttribute('aria-valuetext')}` : '';
  return [...document.querySelectorAll(of[role])].some((e) => (words(e).replace(/\\s+/g, ' ') + value(e)).includes(name));
}"""


def test_the_table_of_what_is_read_out_is_true(visit):
    """The examples in the page about the book are what elements of the pages it names are called."""
    text = (ROOT / "book" / "appendix" / "about.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+? \| (\w+) \*(.+?)\* \| \[.+?\]\(\.\./(.+?)\.(?:ipynb|md)\) \|$", text, re.M)
    assert {role for role, *_ in rows} == {"slider", "picture", "formula", "disclosure"}
    for role, name, path in rows:
        page = visit(f"{path}.html").page
        page.wait_for_function(f"(wanted) => ({NAMED})(wanted)", arg=[role, name], timeout=120_000)


def test_code_has_contrast(visit):
    """On the page with most colours; elsewhere code is left out, for it is thousands of words in the same dozen."""
    watched = visit(max(PAGES, key=coloured), "light")
    watched.page.wait_for_load_state("networkidle")
    found = serious(watched, FOR_THE_EYE, ["color-contrast"])
    watched.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    found += serious(watched, FOR_THE_EYE, ["color-contrast"])
    assert not found, "\n".join([f"{len(found)} findings", *found[:20]])


def test_who_asks_for_less_motion_gets_none(visit):
    page = visit(LIVE[0]).page
    page.wait_for_load_state("networkidle")
    moving = """[...document.querySelectorAll('*')].filter((e) => {
        const s = getComputedStyle(e);
        return Math.max(...`${s.transitionDuration}, ${s.animationDuration}`.split(',').map(parseFloat)) > 0.001
            || s.scrollBehavior === 'smooth';
    }).map((e) => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(moving), "nothing moves for anybody: the test would not notice"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == []
