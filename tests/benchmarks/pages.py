"""The living pages of the built site against what a reader takes for instant: the first widget drawn, and a redraw.

Both as multiples of what a usual machine would take (a loop of Python is timed beside them), the best of a few visits: the machine's
other tenants count as little as they can.

    python tests/benchmarks/pages.py [page ...]
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1] / "book"))
import browser
import conftest
import timing
from race import table

FIRST, REDRAW = 500, 16  # milliseconds
KEYS = ["ArrowLeft"] * 15 + ["ArrowRight"] * 30 + ["ArrowLeft"] * 15


def first_draw(running, url: str) -> float:
    """Milliseconds of the best visit; no further one once the limit is met."""
    times = []
    while len(times) < 5 and min(times, default=FIRST) >= FIRST:
        times.append(timing.time_to_first_draw(running, url) / timing.slowness())
    return min(times)


def redraw(running, url: str) -> float:
    """Milliseconds at the 95th percentile of what each widget of the page does while a slider is pressed."""
    times = []
    while len(times) < 3 and min(times, default=REDRAW) >= REDRAW:
        watched = conftest.Watched(running.new_context(), url)
        page = watched.open(url)
        page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0")
        page.wait_for_load_state("networkidle")
        times.append(timing.redraw_time(page, page.locator(conftest.SLIDERS).all(), KEYS, 5) / timing.slowness())
        page.context.close()
    return min(times)


pages = sys.argv[1:] or conftest.LIVE
assert pages, "no site in _build/html: run make book first"
server = conftest.serve(conftest.SITE)
with sync_playwright() as playwright:
    running = playwright.chromium.launch(executable_path=browser.find(), args=browser.ARGUMENTS)
    found = {}
    for path in tqdm(pages, unit="page"):
        url = f"http://127.0.0.1:{server.server_port}/{path}"
        found[path] = first_draw(running, url), redraw(running, url)
    running.close()
server.shutdown()
draws = [(f"{path}: {first:.0f} ms", FIRST / first, 1.0) for path, (first, _) in found.items()]
redraws = [(f"{path}: {ms:.1f} ms", REDRAW / ms, 1.0) for path, (_, ms) in found.items()]
good = [table(f"first widget drawn, against {FIRST} ms", draws), table(f"a redraw, against {REDRAW} ms", redraws)]
sys.exit(not all(good))
