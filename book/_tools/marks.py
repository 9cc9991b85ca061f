"""The marks of handed-in notebooks (grade.py) as a table: for a spreadsheet, and as a page."""

import csv
import html
from pathlib import Path
from typing import NamedTuple

PARTS = {
    "files": "files outside of a notebook's own folder cannot be changed",
    "network": "no connection can be made",
    "memory": "memory and the size of files are limited",
    "signals": "no other process can be stopped",
    "processes": "whatever a notebook starts ends with it",
}


class Marks(NamedTuple):
    """What came of a notebook."""

    path: str  # in the folder
    chapter: str  # "4.2", or nothing where that cannot be said
    state: str  # "ran to its end", or what went wrong
    checks: dict[str, str | None]  # each check's name: None where it passed, else what it said
    fence: frozenset[str]

    @property
    def right(self) -> int:
        return sum(said is None for said in self.checks.values())


def write_csv(every: list[Marks], path: Path) -> None:
    """A row for each notebook: where it is, its chapter, its marks, and what each check said."""
    most = max((len(marks.checks) for marks in every), default=0)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["notebook", "chapter", "marks", "of", "state", *(f"check {i + 1}" for i in range(most))])
        for marks in every:
            said = [f"{name}: {'right' if words is None else words}" for name, words in marks.checks.items()]
            row = [marks.path, marks.chapter, marks.right, len(marks.checks), marks.state, *said]
            table.writerow(
                [f"'{cell}" if str(cell)[:1] in "=+-@" else cell for cell in row]
            )  # no spreadsheet takes it for a formula


def write_html(every: list[Marks], path: Path) -> None:
    """The same as a page, and what the fence was."""
    fence = (
        frozenset.intersection(*(marks.fence for marks in every if marks.checks))
        if any(m.checks for m in every)
        else frozenset()
    )
    rows = []
    for marks in every:
        said = "".join(
            f"<li class={'right' if words is None else 'wrong'}><b>{html.escape(name)}</b> {html.escape(words or 'Right.')}</li>"
            for name, words in marks.checks.items()
        )
        cells = [marks.path, marks.chapter, f"{marks.right} of {len(marks.checks)}", marks.state]
        rows.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + f"<td><ol>{said}</ol></td>")
    up = "".join(
        f"<li>{'Yes' if part in fence else '<b>Not on this machine</b>'}: {words}.</li>"
        for part, words in PARTS.items()
    )
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Marks</title><style>body{font:15px/1.5 sans-serif;margin:2em}'
        "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3em .6em;vertical-align:top;text-align:left}"
        "ol{margin:0;padding:0;list-style:none}.right{color:#176b3a}.wrong{color:#9a2b1f}</style></head><body><h1>Marks</h1>"
        f"<table><tr><th>notebook</th><th>chapter</th><th>marks</th><th>state</th><th>checks</th></tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
        f"<p>Open questions are not marked here: somebody has to read them.</p><h2>The fence</h2><ul>{up}</ul></body></html>\n",
        encoding="utf-8",
    )  # fmt: skip
