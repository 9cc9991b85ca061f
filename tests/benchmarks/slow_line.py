"""A page over a slow line: 400 ms to and fro, 400 kbit/s, from a server that compresses. When is its text readable, its first widget alive?"""

import gzip
import http.server
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "book"))

import browser as chromium  # noqa: E402

SITE = ROOT / "_build" / "html"
LATENCY, RATE = 400, 400_000  # milliseconds, bits a second
TEXT, WIDGET = 4.0, 10.0  # seconds wanted
PAGES = ("index.html", "3-algorithms/2-steps.html")
ALIVE = "() => performance.getEntriesByName('gdlib draw').length > 0"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
DRAWN = "performance.getEntriesByName('gdlib draw')[0].startTime / 1000"


class Compressing(http.server.SimpleHTTPRequestHandler):
    """Sends text as servers of pages do: compressed, over connections that stay."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path))
        if file.is_dir() or not file.exists():
            self.send_error(404)
            return
        body, kind = file.read_bytes(), self.guess_type(str(file))
        small = kind.startswith("text/") or "javascript" in kind or "json" in kind or "svg" in kind
        body = gzip.compress(body, 6) if small else body
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if small:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *args) -> None:
        pass  # a visitor who has seen enough hangs up


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = Server(("127.0.0.1", 0), lambda *a: Compressing(*a, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def first_visit(browser: Browser, url: str) -> tuple[float, float]:
    """Seconds until something can be read, and until the first widget has drawn."""
    context = browser.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    conditions = {"offline": False, "latency": LATENCY, "downloadThroughput": RATE / 8, "uploadThroughput": RATE / 8}
    session.send("Network.emulateNetworkConditions", conditions)
    page.goto(url, wait_until="commit", timeout=600_000)
    page.wait_for_function(ALIVE, timeout=600_000)
    times = page.evaluate(PAINT), page.evaluate(DRAWN)
    context.close()
    return times


def main(site: Path, rounds: int = 3) -> int:
    failed = 0
    with sync_playwright() as playwright, served(site) as base:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
        for path in PAGES:
            times = [first_visit(browser, base + path) for _ in range(rounds)]
            text, widget = (min(column) for column in zip(*times))
            failed |= text > TEXT or widget > WIDGET
            print(
                f"{path}: text after {text:.1f} s (wanted {TEXT:.0f}), first widget after {widget:.1f} s (wanted {WIDGET:.0f})"
            )
        browser.close()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else SITE))
