"""The course: student and instructor notebooks, and the marks of handed-in ones, by real processes."""

import copy
import csv
import json
import re
import sys

import nbformat
import pytest
from visiting import ROOT, SITE

sys.path.insert(0, str(ROOT / "book" / "_tools"))

import course
import exercises
import grade
import marks as tables

FIRST = 'answer_1 = share(100, 0.99)\nprint(f"{answer_1:.2f}")\ncheck("4.2.1", answer_1)'
SECOND = 'def answer_2(beta, j):\n    return (1 + beta**j) / (1 - beta**j)\n\n\ncheck("4.2.2", answer_2)'
LIMITS = grade.Limits(seconds=300, memory=2, printed=2)


def code(source: str, tags: tuple[str, ...] = ()) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)})


@pytest.fixture(scope="module")
def made() -> dict[str, nbformat.NotebookNode]:
    """The versions of a small chapter: two exercises with checks, an open one."""
    words = nbformat.v4.new_markdown_cell
    cells = [
        words("# A chapter"),
        code("from gdlib.exercises import check\n\n\ndef share(k, beta):\n    return 1 - beta * (1 - beta**k) / (k * (1 - beta))"),
        words("## Common mistakes\n\nNone.\n\n## Exercises\n\n**1. First.** Which?\n\n<details><summary>Solution</summary>\n\nThis one.\n\n</details>"),
        code(FIRST, ("hide-cell", "solution")),
        words("**2. Second.** And which?"),
        code(SECOND, ("hide-cell", "solution")),
        words("**3. Open question.** What do you think?\n\n## References\n\nNone."),
        code("assert time.process_time() < 90"),
    ]  # fmt: skip
    return course.versions(nbformat.v4.new_notebook(cells=exercises.apart(cells)))


def by_id(notebook: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}


def test_each_version_has_what_its_reader_needs(made):
    for notebook in made.values():
        nbformat.validate(notebook)
        assert list(by_id(notebook)) == ["answer-1", "check-1", "answer-2", "check-2", "open-3"]
        assert "process_time" not in str(notebook.cells)
    student, source, instructor = made["student"], made["source"], made["instructor"]
    assert "share(100" not in str(student.cells) and "This one." not in str(student.cells)
    assert by_id(student)["answer-1"].source.splitlines()[1] == "answer_1 = ..."
    assert "This one." in str(instructor.cells) and "This one." not in str(source.cells)
    filled = by_id(source)["answer-1"].source
    assert "### BEGIN SOLUTION\nanswer_1 = share(100, 0.99)" in filled and filled.endswith("\n### END SOLUTION")
    assert "check(" not in filled and by_id(source)["check-1"].metadata.nbgrader.points == 1
    assert [cell.metadata.nbgrader.locked for cell in by_id(student).values()] == [False, True, False, True, False]


def filled(made: dict, *solutions: str) -> nbformat.NotebookNode:
    """The student's notebook with some of the solutions put in."""
    notebook = copy.deepcopy(made["student"])
    for number, solution in enumerate(solutions, start=1):
        if solution:
            by_id(notebook)[f"answer-{number}"].source = solution
    return notebook


HANDED_IN = {
    "untouched": ((), 0, "ran to its end"),
    "whole": ((course.without_check(FIRST), course.without_check(SECOND)), 2, "ran to its end"),
    "half": ((course.without_check(FIRST),), 1, "ran to its end"),
    "mistaken": (("answer_1 = 37", "def answer_2(beta, j):\n    return 0"), 0, "ran to its end"),
    "does not stop": ((course.without_check(FIRST), "while True:\n    pass"), 1, "was stopped after"),
    "fills memory": (("x = [bytearray(2**28) for _ in range(64)]", course.without_check(SECOND)), 1, "ran to its end"),
    "prints": ((course.without_check(FIRST), "while True:\n    print('a' * 10**6)"), 1, "was stopped: it printed more than 2 MB"),
    "leaves": ((course.without_check(FIRST), "import os\nos._exit(0)"), 1, "ended before its last cell"),
    "crashes": (("import ctypes\nctypes.string_at(0)",), 0, "ended by itself with code"),
}  # fmt: skip


@pytest.fixture(scope="module")
def marks(made, tmp_path_factory) -> dict[str, tables.Marks]:
    """Of all these, and of some that are no notebooks, handed in by as many students."""
    folder = tmp_path_factory.mktemp("handed in")
    for name, (solutions, _, _) in HANDED_IN.items():
        (folder / name).mkdir()
        nbformat.write(filled(made, *solutions), folder / name / "4-2-schedules.ipynb")
    (folder / "no notebook").mkdir()
    (folder / "no notebook" / "a.ipynb").write_text("PK\x03\x04 <html>", encoding="utf-8")
    (folder / "no notebook" / "b.ipynb").write_bytes(b"\xff\xfe\x00")
    (folder / "no notebook" / "c.ipynb").write_text('{"cells": [{"source": 3}]}', encoding="utf-8")
    (folder / "no notebook" / "d.ipynb").write_text("[" * 100_000, encoding="utf-8")
    nbformat.write(nbformat.v4.new_notebook(cells=[code("1 + 1")]), folder / "no notebook" / "e.ipynb")
    originals = {"4.2": json.loads(nbformat.writes(made["student"]))}
    quick = {"does not stop": LIMITS._replace(seconds=30)}
    every = [
        grade.mark(path, str(path.relative_to(folder)), originals, quick.get(path.parent.name, LIMITS))
        for path in sorted(folder.rglob("*.ipynb"))
    ]
    return {one.path: one for one in every}


