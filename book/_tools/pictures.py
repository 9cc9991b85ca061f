"""Take the first picture of each widget: for paper, for a page before or without its scripts, for a notebook on a code host.

It is made by the page's own host and styles in the Chromium of the tests, in the light theme, at the width of a page's column, and stored as
``image/png`` beside the widget's view. A question's picture has its answer in it, and is folded away on the page. What it shows is told by the hash of the widgets' state beside it: as long as that is the same,
the picture stays, for another machine's letters would make another one.
"""

import base64
import hashlib
import importlib.util
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat

BOOK = Path(__file__).parents[1]
STATE, VIEW, PICTURE = (
    "application/vnd.jupyter.widget-state+json",
    "application/vnd.jupyter.widget-view+json",
    "image/png",
)
WIDE, NARROW = 688, 358
"""Pixels of a page's column in a window of 1280 and of 390."""
COLOURS, LARGEST, SCALE = (48, 24, 12), 38_000, 1.5
PAGE = """<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8">{styles}
<script defer src="{static}/host.js"></script></head><body><div class="bd-content"><article class="bd-article" style="padding: 0"><section>
<div class="cell"><div class="cell_output"><script type="{view_type}">{view}</script></div></div></section></article></div>
<script type="{state_type}">{state}</script></body></html>"""
DRAWN_AGAIN = (
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done))))"
)
DRAWN = (
    "() => document.querySelector('[data-drawn] [role=alert]') || performance.getEntriesByName('gdlib draw').length > 0"
)


def views(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    """The outputs of ``notebook`` that show a widget."""
    for cell in notebook.cells:
        yield from (output for output in cell.get("outputs", []) if VIEW in output.get("data", {}))


def hash_of(notebook: nbformat.NotebookNode, view: dict) -> str:
    """What the picture of ``view`` shows: the state without the code that draws it."""
    state = {
        key: value | {"state": {name: v for name, v in value["state"].items() if name not in ("_esm", "_css")}}
        for key, value in notebook.metadata.widgets[STATE]["state"].items()
    }
    return hashlib.sha256(json.dumps([view["model_id"], state], sort_keys=True).encode()).hexdigest()[:16]


def stored(notebook: nbformat.NotebookNode) -> dict[str, tuple[str, dict]]:
    """The pictures that ``notebook`` has, by what they show."""
    with_picture = (output for output in views(notebook) if PICTURE in output.data)
    return {output.metadata.widget["of"]: (output.data[PICTURE], output.metadata) for output in with_picture}


def put(notebook: nbformat.NotebookNode, known: dict[str, tuple[str, dict]]) -> None:
    """Put beside each view of ``notebook`` its picture: one of the ``known`` if it still shows the state, else a new one."""
    for output in views(notebook):
        of = hash_of(notebook, output.data[VIEW])
        output.data[PICTURE], output.metadata = known.get(of) or take(
            notebook.metadata.widgets[STATE], output.data[VIEW], of
        )


def take(state: dict, view: dict, of: str) -> tuple[str, dict]:
    """The picture of a view, in base64, and what is said of it: its size, its height in a phone's column, its text."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "index.html"
        path.write_text(page_of(state, view), encoding="utf-8")
        chromium = _chromium()
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDE, "height": 900}, device_scale_factor=SCALE)
        page.goto(path.as_uri())
        page.wait_for_function(DRAWN)
        widget, skip = page.locator(".widget-subarea"), page.locator(".gd-question .gd-button").nth(1)
        heights = []
        for width in (NARROW, WIDE):
            page.set_viewport_size({"width": width, "height": 900})
            page.evaluate(DRAWN_AGAIN)
            heights.insert(0, round(widget.bounding_box()["height"]))
        is_question = skip.count() > 0
        if is_question:
            skip.click()
            page.mouse.move(0, 0)
            page.evaluate(DRAWN_AGAIN)
        readout = page.locator(".gd-readout").first
        words = " ".join(readout.inner_text().split()) if readout.count() else ""
        shot = Image.open(io.BytesIO(widget.screenshot())).convert("RGB")
        browser.close()
    for colours, share in [*((colours, 1.0) for colours in COLOURS), (COLOURS[-1], 0.7)]:  # at last, fewer pixels
        small = io.BytesIO()
        shot = shot.resize([round(share * side) for side in shot.size]) if share < 1 else shot
        shot.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            small, "png", optimize=True
        )
        if small.tell() <= LARGEST:
            break
    shown = "The question and its answer." if is_question else "The widget as it starts."
    about = {"alt": f"{shown} {words}".strip(), "narrow": heights[1], "of": of}
    size = {"width": WIDE, "height": heights[0]}  # of a question: before its answer
    return base64.b64encode(small.getvalue()).decode() + "\n", nbformat.from_dict({PICTURE: size, "widget": about})


def page_of(state: dict, view: dict) -> str:
    """A page with one view, in the styles of the book."""
    themes = [
        Path(importlib.util.find_spec(name).origin).parent for name in ("pydata_sphinx_theme", "sphinx_book_theme")
    ]
    files = [*(path for theme in themes for path in sorted(theme.glob("theme/*/static/styles/*.css"), reverse=True))]
    files += sorted((BOOK / "_static").glob("*.css"))
    return PAGE.format(
        styles="".join(f'<link rel="stylesheet" href="{path.as_uri()}">' for path in files),
        static=(BOOK / "_static").as_uri(),
        view_type=VIEW,
        view=json.dumps(view),
        state_type=STATE,
        state=json.dumps(state).replace("</", "<\\/"),
    )


def _chromium():
    """tests/book/browser.py, which knows where a Chromium is."""
    spec = importlib.util.spec_from_file_location("browser", BOOK.parent / "tests" / "book" / "browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
