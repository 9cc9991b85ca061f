"""What a page weighs, what it shows first, and that it fits: a phone, a narrow window, paper."""

import re
from pathlib import Path

import pytest
from visiting import LIVE, PAGES, SITE, Watched

SCRIPTS_AND_STYLES, WHOLE, SHIFT = 550_000, 1_000_000, 0.02
DATA = r'type="application/(?:vnd\.jupyter|ld\+json|json)'
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const e of list.getEntries()) if (!e.hadRecentInput) shifts.push([e.value, e.sources.map((s) => s.node?.outerHTML?.slice(0, 90))]);
}).observe({ type: "layout-shift", buffered: true });
"""
THEMES = """
window.themes = [];
new MutationObserver(() => {
  const { theme } = document.documentElement.dataset;
  if (theme !== themes.at(-1)?.theme) themes.push({ theme, body: Boolean(document.body) });
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-theme"] });
"""
WEIGHT = """() => performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
  .filter((entry) => entry.initiatorType !== "img" && !/\\.(png|svg|jpg)$/.test(entry.name.split("?")[0]))
  .reduce((sum, entry) => sum + entry.decodedBodySize, 0)"""
CUT = """() => [...document.querySelectorAll('.bd-article .cell_output pre')]
  .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent.slice(0, 80))"""
FORMULAS_OUTSIDE = """() => [...document.querySelectorAll('.bd-article .math')]
  .filter((e) => e.checkVisibility() && !e.closest('table') && [...e.querySelectorAll('.katex-base')]
    .some((piece) => piece.getBoundingClientRect().right > innerWidth + 1))
  .map((e) => e.querySelector('annotation').textContent)"""
SMALL_FIGURES = """() => [...document.querySelectorAll('.bd-article :is(.output, figure) > img')]
  .filter((e) => e.checkVisibility() && !e.closest('.widget-first') && e.getBoundingClientRect().width < 560).map((e) => e.src)"""


def text_of(page: str) -> str:
    return (SITE / page).read_text(encoding="utf-8")


def named_in(page: str) -> list[Path]:
    """The scripts and stylesheets that a page names, those for later included."""
    text = text_of(page)
    found = re.findall(r'<script[^>]* src="([^"?]+)', text) + re.findall(
        r'<link[^>]* rel="stylesheet"[^>]* href="([^"?]+)', text
    )
    return [SITE / a.lstrip("/") if a.startswith("/") else (SITE / page).parent / a for a in found]


@pytest.mark.parametrize("path", PAGES)
def test_scripts_and_styles_are_few(path):
    files = [file for file in named_in(path) if file.name != "searchindex.js"]
    inline = re.findall(
        rf"<script(?![^>]* src=)(?![^>]*{DATA})[^>]*>(.*?)</script>|<style[^>]*>(.*?)</style>", text_of(path), re.DOTALL
    )
    total = sum(file.stat().st_size for file in files) + sum(len(part) for pair in inline for part in pair)
    if path in LIVE:
        total += (SITE / "_static" / "host-controls.js").stat().st_size  # for those that need it
    assert total <= SCRIPTS_AND_STYLES


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_there_that_the_page_does_not_need(path):
    text, names = text_of(path), {file.name for file in named_in(path)}
    assert len([name for name in names if name.endswith(".css")]) == 1
    assert ("searchindex.js" in names) == (path == "search.html")
    for unused in ("fontawesome", "MathJax", "require.js", "embed-amd", 'rel="preload"'):
        assert unused not in text
    assert not re.search(r'<(i|span) class="[^"]*\bfa-', text), "an icon that is not drawn"


@pytest.mark.parametrize("path", PAGES)
def test_every_picture_says_its_size(path):
    without = [
        tag for tag in re.findall(r"<img\b[^>]*>", text_of(path)) if not re.search(r' width="\d+" height="\d+"', tag)
    ]
    assert not without


def test_the_site_holds_no_map_and_no_script_of_the_build():
    assert not [*SITE.rglob("*.map"), *SITE.rglob("katex*.js"), *SITE.rglob("fontawesome*.js")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["index.html", "3-algorithms/2-steps.html", "appendix/glossary.html", "search.html"])
def test_light_or_dark_is_settled_before_anything_is_painted(browser, base, path, scheme):
    context = browser.new_context(color_scheme=scheme)
    context.add_init_script(THEMES)
    page = Watched(context, base).open(base + path)
    page.wait_for_load_state("networkidle")
    changes = page.evaluate("themes")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    assert not [change for change in changes if change["body"]], "the theme changed when there was something to see"
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_light_and_stands_still_and_fits(browser, base, path):
    """A first visit, on a phone and at a desk in turn; then narrower, as zoomed to 200 and to 400 %."""
    width = (1280, 390)[PAGES.index(path) % 2]
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.add_init_script(SHIFTS)
    watched = Watched(context, base, width=width)
    page = watched.open(base + path)
    page.wait_for_load_state("networkidle")
    if path in LIVE:
        page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0")
    watched.settle()
    shifts = page.evaluate("shifts")
    assert sum(value for value, _ in shifts) <= SHIFT, shifts
    if path != "search.html":  # which brings the index
        assert page.evaluate(WEIGHT) <= WHOLE
        assert page.evaluate(
            "document.querySelectorAll('.copybtn').length === document.querySelectorAll('div.highlight pre').length"
        )
    for narrow in (640, 390, 320):
        page.set_viewport_size({"width": narrow, "height": 900})
        watched.settle()
        assert watched.sideways() <= 0, f"scrolls sideways at {narrow} px"
        assert not page.evaluate(FORMULAS_OUTSIDE)
        if narrow < 600:
            assert not page.evaluate(CUT)
            assert not page.evaluate(SMALL_FIGURES), "figures whose letters are smaller than 10 px"
    assert watched.wrong == []
    context.close()


def figures_linked() -> list[tuple[str, str]]:
    """Every figure that some page links to: its page and its anchor."""
    found = set()
    for path in PAGES:
        for address, anchor in re.findall(r'<a class="[^"]*reference[^"]*" href="([^"#:]*)#([^"]+)"', text_of(path)):
            target = ((SITE / path).parent / address).resolve() if address else SITE / path
            if target.suffix == ".html" and target.exists():
                page = str(target.relative_to(SITE))
                if re.search(rf'<figure[^>]* id="{re.escape(anchor)}"', text_of(page)):
                    found.add((page, anchor))
    return sorted(found)


@pytest.mark.parametrize(("path", "anchor"), figures_linked())
def test_a_link_to_a_figure_lands_on_it(visit, path, anchor):
    watched = visit(f"{path}#{anchor}")
    watched.page.wait_for_load_state("networkidle")
    watched.settle()
    top = watched.page.evaluate("id => document.getElementById(id).getBoundingClientRect().top", anchor)
    assert 0 <= top <= 200


@pytest.mark.parametrize("path", ["3-algorithms/2-steps.html", "4-practice/4-one-gpu.html"])
def test_paper_is_light_whole_and_open(browser, base, path):
    context = browser.new_context(color_scheme="dark")
    page = Watched(context, base).open(base + path)
    page.wait_for_load_state("networkidle")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    ink = "getComputedStyle(document.querySelector('.bd-article p')).color.match(/\\d+/g).slice(0, 3).map(Number)"
    paper = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    assert max(page.evaluate(ink)) < 100
    assert min(page.evaluate(paper)) > 240
    closed = "[...document.querySelectorAll('article details:not([open], .hide)')].length"
    cut = "[...document.querySelectorAll('.bd-article pre')].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1).length"
    assert page.evaluate(closed) == 0
    assert page.evaluate(cut) == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(closed) > 0
    context.close()
