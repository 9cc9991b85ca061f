"""The exercises as a course, made from the notebooks that the built site offers: `make course` writes `_build/course/`.

    instructor/     every chapter with all solutions and the checks, as nobody hands it out
    student/        every chapter without solutions, with the library's wheel: hand out this folder
    source/         what nbgrader takes as its own: an assignment for each chapter, with the solutions' code between nbgrader's marks, so that
                    `nbgrader generate_assignment 4-2-schedules` (in this folder) makes its release of it
    nbgrader_config.py

A check is worth a point. Open questions are worth two, which somebody has to give who has read the answer. `make grade` (grade.py) marks
handed-in notebooks without nbgrader.
"""

import ast
import shutil
import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).parents[2]
SITE, COURSE = ROOT / "_build" / "html", ROOT / "_build" / "course"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
BUDGET = "assert time.process_time() <"
CONFIG = """\
# nbgrader reads this where it is started: cd to this folder first.
c = get_config()
c.CourseDirectory.course_id = "training-large-models"
c.ClearSolutions.code_stub = {"python": ""}  # the line with the dots stands outside the marks
c.ClearSolutions.text_stub = "{words}"
c.ExecutePreprocessor.timeout = 600
"""
TO_READ = "*Your answer: write it here, instead of this line.*"


def assignment_of(page: str) -> str:
    """4-practice/2-schedules is the assignment 4-2-schedules, 1-background/index 1-background."""
    folder, _, name = page.rpartition("/")
    return folder if name == "index" else f"{folder.split('-')[0]}-{name}"


def nbgrader(cell: nbformat.NotebookNode, name: str, points: int = 0, answer: bool = False) -> nbformat.NotebookNode:
    """``cell`` with nbgrader's own metadata: an ``answer``, or a check that is worth ``points`` and locked."""
    about = {
        "grade": points > 0,
        "grade_id": name,
        "locked": not answer,
        "schema_version": 3,
        "solution": answer,
        "task": False,
    }
    if points:
        about["points"] = points
    return nbformat.from_dict({**cell, "metadata": {**cell.metadata, "nbgrader": about}})


def versions(offered: nbformat.NotebookNode) -> dict[str, nbformat.NotebookNode]:
    """The notebook for the ``instructor``, the ``source`` for nbgrader and the ``student``'s."""
    cells = {"instructor": [], "source": [], "student": []}
    solutions = {c.metadata.exercise.number: c for c in offered.cells if kind(c) == "code"}
    answered = {c.metadata.exercise.number for c in offered.cells if kind(c) == "answer"}
    waiting = None
    for cell in offered.cells:
        if BUDGET in cell.source and cell.cell_type == "code":
            continue  # it is about the chapter alone
        what = kind(cell)
        number = cell.metadata.exercise.number if what else None
        if waiting and (not what or number != waiting):
            for_all(cells, to_read(waiting))
            waiting = None
        if what == "answer":
            blank = nbgrader(cell, f"answer-{number}", answer=True)
            filled = f"{cell.source}\n{BEGIN}\n{without_check(solutions[number].source)}\n{END}"
            cells["student"].append(blank)
            for version in ("source", "instructor"):
                cells[version].append(nbformat.from_dict({**blank, "source": filled}))
        elif what == "check":
            for_all(cells, nbgrader(strict(cell), f"check-{number}", points=1))
        elif what == "solution":
            cells["instructor"].append(cell)
        elif what != "code":
            for_all(cells, cell)
            if what == "text" and number not in answered:
                waiting = number
    if waiting:
        for_all(cells, to_read(waiting))
    return {version: nbformat.v4.new_notebook(cells=made, metadata=offered.metadata) for version, made in cells.items()}


def for_all(cells: dict[str, list], cell: nbformat.NotebookNode) -> None:
    for made in cells.values():
        made.append(cell)


def to_read(number: int) -> nbformat.NotebookNode:
    """A cell for an answer in words."""
    cell = nbformat.v4.new_markdown_cell(TO_READ, id=f"open-{number}")
    return nbgrader(cell, f"open-{number}", points=2, answer=True)


def kind(cell: nbformat.NotebookNode) -> str | None:
    """What part of an exercise a cell is."""
    return cell.metadata.get("exercise", {}).get("is")


def without_check(source: str) -> str:
    """A solution's code without its last line, which checks it."""
    last = ast.parse(source).body[-1]
    return "\n".join(source.splitlines()[: last.lineno - 1]).rstrip()


def strict(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A check that stops with its words where the answer is not right, and does not rely on a name that cells above may have changed."""
    source = f"from gdlib.exercises import check\n\nassert (said := {cell.source}), said"
    return nbformat.from_dict({**cell, "source": source, "outputs": [], "execution_count": None})


def write_course(site: Path, course: Path) -> list[str]:
    """Write the course's folder from a built ``site``; the assignments that have checks, in the book's order."""
    shutil.rmtree(course, ignore_errors=True)
    made = []
    for path in sorted((site / "_sources").rglob("*.ipynb")):
        offered = nbformat.read(path, as_version=4)
        if not any(kind(cell) == "check" for cell in offered.cells):
            continue
        name = assignment_of(str(path.relative_to(site / "_sources").with_suffix("")))
        made.append(name)
        for version, notebook in versions(offered).items():
            folder = course / version / name if version == "source" else course / version
            folder.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, folder / f"{name}.ipynb")
    (wheel,) = site.glob("*.whl")
    shutil.copy(wheel, course / "student")
    (course / "nbgrader_config.py").write_text(CONFIG.replace("{words}", TO_READ), encoding="utf-8")
    return made


if __name__ == "__main__":
    names = write_course(SITE, COURSE)
    print(
        f"{len(names)} chapters in _build/course: student/ to hand out, instructor/ with the solutions, source/ for nbgrader."
    )
