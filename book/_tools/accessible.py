"""A Sphinx extension that mends, in the pages as they are written, what theme and extensions leave in the way of readers who hear a
page or walk through it by keyboard. `tests/book/test_accessibility.py` says what must hold."""

import re
from pathlib import Path

from sphinx.application import Sphinx

CHEVRON = re.compile(
    r'(<a class="(?:current )?reference internal" href="[^"]*">)((?:(?!</a>).)*)(</a>\s*<details[^>]*>\s*<summary)>',
    re.DOTALL,
)
"""An entry of the contents and the button, a bare arrow, that shows what is in it."""

PLAIN = [
    # A label that hides the words one reads: "Show code cell source" was announced as "Toggle hidden content".
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    # The list of references: its entries are list items, not the deprecated doc-biblioentry.
    (
        re.compile(r'<div class="citation" id="([^"]*)" role="doc-biblioentry">'),
        r'<div class="citation" id="\1" role="listitem">',
    ),
    # The button shows "Search" and the keys for it; its label named only the first. Its text is label enough.
    (re.compile(r'(<button class="btn search-button-field[^>]*?) aria-label="Search"'), r"\1"),
    # The light switch: its icons' titles, which become text beside its label, are its tooltip's business.
    (re.compile(r'(<i class="theme-switch [^>]*?)\s+title="[^"]*"'), r"\1"),
    # Empty corners of tables.
    (re.compile(r'<th( class="[^"]*")?>\s*(?:<p>\s*</p>)?\s*</th>'), r"<td\1></td>"),
    # The book's title above the contents belongs to a landmark: the sidebar is one.
    (
        re.compile(r'<div id="pst-primary-sidebar" class="([^"]*)">'),
        r'<div id="pst-primary-sidebar" class="\1" role="region" aria-label="Book">',
    ),
]


def mend(html: str) -> str:
    """The page with names where they were missing, and without those that were wrong."""
    html = CHEVRON.sub(lambda m: f'{m[1]}{m[2]}{m[3]} aria-label="Pages of {words(m[2])}">', html)
    for pattern, replacement in PLAIN:
        html = pattern.sub(replacement, html)
    return html


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html)).strip().replace('"', "&quot;")


def mend_pages(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        if "_static" not in page.parts:
            page.write_text(mend(page.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", mend_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