@pytest.mark.parametrize("name", HANDED_IN)
def test_what_is_right_counts_and_what_goes_wrong_is_said(marks, name):
    one, (_, right, state) = marks[f"{name}/4-2-schedules.ipynb"], HANDED_IN[name]
    assert (one.right, len(one.checks), one.chapter) == (right, 2, "4.2"), one
    assert one.state.startswith(state), one


def test_the_words_of_the_checks_are_in_the_marks(marks):
    assert (
        marks["mistaken/4-2-schedules.ipynb"].checks["1"] == "A share lies between 0 and 1; this looks like per cent."
    )
    assert marks["untouched/4-2-schedules.ipynb"].checks["2"].startswith("No answer yet")
    said = marks["fills memory/4-2-schedules.ipynb"].checks["1"]
    assert said.startswith("There is no answer: a cell before it failed. MemoryError")
    assert marks["crashes/4-2-schedules.ipynb"].checks == {"1": "It was not reached.", "2": "It was not reached."}


@pytest.mark.parametrize("name", "abcde")
def test_what_is_no_notebook_of_the_course_is_called_so(marks, name):
    one = marks[f"no notebook/{name}.ipynb"]
    assert one.right == 0 and one.state.startswith("is not ") and not one.checks


def test_nothing_outside_is_harmed_where_the_fence_is_up(made, tmp_path):
    """A notebook that deletes what it finds, and one that calls home; where this machine has no fence, the marks do not claim it."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "work.txt").write_text("a thesis", encoding="utf-8")
    harm = f"import pathlib, shutil, os\nshutil.rmtree({str(tmp_path)!r}, ignore_errors=True)\nos.chdir({str(tmp_path)!r})\n"
    harm += "pathlib.Path('new').write_text('x')"
    call = "import socket\nsocket.create_connection(('127.0.0.1', int(port)), timeout=20)\nanswer_2 = lambda beta, j: (1 + beta**j) / (1 - beta**j)"
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        call = call.replace("int(port)", str(server.getsockname()[1]))
        nbformat.write(filled(made, harm, call), tmp_path / "evil.ipynb")
        originals = {"4.2": json.loads(nbformat.writes(made["student"]))}
        copy_of = tmp_path.parent / f"{tmp_path.name}.ipynb"
        copy_of.write_bytes((tmp_path / "evil.ipynb").read_bytes())
        one = grade.mark(copy_of, "evil.ipynb", originals, LIMITS)
    if "files" in one.fence:
        assert (tmp_path / "precious" / "work.txt").read_text(encoding="utf-8") == "a thesis"
        assert not (tmp_path / "new").exists()
    if "network" in one.fence:
        assert one.checks["2"] is not None
    assert one.fence or sys.platform != "linux"


def test_checks_are_put_back(made):
    original = json.loads(nbformat.writes(made["student"]))
    tampered = copy.deepcopy(original)
    cells = {cell["metadata"].get("nbgrader", {}).get("grade_id"): cell for cell in tampered["cells"]}
    cells["check-1"]["source"] = "pass"
    tampered["cells"].remove(cells["check-2"])
    back = grade.with_checks(tampered, original)
    found = {cell["metadata"].get("nbgrader", {}).get("grade_id"): "".join(cell["source"]) for cell in back["cells"]}
    assert '"4.2.1"' in found["check-1"] and '"4.2.2"' in found["check-2"]
    bare = {**original, "cells": [{**cell, "metadata": {}} for cell in original["cells"]]}  # as a host may save it
    assert len(grade.with_checks(bare, original)["cells"]) == len(original["cells"])


def test_the_tables_say_all_of_it(marks, tmp_path):
    every = [*marks.values(), tables.Marks("=cmd()", "4.2", "<b>", {"1": "<script>"}, frozenset())]
    tables.write_csv(every, tmp_path / "marks.csv")
    tables.write_html(every, tmp_path / "marks.html")
    with (tmp_path / "marks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][:5] == ["notebook", "chapter", "marks", "of", "state"] and len(rows) == 1 + len(every)
    assert rows[-1][0] == "'=cmd()"
    page = (tmp_path / "marks.html").read_text(encoding="utf-8")
    assert "<script>" not in page and "Not on this machine" in page and "1 of 2" in page


def test_every_chapter_of_the_site_becomes_an_assignment(tmp_path):
    names = course.write_course(SITE, tmp_path / "course")
    assert set(names) <= {
        course.assignment_of(str(p.relative_to(SITE / "_sources").with_suffix("")))
        for p in SITE.rglob("_sources/**/*.ipynb")
    }
    originals = grade.handed_out(tmp_path / "course" / "student")
    assert len(originals) == len(names) > 0
    for name in names:
        student, source, instructor = (
            nbformat.read(tmp_path / "course" / place / f"{name}.ipynb", as_version=4)
            for place in ("student", f"source/{name}", "instructor")
        )
        for notebook in (student, source, instructor):
            nbformat.validate(notebook)
        assert list(by_id(student)) == list(by_id(source)) == list(by_id(instructor))
        text = "".join(cell.source for cell in student.cells)
        assert "BEGIN SOLUTION" not in text and "<summary>Solution" not in text
        for grade_id, cell in by_id(student).items():
            assert not grade_id.startswith("answer") or re.search(r"(= |    |return )\.\.\.", cell.source)
