"""One stylesheet for the whole site, with those rules of the theme's, the extensions' and our own that some page can use.

A rule stays if all classes, ids and elements that its selector asks for occur in a page or in a script. What stands inside
``:not()``, ``:is()`` and the like, and attributes, are taken as met.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import tinycss2
from tinycss2.ast import AtRule, Node, QualifiedRule

DARK, LIGHT = r"\[data-theme=\"?dark\"?\]", r"\[data-theme=\"?light\"?\]"
NESTED = {"media", "supports", "layer", "container"}
ADDRESS = re.compile(r"""url\((["']?)(?!data:|#|[a-z]+:)([^"')]+)\1\)""")
MISSING = re.compile(r""",\s*url\("fonts/[^"]*"\)\s*format\("[^"]*"\)""")
"""KaTeX's fonts for browsers of 2015, which are not vendored."""
NAME = re.compile(r"[A-Za-z_][\w-]*")


def names_in_page(html: str) -> set[str]:
    """Classes, ids and element names of a page, and what its scripts may yet put there."""
    found = {name for values in re.findall(r'\b(?:class|id)="([^"]*)"', html) for name in values.split()}
    found.update(name.lower() for name in re.findall(r"<([A-Za-z][\w-]*)", html))
    for script in re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL):
        found |= names_in_script(script)
    return found


def names_in_script(source: str) -> set[str]:
    """Every word of a script that could be a class, an id or an element."""
    return set(NAME.findall(source))


def asked_for(selector: list[Node]) -> Iterator[str]:
    """Classes, ids and elements without which ``selector`` matches nothing."""
    before = None
    for token in selector:
        if token.type == "hash":
            yield token.value
        elif token.type == "ident" and before != ":":
            yield token.value if before == "." else token.value.lower()
        before = token.value if token.type == "literal" else token.type


def alternatives(prelude: list[Node]) -> Iterator[list[Node]]:
    """The selectors of a list of selectors."""
    part: list[Node] = []
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def kept(rule: Node, names: set[str]) -> str:
    """What stays of a rule, as text."""
    if isinstance(rule, QualifiedRule):
        used = [one for one in alternatives(rule.prelude) if all(name in names for name in asked_for(one))]
        selectors = ",".join(tinycss2.serialize(one).strip() for one in used)
        return f"{selectors}{{{tinycss2.serialize(rule.content).strip()}}}" if used else ""
    if isinstance(rule, AtRule) and rule.lower_at_keyword in NESTED and rule.content is not None:
        inner = "".join(kept(one, names) for one in rules(rule.content))
        return f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inner}}}" if inner else ""
    if isinstance(rule, AtRule) and rule.lower_at_keyword == "charset":
        return ""
    return MISSING.sub("", rule.serialize())


def rules(content: str | list[Node]) -> list[Node]:
    return tinycss2.parse_rule_list(content, skip_comments=True, skip_whitespace=True)


def sheet(path: Path, home: Path) -> Iterator[Node]:
    """The rules of a stylesheet and of those it imports, with addresses as seen from ``home``."""

    def moved(match: re.Match) -> str:
        target = (path.parent / match[2].split("?")[0].split("#")[0]).resolve()
        return f'url("{os.path.relpath(target, home.resolve()) if target.exists() else match[2]}")'

    source = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for rule in rules(source):
        if isinstance(rule, AtRule) and rule.lower_at_keyword == "import":
            yield from sheet(path.parent / next(token.value for token in rule.prelude if token.type == "string"), home)
        else:
            yield from rules(ADDRESS.sub(moved, rule.serialize()))


def bundle(paths: Iterable[Path], home: Path, names: set[str]) -> str:
    """All stylesheets as one that lies in ``home``: without rules for what is not in ``names``, fonts and motions nobody asks for."""
    every = [rule for path in paths for rule in sheet(path, home)]
    text = {id(rule): light_on_paper(kept(rule, names)) for rule in every}
    plain = "".join(text[id(rule)] for rule in every if not (isinstance(rule, AtRule) and needs_a_user(rule)))
    return "".join(
        text[id(rule)]
        for rule in every
        if not (isinstance(rule, AtRule) and needs_a_user(rule))
        or (named(rule) in plain and "Awesome" not in text[id(rule)])
    )


def light_on_paper(rule: str) -> str:
    """Paper is light: what is for the dark theme is for screens, and what is for the light one holds on paper in both."""
    if "print" in rule.split("{")[0]:
        return rule
    if re.search(DARK, rule):
        return f"@media not print{{{rule}}}"
    if re.search(LIGHT, rule):
        return f"{rule}@media print{{{re.sub(LIGHT, '[data-theme=dark]', rule)}}}"
    return rule


def needs_a_user(rule: AtRule) -> bool:
    return rule.lower_at_keyword in ("font-face", "keyframes", "-webkit-keyframes")


def named(rule: AtRule) -> str:
    """The name of a font or of a motion."""
    if "keyframes" in rule.lower_at_keyword:
        return tinycss2.serialize(rule.prelude).strip()
    family = re.search(r"font-family:\s*([\"']?)([^;\"'}]+)\1", tinycss2.serialize(rule.content))
    return family[2].strip() if family else ""
