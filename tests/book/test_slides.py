"""The decks of slides: one for each chapter, with its figures, and nothing from other hosts."""

import re
import sys

import nbformat
import pytest
from visiting import ROOT, SITE, Watched

sys.path.insert(0, str(ROOT / "book" / "_tools"))

import slides


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    return folder, slides.write_slides(SITE, folder / "slides")


def test_every_chapter_has_one_with_all_its_figures(decks):
    folder, names = decks
    chapters = [
        p
        for p in (SITE / "_sources").rglob("*.ipynb")
        if "appendix" not in p.parts and p.parent.name + p.stem != "_sourcesindex"
    ]
    assert len(names) == len(chapters) and len(set(names)) == len(names)
    for path in chapters:
        cells = nbformat.read(path, as_version=4).cells
        page = path.relative_to(SITE / "_sources").with_suffix("")
        text = (folder / "slides" / f"{'-'.join(part for part in page.parts if part != 'index')}.html").read_text(
            encoding="utf-8"
        )
        captions = [cell.source for cell in cells if cell.source.startswith("**Fig. ")]
        assert text.count('<img alt="Fig. ') == len(captions)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', re.sub(r'<a href="[^"]*"', "", text))
        assert "<summary>" not in text and "check(" not in text
        assert text.count("<section>") > 2  # a page of one heading


def test_a_deck_opens_and_fits(decks, browser):
    folder, _ = decks
    address = (folder / "slides").as_uri() + "/"
    context = browser.new_context(viewport={"width": 1100, "height": 680})
    watched = Watched(context, address)
    page = watched.open(address + "4-practice-2-schedules.html")
    page.wait_for_function("() => window.Reveal && Reveal.isReady()")
    heights = page.evaluate(
        "() => Reveal.getSlides().map((s) => { const at = Reveal.getIndices(s); Reveal.slide(at.h, at.v || 0); return s.scrollHeight; })"
    )
    assert len(heights) > 10 and max(heights) <= 690
    assert watched.wrong == []
    context.close()
