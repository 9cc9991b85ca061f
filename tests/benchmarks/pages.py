"""The living pages of the built site against what a reader takes for instant: the first widget drawn, and a redraw; and the first widget
beside that of html-manager, by which pages come alive elsewhere, on a few of them.

The first two as multiples of what a usual machine would take (a loop of Python is timed beside them), the best of a few visits: the machine's
other tenants count as little as they can.

    python tests/benchmarks/pages.py [page ...]
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
import browser
import timing
import visiting
from race import table
from slow_line import PAGES as FEW
from test_host import with_code

FIRST, REDRAW = 500, 16  # milliseconds
KEYS = ["ArrowLeft"] * 15 + ["ArrowRight"] * 30 + ["ArrowLeft"] * 15


def first_draw(running, url: str) -> float:
    """Milliseconds of the best visit; no further one once the limit is met."""
    times = []
    while len(times) < 5 and min(times, default=FIRST) >= FIRST:
        times.append(timing.time_to_first_draw(running, url) / timing.slowness())
    return min(times)


def redraw(running, url: str) -> float:
    """Milliseconds at the 95th percentile of what each widget of the page does while a slider is pressed; 0 where it holds none."""
    times = []
    while len(times) < 3 and min(times, default=REDRAW) >= REDRAW:
        watched = visiting.Watched(running.new_context(), url)
        page = watched.open(url)
        page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0")
        page.wait_for_load_state("networkidle")
        visiting.open_predictions(watched)
        sliders = page.locator(visiting.SLIDERS).all()
        times.append(timing.redraw_time(page, sliders, KEYS, 5) / timing.slowness() if sliders else 0.0)
        page.context.close()
    return min(times)


OTHERS = """<script src="{static}widgets-loader.js"></script><script>
addEventListener("DOMContentLoaded", () => {{
  const read = (kind) => [...document.querySelectorAll(`script[type="application/vnd.jupyter.widget-${{kind}}+json"]`)];
  const state = JSON.parse(read("state")[0].textContent), places = [];
  for (const view of read("view")) {{
    const place = document.createElement("div");
    view.replaceWith(place);
    places.push([place, JSON.parse(view.textContent).model_id]);
  }}
  showWithHtmlManager(state, places);
}});
</script>"""
STATE = re.compile(r'(<script type="application/vnd.jupyter.widget-state\+json">)(.*?)(</script>)', re.S)


@contextmanager
def by_html_manager(path: str) -> Iterator[str]:
    """A page of the site as html-manager brings it to life, beside the page itself while it is needed; its path."""
    html = (visiting.SITE / path).read_text(encoding="utf-8")
    html, hosts = re.subn(
        r'<script defer src="([^"]*_static/)host\.js[^"]*"></script>', lambda m: OTHERS.format(static=m[1]), html
    )
    assert hosts == 1, path
    html = STATE.sub(lambda m: m[1] + json.dumps(with_code(json.loads(m[2]))).replace("</", "<\\/") + m[3], html)
    other = (visiting.SITE / path).with_suffix(".other.html")
    other.write_text(html, encoding="utf-8")
    try:
        yield str(other.relative_to(visiting.SITE))
    finally:
        other.unlink()


def compared(running, base: str, path: str) -> tuple[float, float]:
    """Milliseconds to the first widget, ours and html-manager's: the least of three visits each, in turn."""
    best = [float("inf")] * 2
    with by_html_manager(path) as other:
        for _ in range(3):
            for k, page in enumerate((path, other)):
                best[k] = min(best[k], timing.time_to_first_draw(running, base + page))
    return best[0], best[1]


pages = sys.argv[1:] or visiting.LIVE
assert pages, "no site in _build/html: run make book first"
server = visiting.serve(visiting.SITE)
with sync_playwright() as playwright:
    running = playwright.chromium.launch(executable_path=browser.find(), args=browser.ARGUMENTS)
    found = {}
    for path in tqdm(pages, unit="page"):
        url = f"http://127.0.0.1:{server.server_port}/{path}"
        found[path] = first_draw(running, url), redraw(running, url)
    few = [path for path in pages if path in FEW] or pages[:1]
    beside = {path: compared(running, f"http://127.0.0.1:{server.server_port}/", path) for path in few}
    running.close()
server.shutdown()
draws = [(f"{path}: {first:.0f} ms", FIRST / first, 1.0) for path, (first, _) in found.items()]
redraws = [(f"{path}: {ms:.1f} ms", REDRAW / ms, 1.0) for path, (_, ms) in found.items() if ms]
others = [(f"{path}: {ours:.0f} and {theirs:.0f} ms", theirs / ours, 3.0) for path, (ours, theirs) in beside.items()]
good = [
    table(f"first widget drawn, against {FIRST} ms", draws),
    table("... and against html-manager", others),
    table(f"a redraw, against {REDRAW} ms", redraws),
]
sys.exit(not all(good))
