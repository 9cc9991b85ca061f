"""A Sphinx extension for finding one's way: the glossary leads to the headings that say most about a term, by its letter and by
its Chinese word too, the search shows sentences, and the library reference calls things as one imports them."""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

import gdlib

GLOSSARY = "appendix/glossary"
CHINESE = re.compile(r"\(([^)]*[\u4e00-\u9fff][^)]*)\)")
BLOCKS = (nodes.paragraph, nodes.caption)
PASSED_OVER = {"Exercises", "References", "Your prediction", "Common mistakes"}
SHOWN = 3
SUBPACKAGES = (
    "gdlib._plateau",
    "gdlib.training",
    "gdlib.choosing",
    "gdlib.drawing",
    "gdlib.widgets",
    "gdlib.exercises",
)


def entries(doctree: nodes.document) -> Iterator[tuple[list[nodes.term], nodes.definition]]:
    """The glossary's terms, those that share a definition together, and the definition."""
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            yield list(item.findall(nodes.term)), next(iter(item.findall(nodes.definition)))


class ChineseWords(SphinxTransform):
    """An index entry for the Chinese word of each term, so that the search finds the term by it."""

    default_priority = 700  # before the domains collect what is to be indexed

    def apply(self) -> None:
        for terms, definition in entries(self.document):
            for word in CHINESE.findall(definition.astext())[:1]:
                definition.insert(0, addnodes.index(entries=[("single", word, terms[0]["ids"][0], "main", None)]))


def remember_sections(app: Sphinx, doctree: nodes.document) -> None:
    """Keep what each heading of a chapter is followed by, to be counted in when the glossary is written."""
    page = app.env.docname
    if page.startswith("appendix/"):
        return
    app.env.gd_sections[page] = [
        (section["ids"][0], section.next_node(nodes.title).astext(), " ".join(own_text(section)))
        for section in doctree.findall(nodes.section)
    ]


def own_text(section: nodes.section) -> Iterator[str]:
    """The text between a heading and the next one, whatever their levels."""
    for child in section.children:
        if not isinstance(child, nodes.section):
            yield from (block.astext() for block in child.findall(lambda node: isinstance(node, BLOCKS)))


def headings(env: BuildEnvironment, pages: list[str], terms: list[str]) -> list[tuple[str, str, str]]:
    """The headings of ``pages`` that say most about ``terms``, as (page, anchor, words), in the pages' order."""
    cased = [f"(?-i:{re.escape(term)})" if term != term.lower() else re.escape(term) for term in terms]
    pattern = re.compile(rf"\b(?:{'|'.join(cased)})(?:e?s)?\b", re.IGNORECASE)
    scored = []
    for order, page in enumerate(pages):
        for place, (anchor, title, text) in enumerate(env.gd_sections.get(page, ())):
            if title not in PASSED_OVER and (said := len(pattern.findall(text)) + 5 * len(pattern.findall(title))):
                scored.append((-said, order, place, page, anchor if place else "", title))
    best = sorted(scored)[:SHOWN]
    return [tuple(found[3:]) for found in sorted(best, key=lambda found: found[1:3])]


def lead_on(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Below each term of the glossary, links to where the book says most about it; above all, the letters."""
    if page != GLOSSARY:
        return
    env = app.env
    pages, letters = list(env.collect_relations()), {}
    for terms, definition in entries(doctree):
        words = [term.astext() for term in terms]
        letters.setdefault(words[0][0].upper(), terms[0]["ids"][0])
        where = nodes.paragraph("", "See ", classes=["gd-where"])
        for target, anchor, title in headings(env, pages, words):
            number = ".".join(map(str, env.toc_secnumbers.get(target, {}).get("", ())))
            address = app.builder.get_relative_uri(page, target) + (f"#{anchor}" if anchor else "")
            where += [nodes.reference("", f"{number} {title}".strip(), refuri=address, internal=True), nodes.Text("; ")]
        if len(where) > 1:
            where.pop()
            definition += where
    links = "".join(f'<a href="#{anchor}">{letter}</a>' for letter, anchor in letters.items())
    glossary = next(iter(doctree.findall(addnodes.glossary)))
    az = nodes.raw("", f'<nav class="gd-letters" aria-label="Terms by their first letter">{links}</nav>', format="html")
    glossary.parent.insert(glossary.parent.index(glossary), az)


def call_as_imported(app: Sphinx, doctree: nodes.document) -> None:
    """Where a thing is defined is its module's business: ``gdlib.training._trainer.Trainer`` is called ``gdlib.Trainer``."""
    for signature in doctree.findall(addnodes.desc_signature):
        for where in signature.findall(addnodes.desc_addname):
            name = signature["fullname"].split(".")[0]
            home = where.astext().removesuffix(".")
            if home.startswith(SUBPACKAGES):
                where.children = [nodes.Text(public(home, name) + ".")]


def public(home: str, name: str) -> str:
    """The module from which one imports ``name``, defined in ``home``."""
    parts = home.split(".")
    if parts[1] in ("drawing", "widgets"):
        return "gdlib.plots" if parts[1] == "drawing" else "gdlib.widgets"
    if parts[1] == "_plateau":
        return "gdlib.schedules"
    if parts[1] == "exercises":
        return "gdlib.exercises"
    if name in gdlib.__all__:
        return "gdlib"
    return ".".join(
        ["gdlib"] + ["diagnose"] * (parts[1] == "choosing") + [part for part in parts[2:] if part[0] != "_"]
    )


def begin(app: Sphinx) -> None:
    if not hasattr(app.env, "gd_sections"):
        app.env.gd_sections = {}


def forget(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    env.gd_sections.pop(page, None)


def search_by_sentences(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    if page == "search":
        app.add_js_file("search-sentences.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(ChineseWords)
    app.connect("builder-inited", begin)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-read", remember_sections)
    app.connect("doctree-read", call_as_imported)
    app.connect("doctree-resolved", lead_on)
    app.connect("html-page-context", search_by_sentences)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
