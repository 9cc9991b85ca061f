"""The built site, served from its folder, and a browser that can reach nothing else."""

import functools
import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ipywidgets import Widget
from ipywidgets.embed import dependency_state, embed_data
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
sys.path.insert(0, str(Path(__file__).parent))

import browser as chromium  # noqa: E402

PAGES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if "_static" not in path.parts)
LIVE = [
    page
    for page in PAGES
    if 'type="application/vnd.jupyter.widget-view+json"' in (SITE / page).read_text(encoding="utf-8")
]
PATIENCE = 600_000
"""Milliseconds that a test waits for a page: a busy machine may need some minutes, and only one that hangs needs more."""
SLIDERS = ".jupyter-widgets input[type=range]"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    """A server of ``folder`` on a free port of this machine, running until its ``shutdown``."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """Address of the served site. The site must have been built: ``make book``."""
    assert PAGES, "no site in _build/html: run make book first"
    server = serve(SITE)
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One reader for all tests, so that scripts come from the cache; what differs is set for each page."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


class Watched:
    """A page that remembers what went wrong on it. No request gets out: the browser knows no other host's address."""

    def __init__(self, context: BrowserContext, base: str, theme: str | None = None, width: int = 1280):
        self.base = base
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.wrong: list[str] = []
        self.page.set_viewport_size({"width": width, "height": 900})
        if theme:
            self.page.add_init_script(
                f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}');"
                "Object.keys(localStorage).filter(k => k.startsWith('gdlib ')).forEach(k => localStorage.removeItem(k))"
            )
        self.page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        self.page.on(
            "console",
            lambda m: self.wrong.append(f"console error: {m.text} {m.location}") if m.type == "error" else None,
        )
        self.page.on("response", lambda r: self.wrong.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        self.page.on("request", self._request)

    def _request(self, request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.wrong.append(f"request to another host: {request.url}")

    def open(self, url: str) -> Page:
        self.page.goto(url)
        return self.page

    def settle(self) -> None:
        """Wait until the widgets have drawn all that the last move asked for: two frames in which none of them draws."""
        self.page.evaluate(QUIET)

    def sideways(self) -> int:
        """How many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


QUIET = """async () => {
  const draws = () => performance.getEntriesByName('gdlib draw').length;
  const frame = () => new Promise(requestAnimationFrame);
  for (let seen = -1, tries = 0; seen !== draws() && tries < 100; tries++) {
    seen = draws();
    await frame();
    await frame();
  }
}"""


PIXELS = "() => [...document.querySelectorAll('.gd canvas')].map(c => c.toDataURL()).join()"


def look(watched: Watched) -> tuple[str, list[str]]:
    """What the widgets show: their pictures, and what they say."""
    watched.settle()
    return watched.page.evaluate(PIXELS), watched.page.locator(".gd").all_inner_texts()


def drawn_after(watched: Watched, act) -> bool:
    """Whether ``act()`` changes what the widgets show."""
    before = look(watched)
    act()
    return look(watched) != before


def open_predictions(watched: Watched) -> None:
    """A widget behind a prediction is reached once the reader has answered, or asked to be shown."""
    while (hidden := watched.page.get_by_role("button", name="Show me anyway")).count():
        hidden.first.click()
        watched.settle()


def choose(menu: Locator, value: str) -> None:
    """Choose from a widget's menu; a quiz's waits for its "Check"."""
    menu.select_option(value)
    widget = menu.locator("xpath=ancestor::*[contains(concat(' ', @class, ' '), ' gd ')][1]")
    if (check := widget.get_by_role("button", name="Check")).count():
        check.click()


@pytest.fixture
def visit(context: BrowserContext, base: str):
    """``visit(path, theme="light", width=1280)`` opens a page of the site and returns it as a `Watched`."""
    opened = []

    def visit(path: str, theme: str = "light", width: int = 1280) -> Watched:
        opened.append(Watched(context, base, theme, width))
        opened[-1].open(base + path)
        return opened[-1]

    yield visit
    for watched in opened:
        watched.page.close()


def page_of(widget: Widget, theme: str = "light", language: str = "en") -> str:
    """A page with one widget and no kernel, for a folder in which ``_static`` is the book's."""
    state = dependency_state([widget], drop_defaults=False)
    data = embed_data(views=[widget], state=state, drop_defaults=False)
    back = "#ffffff" if theme == "light" else "#14181e"
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="_static/host.css"><link rel="stylesheet" href="_static/book.css">'
        '<script defer src="_static/host.js"></script>'
        f'</head><body style="background: {back}"><div><script type="application/vnd.jupyter.widget-view+json">'
        f"{json.dumps(data['view_specs'][0])}</script></div>"
        f'<script type="application/vnd.jupyter.widget-state+json">{json.dumps(data["manager_state"])}</script></body></html>'
    )


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """A served folder for pages that tests make, with the book's ``_static``, and its address."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "_static").symlink_to(ROOT / "book" / "_static")
    server = serve(folder)
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def alone(context: BrowserContext, shelf: tuple[Path, str]):
    """``alone(widget, theme="light", language="en", width=1280)`` shows a widget on a page of its own, as a `Watched`."""
    (folder, base), opened = shelf, []

    def alone(widget: Widget, theme: str = "light", language: str = "en", width: int = 1280) -> Watched:
        name = f"{len(list(folder.iterdir()))}.html"
        (folder / name).write_text(page_of(widget, theme, language), encoding="utf-8")
        opened.append(Watched(context, base, width=width))
        page = opened[-1].open(base + name)
        page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0")
        page.wait_for_load_state("networkidle")
        opened[-1].settle()
        return opened[-1]

    yield alone
    for watched in opened:
        watched.page.close()


def in_each_view(alone, make) -> Iterator[tuple[Watched, str]]:
    """The widget of ``make()`` and the page's language: in light, in dark, and in Chinese in the dark on a phone.

    Each time it draws another picture, stays within the width, and nothing goes wrong.
    """
    pictures = set()
    for theme, language, width in (("light", "en", 1280), ("dark", "en", 1280), ("dark", "zh-CN", 390)):
        watched = alone(make(), theme, language, width)
        pictures.add(watched.page.evaluate("document.querySelector('.gd canvas').toDataURL()"))
        yield watched, language
        assert watched.sideways() <= 0, f"scrolls sideways by {watched.sideways()} px at {width} px"
        assert watched.wrong == []
    assert len(pictures) == 3
