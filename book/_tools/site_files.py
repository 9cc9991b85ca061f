"""A Sphinx extension for the files that a site has beside its pages: the library's wheel, a page for addresses that lead nowhere, what
search engines, previews and language models look for, and all of it in one zip.

The public address of the site is said once, as ``html: baseurl`` in ``_config.yml``, or by ``BOOK_ADDRESS`` in the environment, as
when GitHub Pages says where it will publish. Without it the site is whole, and all but these are there, which need a full address:
``sitemap.xml``, canonical links, pictures of previews.
"""

import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

import gdlib

ROOT = Path(__file__).parents[2]
ZIP = "training-large-models.zip"
WHEEL = f"gdlib_book-{gdlib.__version__}-py3-none-any.whl"
LONG_AGO = (2020, 1, 1, 0, 0, 0)  # the date of every file in the zip: the same site gives the same checksum


def take_address(app: Sphinx, config: Config) -> None:
    """The address, with its slash, and, where it is one of GitHub Pages, the repository behind it."""
    address = os.environ.get("BOOK_ADDRESS") or config.html_baseurl
    config.html_baseurl = address and address.rstrip("/") + "/"
    if repository := repository_of(config.html_baseurl):
        config.html_theme_options |= {
            "repository_url": repository,
            "repository_branch": "notebooks",  # the notebooks that offered.py makes; publish.yml puts them there
            "path_to_docs": "",
            "use_repository_button": True,
        }
        config.html_theme_options["launch_buttons"] = {
            **config.html_theme_options.get("launch_buttons", {}),
            "colab_url": "https://colab.research.google.com",
            "binderhub_url": "https://mybinder.org",
        }


def repository_of(address: str) -> str | None:
    """https://owner.github.io/name/ is published from https://github.com/owner/name."""
    found = re.fullmatch(r"https://([\w-]+)\.github\.io/([\w.-]+)/", address or "")
    return f"https://github.com/{found[1]}/{found[2]}" if found else None


def fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    """The page about the book names this site's own files, and its address; where none is set, the reader's browser shows it."""
    if page == "appendix/about":
        address = app.config.html_baseurl or "ADDRESS-OF-THIS-SITE/"
        names = {"@WHEEL@": WHEEL, "@ZIP@": ZIP, "@VERSION@": gdlib.__version__, "@ADDRESS@": address}
        for name, meant in names.items():
            source[0] = source[0].replace(name, meant)


def summary(doctree: nodes.document) -> str:
    """The first paragraph of a page, without the time that it takes to read."""
    first = next((paragraph.astext() for paragraph in doctree.findall(nodes.paragraph)), "")
    return re.sub(r"\s+", " ", first).split(" Reading: ")[0].strip()


def describe(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """What a preview of the page shows: its title, its first paragraph, its first picture."""
    if doctree is None:
        return
    address, title = app.config.html_baseurl, re.sub(r"<[^>]*>", "", context["title"])
    text = summary(doctree)
    app.env.gd_summaries[page] = (title, text)
    tags = {"og:type": "article", "og:site_name": app.config.html_title, "og:title": title, "og:description": text}
    if address:
        picture = next(iter(doctree.findall(nodes.image)), None)
        file = Path(picture["uri"]).name if picture else None  # under _images by now
        tags |= {
            "og:url": f"{address}{page}.html",
            "og:image": f"{address}_images/{file}" if file else f"{address}_static/front-page.png",
            "og:image:alt": (file and picture.get("alt")) or "Two sliders over the loss curve of a real run",
            "twitter:card": "summary_large_image",
        }
    context["metatags"] += f'<meta name="description" content="{html.escape(text)}"/>'
    context["metatags"] += "".join(f'<meta property="{k}" content="{html.escape(v)}"/>' for k, v in tags.items() if v)


def lost(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """The page for an address that leads nowhere."""
    body = """<section id="lost"><h1>There is no such page</h1>
<p>The address leads nowhere: the page has moved, or the link is wrong. The menu has the contents and the search.</p>
<ul><li><a href="index.html">The front page</a></li><li><a href="appendix/symptoms.html">By symptom: what your run shows</a></li>
<li><a href="8-questions/index.html">Questions and answers</a></li><li><a href="appendix/glossary.html">Glossary</a></li>
<li><a href="appendix/library/index.html">Library reference</a></li></ul></section>"""
    yield "404", {"title": "There is no such page", "body": body, "metatags": ""}, "page.html"


def from_the_root(page: Path, root: str) -> None:
    """A server shows this page at any address, so its links begin at the site's root."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'((?:href|src|action)=")(?![a-z]+:|#|/)(?:\./)?([^"]*")', rf"\1{root}\2", text)
    page.write_text(text.replace('data-content_root="./"', f'data-content_root="{root}"'), encoding="utf-8")


def for_machines(app: Sphinx, out: Path) -> None:
    """``llms.txt``, which tells a language model what is where, and, with an address, ``sitemap.xml``."""
    address, pages = app.config.html_baseurl, list(app.env.collect_relations())
    lines = [f"# {app.config.html_title}", f"> {app.env.gd_summaries[app.config.root_doc][1]}", "## Chapters"]
    for page in pages:
        title, text = app.env.gd_summaries[page]
        if page.startswith("appendix/") and "## Appendix" not in lines:
            lines.append("## Appendix")
        lines.append(f"- [{title}]({address}{page}.html): {text}")
    (out / "llms.txt").write_text("\n\n".join(lines).replace("\n\n- ", "\n- ") + "\n", encoding="utf-8")
    if address:
        urls = "".join(f"<url><loc>{html.escape(address + page)}.html</loc></url>" for page in pages)
        head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        (out / "sitemap.xml").write_text(f"{head}{urls}</urlset>\n", encoding="utf-8")
        (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {address}sitemap.xml\n", encoding="utf-8")


def build_wheel(out: Path) -> None:
    """The library as one file that pip installs, built from a copy so that nothing is left in the tree."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "gdlib", Path(folder) / "gdlib", ignore=shutil.ignore_patterns("__pycache__"))
        script = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
        environment = os.environ | {"SOURCE_DATE_EPOCH": "1577836800"}
        made = subprocess.run(
            [sys.executable, "-c", script, str(out)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(f"the wheel was not built:\n{made.stderr}")


def zip_site(out: Path) -> None:
    """The site as one file, and its checksum as ``sha256sum --check`` reads it."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and not path.name.startswith(Path(ZIP).stem))
    with zipfile.ZipFile(out / ZIP, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(f"{ZIP.removesuffix('.zip')}/{path.relative_to(out).as_posix()}", LONG_AGO)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    digest = hashlib.sha256((out / ZIP).read_bytes()).hexdigest()
    (out / f"{ZIP}.sha256").write_text(f"{digest}  {ZIP}\n", encoding="utf-8")


def write_files(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.name != "html":
        return
    out = Path(app.outdir)
    from_the_root(out / "404.html", urlsplit(app.config.html_baseurl or "").path or "/")
    for_machines(app, out)
    build_wheel(out)
    zip_site(out)


def begin(app: Sphinx) -> None:
    if not hasattr(app.env, "gd_summaries"):
        app.env.gd_summaries = {}


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", take_address, priority=900)  # after the theme's and Jupyter Book's
    app.connect("builder-inited", begin)
    app.connect("source-read", fill_in)
    app.connect("html-page-context", describe)
    app.connect("html-collect-pages", lost)
    app.connect("build-finished", write_files, priority=900)  # after all that changes pages
    return {"parallel_read_safe": False, "parallel_write_safe": False}
