"""How long a page of the site takes: for tests/benchmarks/pages.py, and whoever holds a page to a budget."""

import time

from playwright.sync_api import Browser, Locator, Page


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
    page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0", timeout=600_000)
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


def redraw_time(page: Page, handles: list[Locator], keys: list[str], more_than: int) -> float:
    """Milliseconds of a redraw, at the 95th percentile, while each handle is pressed; of ``more_than`` so many redraws."""
    page.evaluate("performance.clearMeasures()")
    for handle in handles:
        for key in keys:
            handle.press(key)
    times = sorted(page.evaluate("performance.getEntriesByName('gdlib draw').map(e => e.duration)"))
    assert len(times) > more_than, f"{len(times)} redraws"
    return times[int(0.95 * len(times))]
