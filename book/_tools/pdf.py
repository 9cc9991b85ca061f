"""The whole book as one PDF: the built pages, one after the other, printed by a Chromium. `make pdf`.

The pages are joined before they are printed, not after, so that a link to another chapter is a link within the PDF, and its
contents list comes from all headings.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from bs4 import BeautifulSoup, Tag

SITE = Path(__file__).parents[2] / "_build" / "html"
PDF = SITE / "training-large-models.pdf"
CHROMIUMS = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NOT_ON_PAPER = "script, .headerlink, .prev-next-footer, .gd-letters, button, details.hide"  # the last: folded code
PAPER = """@page { size: A4; margin: 18mm 16mm; } html { font-size: 78%; } body { background: white; }
.gd-chapter { break-before: page; } .gd-chapter h1 { display: block !important; }
.bd-main, .bd-content { display: block !important; max-width: none; }
.gd-chapter * { content-visibility: visible !important; } pre { white-space: pre-wrap !important; }"""


def pages() -> list[str]:
    """The pages in the order of the book: the front page, and what the contents beside it list."""
    index = BeautifulSoup((SITE / "index.html").read_text(encoding="utf-8"), "html.parser")
    listed = [link["href"] for link in index.select("nav.bd-links a.reference.internal") if link["href"] != "#"]
    return list(dict.fromkeys(["index.html", *listed]))


def name(page: str, anchor: str = "") -> str:
    """The anchor, in the joined document, of a page or of a place on it."""
    return re.sub(r"\W+", "-", page.removesuffix(".html")) + (f"--{anchor}" if anchor else "")


def chapter(page: str, every: list[str]) -> Tag:
    """The text of a page, its anchors made unlike those of other pages, its links pointing to them."""
    soup = BeautifulSoup((SITE / page).read_text(encoding="utf-8"), "html.parser")
    article = soup.select_one("article.bd-article")
    for element in article.select(NOT_ON_PAPER):
        element.decompose()
    for element in article.select("[id]"):
        element["id"] = name(page, element["id"])
    for details in article.select("details"):
        details["open"] = ""
    for image in article.select("img[src]"):
        image["src"] = urljoin(page, image["src"])
        image["loading"] = "eager"
    for link in article.select("a[href]"):
        target = urlsplit(urljoin(page, link["href"]))
        if not target.scheme and target.path in every:
            link["href"] = "#" + name(target.path, unquote(target.fragment))
    article.name, article["id"], article["class"] = "section", name(page), [*article["class"], "gd-chapter"]
    return article


def joined(every: list[str]) -> str:
    """The pages as one document, with the styles of the site."""
    index = BeautifulSoup((SITE / "index.html").read_text(encoding="utf-8"), "html.parser")
    styles = "".join(str(link) for link in index.select('head link[rel="stylesheet"], head style'))
    text = "\n".join(str(chapter(page, every)) for page in every)
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{index.title.string}</title>{styles}<style>{PAPER}</style></head>"
        f'<body><main class="bd-main"><div class="bd-content">{text}</div></main></body></html>'
    )


def print_pages(every: list[str], pdf: Path, chromium: str) -> None:
    """Write the pages as a PDF, or say what Chromium said."""
    book = SITE / "print.html"  # beside the pages, for its pictures and styles are named from there
    book.write_text(joined(every), encoding="utf-8")
    try:
        with tempfile.TemporaryDirectory() as profile:
            flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
            flags += ["--no-pdf-header-footer", "--generate-pdf-document-outline", f"--print-to-pdf={pdf}"]
            run = subprocess.run([chromium, *flags, book.as_uri()], capture_output=True, text=True, check=False)
    finally:
        book.unlink()
    if run.returncode or not pdf.exists():
        raise RuntimeError(f"Chromium printed nothing:\n{run.stderr}")


def main() -> int:
    chromium = next((found for found in map(shutil.which, filter(None, CHROMIUMS)) if found), None)
    if not chromium:
        print("No Chromium: install one (Debian's or Ubuntu's package chromium), or name it in $CHROMIUM.")
        return 1
    print_pages(pages(), PDF, chromium)
    print(f"{PDF} ({PDF.stat().st_size / 1e6:.0f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
