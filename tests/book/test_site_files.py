"""What a site has beside its pages: wheel, zip, the page for lost links, what machines read; and what a public address adds."""

import hashlib
import html
import os
import re
import subprocess
import sys
import zipfile

import pytest
import yaml
from visiting import PAGES, ROOT, SITE, Watched

import gdlib

sys.path.insert(0, str(ROOT / "book" / "_tools"))
import browser as chromium
import pdf

ZIP = SITE / "training-large-models.zip"
GENERATED = {"404.html", "genindex.html", "py-modindex.html", "search.html"}
ADDRESS = "https://somebody.github.io/a-book/"


def test_the_wheel_is_the_library_and_runs_anywhere():
    (wheel,) = SITE.glob("*.whl")
    assert wheel.name == f"gdlib_book-{gdlib.__version__}-py3-none-any.whl"
    kept = {path for path in (ROOT / "gdlib").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        within = {name: archive.read(name) for name in archive.namelist() if name.startswith("gdlib/")}
    assert within == {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in kept}


def test_the_wheel_installs(tmp_path):
    (wheel,) = SITE.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", tmp_path, wheel]
    subprocess.run(install, check=True)
    script = "import gdlib; print(gdlib.__version__, gdlib.__file__)"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "PYTHONPATH": str(tmp_path)
    }
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    assert said.stdout.decode().split() == [gdlib.__version__, str(tmp_path / "gdlib" / "__init__.py")]


def test_the_zip_holds_the_site_and_its_checksum_is_right():
    digest, name = (SITE / f"{ZIP.name}.sha256").read_text(encoding="utf-8").split()
    assert (digest, name) == (hashlib.sha256(ZIP.read_bytes()).hexdigest(), ZIP.name)
    with zipfile.ZipFile(ZIP) as archive:
        assert archive.testzip() is None
        names = {entry.split("/", 1)[1] for entry in archive.namelist()}
    there = {path.relative_to(SITE).as_posix() for path in SITE.rglob("*") if path.is_file()}
    assert names == there - {ZIP.name, f"{ZIP.name}.sha256", f"{ZIP.stem}.pdf"}


def test_the_zip_opens_without_a_server(browser, tmp_path):
    with zipfile.ZipFile(ZIP) as archive:
        archive.extractall(tmp_path)
    folder = f"{tmp_path.as_uri()}/{ZIP.stem}/"
    context = browser.new_context()
    watched = Watched(context, folder)
    page = watched.open(f"{folder}index.html")
    page.wait_for_function("() => performance.getEntriesByName('gdlib draw').length > 0", timeout=120_000)
    page.locator("nav.bd-links a", has_text="Glossary").first.click()
    page.wait_for_url("**/glossary.html")
    assert watched.wrong == []
    context.close()


@pytest.mark.parametrize("address", ["no/such/page.html", "4-practice/nowhere.html"])
def test_a_lost_reader_finds_the_way_back(context, base, address):
    """A server of static sites answers with 404.html at any address."""
    page = context.new_page()
    page.route(f"{base}{address}", lambda route: route.fulfill(path=SITE / "404.html", content_type="text/html"))
    page.goto(base + address)
    assert page.get_by_role("heading", level=1).inner_text().startswith("There is no such page")
    assert page.evaluate("[...document.styleSheets].reduce((sum, sheet) => sum + sheet.cssRules.length, 0)") > 100
    page.get_by_role("link", name="Questions and answers").first.click()
    page.wait_for_url(f"{base}8-questions/index.html*")
    page.close()


def test_the_book_is_printed_as_one_document_whose_links_stay_within_it(tmp_path):
    """All of it joined, a page and the glossary printed: Chromium takes a minute for all."""
    every = pdf.pages()
    assert set(every) == set(PAGES) - GENERATED
    text = pdf.joined(every)
    ids = re.findall(r' id="([^"]+)"', text)
    within = {html.unescape(link) for link in re.findall(r' href="#([^"]+)"', text)}
    assert len(within) > 400
    assert within <= set(map(html.unescape, ids))
    for source in set(re.findall(r'<img[^>]* src="([^"]+)"', text)):
        assert (SITE / source).is_file()
    pdf.print_pages(["8-questions/index.html", "appendix/about.html"], tmp_path / "book.pdf", chromium.find())
    printed = (tmp_path / "book.pdf").read_bytes()
    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") > 5
    assert b"/Outlines" in printed
    assert not (SITE / "print.html").exists()


def test_machines_are_told_what_is_where():
    said = (SITE / "llms.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[(.+)\]\((.+)\): (.+)$", said, re.M)
    assert {page for _, page, _ in listed} == set(PAGES) - GENERATED
    for title, page, text in listed:
        head = (SITE / page).read_text(encoding="utf-8").split("</head>")[0]
        assert f'property="og:title" content="{html.escape(title)}"' in head
        assert f'name="description" content="{html.escape(text)}"' in head


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["cff-version"], citation["version"]) == ("1.2.0", gdlib.__version__)
    assert citation["title"] == yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]


def test_with_an_address_the_site_knows_where_it_is(tmp_path):
    """One setting: here a small site of one page and one picture, built by the same extension."""
    (tmp_path / "conf.py").write_text(
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'book' / '_tools')!r}]\n"
        "extensions = ['myst_parser', 'sphinx_book_theme', 'site_files']\nhtml_theme = 'sphinx_book_theme'\n"
        "html_title = 'A book'\n",
        encoding="utf-8",
    )
    (tmp_path / "index.md").write_text(
        "# A book\n\nWhat it says. Reading: 1 minute.\n\n![Two sliders](picture.png)\n", encoding="utf-8"
    )
    (tmp_path / "picture.png").write_bytes((ROOT / "book" / "_static" / "front-page.png").read_bytes())
    build = [sys.executable, "-m", "sphinx", "-q", "-W", str(tmp_path), str(tmp_path / "html")]
    subprocess.run(build, check=True, env=os.environ | {"BOOK_ADDRESS": ADDRESS.rstrip("/")})
    page = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
    assert f'<link rel="canonical" href="{ADDRESS}index.html"' in page
    assert f'property="og:image" content="{ADDRESS}_images/picture.png"' in page
    assert 'property="og:description" content="What it says."' in page
    assert "https://github.com/somebody/a-book" in page
    assert f"<loc>{ADDRESS}index.html</loc>" in (tmp_path / "html" / "sitemap.xml").read_text(encoding="utf-8")
    lost = (tmp_path / "html" / "404.html").read_text(encoding="utf-8")
    assert 'href="/a-book/index.html"' in lost
    assert f"({ADDRESS}index.html): What it says." in (tmp_path / "html" / "llms.txt").read_text(encoding="utf-8")


def test_the_page_about_the_book_names_its_files():
    text = (SITE / "appendix" / "about.html").read_text(encoding="utf-8")
    assert "@" not in re.sub(r"@software", "", text.split("<article")[1].split("</article>")[0])
    assert gdlib.__version__ in text


def test_without_an_address_none_is_invented():
    assert not (SITE / "sitemap.xml").exists()
    assert "og:image" not in (SITE / "index.html").read_text(encoding="utf-8")
