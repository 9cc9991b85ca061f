"""Nothing serious or critical for readers with an assistive device: axe-core over every page, in both themes, and by hand what it
cannot see."""

import re
from pathlib import Path

import pytest
from conftest import LIVE, PAGES, ROOT, SITE, Watched

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
RUN = """async ([only, exclude]) => {
  const options = {resultTypes: ['violations'], preload: false, iframes: false, ...(only && {runOnly: only})};
  const {violations} = await axe.run({exclude}, options);
  return violations.filter(({impact}) => impact === 'serious' || impact === 'critical')
    .flatMap(({id, nodes}) => nodes.map((node) => `${id}: ${node.target}: ${node.html.slice(0, 160)}`));
}"""
FOR_THE_EYE = [[".katex-html"]]  # each formula's MathML stands beside it
CODE = [
    [".highlight pre"]
]  # thousands of words in the same dozen colours: looked at on one page, which has most of them


UNHEARD = """() => {
  const name = (e) => e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.alt ?? '';
  const bare = (selector, has) => [...document.querySelectorAll(selector)].filter((e) => !has(e)).map((e) => e.outerHTML.slice(0, 160));
  return [
    ...bare('.math', (e) => e.querySelector('math')),
    ...bare('article img', name),
    ...bare('input[type=range], .gd [role=slider]', (e) => name(e) && e.getAttribute('aria-valuetext')),
    ...bare('.gd canvas', name),
    ...bare('details > summary', (e) => e.textContent.trim() || name(e)),
  ];
}"""


def coloured(path: str) -> int:
    html = (SITE / path).read_text(encoding="utf-8")
    return len(set(re.findall(r'<span class="(\w{1,2})">', html)))


def in_both_themes(watched: Watched, exclude: list[list[str]]) -> list[str]:
    page = watched.page
    page.set_default_timeout(120_000)
    page.emulate_media(reduced_motion="reduce")  # colours are there at once
    page.wait_for_load_state("networkidle")
    watched.settle()
    page.evaluate(f"{AXE};0")
    found = page.evaluate(RUN, [None, exclude])
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    watched.settle()
    return found + [f"dark: {one}" for one in page.evaluate(RUN, [["color-contrast"], exclude])]  # all a theme changes


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious_and_all_that_is_shown_is_said(visit, path):
    """Each formula has its MathML, each figure and each widget's picture its words, each slider its name and its value in words."""
    watched = visit(path, "light")
    page = watched.page
    if path in LIVE:
        page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0", timeout=120_000)
    found = in_both_themes(watched, FOR_THE_EYE + CODE)
    assert not found, "\n".join([f"{len(found)} findings", *found[:20]])
    assert page.evaluate(UNHEARD) == []


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
    found = in_both_themes(visit(max(PAGES, key=coloured), "light"), FOR_THE_EYE)
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
