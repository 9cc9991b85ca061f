"""Exercises as cells. On a page an exercise is a paragraph that begins with its number in bold (`**3. Experiment.** ...`), its solution
what is folded away below it, and code that a cell tagged `solution` runs, whose last line checks the answer. In the notebooks that are
offered it becomes five cells: the exercise, a cell for the reader's answer, a cell that checks it, the solution's words, its code.
"""

import ast
import re
from collections.abc import Iterator

import nbformat

HEADING = "## Exercises"
BEGINS = re.compile(r"^\*\*(\d+)\. ", re.MULTILINE)
SECTION = re.compile(r"^## ", re.MULTILINE)
SOLUTION = re.compile(r"<details><summary>Solution[^<]*</summary>\n(.*?)\n</details>", re.DOTALL)
HIDDEN = {"jupyter": {"source_hidden": True}, "cellView": "form"}


def apart(cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """``cells`` of a notebook with a cell for each part of each exercise. What a cell is, its metadata say under ``exercise``: the
    number, and whether it is the ``text``, the reader's ``answer``, the ``check``, the ``solution`` or its ``code``."""
    made, solutions, number, inside = [], [], None, False
    for cell in cells:
        if cell.cell_type == "code":
            if number and "solution" in cell.metadata.get("tags", []):
                made += for_an_answer(cell, number)
                solutions.append(marked({**cell, "metadata": {**cell.metadata, **HIDDEN}}, number, "code"))
            else:
                made.append(cell)
            continue
        parts = list(pieces(cell.source, inside))
        for i, (part, inside) in enumerate(parts):
            begins = BEGINS.match(part) if inside else None
            if begins or not inside:  # the exercise before this place is complete
                made, solutions = made + solutions, []
                number = int(begins[1]) if begins else None
            new = nbformat.from_dict({**cell, "source": SOLUTION.sub("", part).strip()})
            new["id"] = cell.id if len(parts) == 1 else f"{cell.id}-{i}"
            if number:
                for j, words in enumerate(SOLUTION.findall(part)):
                    text = f"<details><summary>Solution of exercise {number}</summary>\n{words}\n</details>"
                    solutions.append(
                        marked({**new, "id": f"{new.id}-solution-{j}", "source": text}, number, "solution")
                    )
                new = marked(new, number, "text")
            if new.source:
                made.append(new)
    return made + solutions


def pieces(text: str, inside: bool) -> Iterator[tuple[str, bool]]:
    """The parts of a Markdown cell: each exercise by itself, and what stands between them, each with whether it stands under the
    heading of the exercises. ``inside``: the cell before ended there."""
    outside = ""
    for section in split(SECTION, text):
        inside = section.startswith(HEADING) or (inside and not SECTION.match(section))
        if not inside:
            outside += section
            continue
        if outside.strip():
            yield outside, False
        outside = ""
        yield from ((part, True) for part in split(BEGINS, section))
    if outside.strip():
        yield outside, False


def split(pattern: re.Pattern, text: str) -> list[str]:
    """``text`` cut before each match of ``pattern``."""
    places = [0, *(match.start() for match in pattern.finditer(text) if match.start()), len(text)]
    return [text[a:b] for a, b in zip(places, places[1:]) if text[a:b].strip()]


def marked(cell: dict, number: int, kind: str) -> nbformat.NotebookNode:
    """A copy of ``cell`` that says what part of an exercise it is."""
    about = {"exercise": {"number": number, "is": kind}}
    return nbformat.from_dict({**cell, "metadata": {**cell["metadata"], **about}})


def for_an_answer(cell: nbformat.NotebookNode, number: int) -> list[nbformat.NotebookNode]:
    """A cell for the answer and one that checks it, from the cell of the solution."""
    line = ast.parse(cell.source).body[-1]
    names = [argument.id for argument in line.value.args if isinstance(argument, ast.Name)]
    stub = cell.metadata.get("stub") or "\n".join(f"{name} = ..." for name in names)
    say = f"# Your answer to exercise {number}: replace the dots, run this cell, then the next one."
    return [
        marked({**nbformat.v4.new_code_cell(f"{say}\n{stub}"), "id": f"{cell.id}-answer"}, number, "answer"),
        marked(
            {**nbformat.v4.new_code_cell(ast.get_source_segment(cell.source, line)), "id": f"{cell.id}-check"},
            number,
            "check",
        ),
    ]
