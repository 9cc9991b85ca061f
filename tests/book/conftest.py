"""The built site, served from its folder, and a browser that can reach nothing else."""

import functools
import http.server
import json
import sys
import threading
import time
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
LIVE = [page for page in PAGES if "widget-view+json" in (SITE / page).read_text(encoding="utf-8")]


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


class Watched:
    """A page that remembers what went wrong on it, and lets no request out."""

    def __init__(self, context: BrowserContext, base: str):
        self.page: Page = context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        self.page.on(
            "console",
            lambda m: self.wrong.append(f"console error: {m.text} {m.location}") if m.type == "error" else None,
        )
        self.page.on("response", lambda r: self.wrong.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        self.page.route("**/*", functools.partial(self._only, base))

    def _only(self, base: str, route) -> None:
        if route.request.url.startswith((base, "data:", "blob:")):
            route.continue_()
        else:
            self.wrong.append(f"request to another host: {route.request.url}")
            route.abort()

    def open(self, url: str) -> Page:
        self.page.goto(url)
        return self.page


def slowness() -> float:
    """How many times slower this machine is now than a usual one, on which two million turns of a loop take 0.1 s; at least 1."""
    times = []
    for _ in range(5):
        began, total = time.perf_counter(), 0
        for i in range(2_000_000):
            total += i
        times.append(time.perf_counter() - began)
    return max(1.0, sorted(times)[2] / 0.1)


def time_to_first_draw(browser: Browser, url: str) -> float:
    """Milliseconds from a first visit to the first widget's drawing, less those in which the page had work but no core to do it on.

    The tests' machine has two cores for the browser's dozen threads, the server, and its other tenants; a reader's has more.
    """
    context = browser.new_context()
    page = context.new_page()
    page.goto("about:blank")
    session, events, ended = context.new_cdp_session(page), [], []
    session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    session.on("Tracing.tracingComplete", lambda data: ended.append(data))
    traced = {"includedCategories": ["toplevel", "blink.user_timing"]}
    session.send("Tracing.start", {"transferMode": "ReportEvents", "traceConfig": traced})
    page.goto(url)
    page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0", timeout=60_000)
    drawn = page.evaluate("performance.getEntriesByName('gdlib draw')[0].startTime")
    session.send("Tracing.end")
    while not ended:
        page.wait_for_timeout(50)
    context.close()
    start = max((event for event in events if event["name"] == "navigationStart"), key=lambda event: event["ts"])
    thread, begin = (start["pid"], start["tid"]), start["ts"]
    tasks = [event for event in events if event["ph"] == "X" and (event["pid"], event["tid"]) == thread]
    waiting, free = 0, begin  # microseconds; when the outermost task so far ends
    for task in sorted(tasks, key=lambda task: task["ts"]):
        if free <= task["ts"] < begin + drawn * 1000:
            waiting += task["dur"] - task.get("tdur", task["dur"])  # by the clock, and by the thread's own
            free = task["ts"] + task["dur"]
    return drawn - waiting / 1000


PIXELS = "() => [...document.querySelectorAll('.gd canvas')].map(c => c.toDataURL()).join()"


def drawn_after(watched: Watched, act) -> bool:
    """Whether ``act()`` changes what the widgets show: their pictures, or what they say."""

    def look():
        return watched.page.evaluate(PIXELS), watched.page.locator(".gd").all_inner_texts()

    before = look()
    act()
    for _ in range(20):
        watched.page.wait_for_timeout(50)
        if look() != before:
            return True
    return False


@pytest.fixture
def visit(browser: Browser, base: str):
    """``visit(path, theme="light", width=1280)`` opens a page of the site and returns it as a `Watched`."""
    contexts = []

    def opened(path: str, theme: str = "light", width: int = 1280) -> Watched:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}))
        contexts[-1].add_init_script(
            f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
        )
        watched = Watched(contexts[-1], base)
        watched.open(base + path)
        return watched

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def page(browser) -> Page:
    page = browser.new_page()
    page.set_content("<p>a page with nothing on it</p>")
    return page


def call(page: Page, module: str, expression: str, argument: object) -> object:
    """The value of ``expression`` in the browser, with ``module``'s functions as ``m`` and ``argument`` as ``a``."""
    script = (
        "async ([source, a]) => { const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));"
        f" const m = await import(url); return {expression}; }}"
    )
    return page.evaluate(script, [module, argument])


def page_of(widget: Widget, theme: str = "light", language: str = "en") -> str:
    """A page with one widget and no kernel, for a folder in which ``_static`` is the book's."""
    state = dependency_state([widget], drop_defaults=False)
    data = embed_data(views=[widget], state=state, drop_defaults=False)
    back = "#ffffff" if theme == "light" else "#14181e"
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="_static/book.css"><script src="_static/vendor/requirejs/require.js"></script>'
        '<script src="_static/widgets-loader.js"></script><script src="_static/vendor/html-manager/embed-amd.js"></script>'
        f'</head><body style="background: {back}"><div><script type="application/vnd.jupyter.widget-view+json">'
        f"{json.dumps(data['view_specs'][0])}</script></div>"
        f'<script type="application/vnd.jupyter.widget-state+json">{json.dumps(data["manager_state"])}</script></body></html>'
    )


@pytest.fixture
def alone(browser: Browser, tmp_path: Path):
    """``alone(widget, theme="light", language="en", width=1280)`` shows a widget on a page of its own, as a `Watched`."""
    (tmp_path / "_static").symlink_to(ROOT / "book" / "_static")
    server, contexts = serve(tmp_path), []

    def opened(widget: Widget, theme: str = "light", language: str = "en", width: int = 1280) -> Watched:
        (tmp_path / "index.html").write_text(page_of(widget, theme, language), encoding="utf-8")
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}))
        base = f"http://127.0.0.1:{server.server_port}/"
        watched = Watched(contexts[-1], base)
        watched.open(base + "index.html")
        watched.page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0")
        watched.page.wait_for_load_state("networkidle")
        return watched

    yield opened
    for context in contexts:
        context.close()
    server.shutdown()


def in_each_view(alone, make) -> Iterator[tuple[Watched, str]]:
    """The widget of ``make()`` and the page's language: in light, in dark, and in Chinese in the dark on a phone.

    Each time it draws another picture, stays within the width, and nothing goes wrong.
    """
    pictures = set()
    for theme, language, width in (("light", "en", 1280), ("dark", "en", 1280), ("dark", "zh-CN", 390)):
        watched = alone(make(), theme, language, width)
        pictures.add(watched.page.evaluate("document.querySelector('.gd canvas').toDataURL()"))
        yield watched, language
        wide = watched.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"scrolls sideways by {wide} px at {width} px"
        assert watched.wrong == []
    assert len(pictures) == 3


def redraw_time(page: Page, handles: list[Locator], keys: list[str], more_than: int) -> float:
    """Milliseconds of a redraw, at the 95th percentile, while each handle is pressed; of ``more_than`` so many redraws."""
    page.evaluate("performance.clearMeasures()")
    for handle in handles:
        for key in keys:
            handle.press(key)
    times = sorted(page.evaluate("performance.getEntriesByName('gdlib draw').map(e => e.duration)"))
    assert len(times) > more_than
    return times[int(0.95 * len(times))]
