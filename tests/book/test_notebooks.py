"""The notebooks as they are stored, and the tool that writes them."""

import base64
import copy
import importlib.util
import io
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image
from visiting import ROOT

from gdlib import exercises

spec = importlib.util.spec_from_file_location("notebooks", ROOT / "book" / "_tools" / "notebooks.py")
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)
pictures = notebooks.pictures
STORED = sorted((ROOT / "book").glob("**/[!.]*.ipynb"))

CELLS = [
    "%matplotlib inline\nimport matplotlib.pyplot as plt\nfrom gdlib import plots, widgets\nplots.style()",
    "plt.plot([1, 2, 4])\nplt.show()",
    "print('one')\nprint('two')",
    "widgets.DescentExplorer(lr=0.1)",
]


def test_executing_twice_changes_no_byte(tmp_path):
    made = []
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    for _ in range(2):
        notebook = copy.deepcopy(notebook)
        notebooks.execute(notebook, tmp_path)
        notebook = notebooks.normalise(notebook)
        made.append(nbformat.writes(notebook))
    assert made[0] == made[1]
    kinds = [output.output_type for cell in notebook.cells for output in cell.outputs]
    assert kinds == ["display_data", "stream", "execute_result"]
    assert notebook.metadata.widgets


def test_normalising_twice_changes_nothing_more():
    notebook = nbformat.read(STORED[0], as_version=4)
    once = notebooks.normalise(copy.deepcopy(notebook))
    assert once == notebooks.normalise(copy.deepcopy(once))


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(ROOT / "book")))
def test_stored_as_the_tool_writes_it(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook == notebooks.normalise(copy.deepcopy(notebook))
    assert nbformat.writes(notebook) + "\n" == path.read_text(encoding="utf-8")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "not run from top to bottom"
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    assert any("assert " in cell.source for cell in code), "claims nothing"
    assert "0x" not in json.dumps(
        [cell.outputs for cell in code if cell.outputs and cell.outputs[0].output_type == "stream"]
    )


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(ROOT / "book")))
def test_figures_are_small_and_described(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            png = output.get("data", {}).get("image/png")
            if png and pictures.VIEW not in output.data:
                assert len(png) * 3 / 4 < 100_000
                about = cell.metadata.get("mystnb", {})
                assert about.get("image", {}).get("alt")
                assert about.get("figure", {}).get("caption")


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(ROOT / "book")))
def test_each_widget_has_its_picture(path):
    """Of the state that is stored; `python book/_tools/notebooks.py --pictures` takes what is missing or old."""
    notebook = nbformat.read(path, as_version=4)
    for output in pictures.views(notebook):
        assert output.metadata.widget.of == pictures.hash_of(notebook, output.data[pictures.VIEW]), (
            "the state has changed"
        )
        assert len(output.data["image/png"]) * 3 / 4 <= 40_000
        assert len(output.metadata.widget.alt) > 30


def put(notebook: nbformat.NotebookNode, known: dict) -> None:
    """`pictures.put` in a thread of its own: Playwright allows one browser a thread, and the pages' tests have theirs here."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(pictures.put, notebook, known).result()


def test_a_picture_is_taken_and_kept_as_long_as_the_state_is(tmp_path):
    cells = [nbformat.v4.new_code_cell("from gdlib import widgets\nwidgets.DescentExplorer(lr=0.1)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebooks.execute(notebook, tmp_path)
    notebook = notebooks.normalise(notebook)
    put(notebook, {})
    (output,) = pictures.views(notebook)
    shown = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
    assert shown.width == output.metadata["image/png"].width * pictures.SCALE
    assert len(shown.getcolors()) > 10
    assert "Descends" in output.metadata.widget.alt
    assert nbformat.validate(notebook) is None

    again = copy.deepcopy(notebook)
    known = pictures.stored(again)
    known[output.metadata.widget.of] = ("kept", known[output.metadata.widget.of][1])
    put(again, known)
    assert next(pictures.views(again)).data["image/png"] == "kept"
    for model in again.metadata.widgets[pictures.STATE]["state"].values():
        if model["model_name"] == "FloatLogSliderModel":
            model["state"]["value"] = 0.2
    assert pictures.hash_of(again, output.data[pictures.VIEW]) not in known


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(ROOT / "book")))
def test_visible_cells_are_short(path):
    for cell in nbformat.read(path, as_version=4).cells:
        hidden = {"hide-input", "remove-cell", "remove-input", "hide-cell"} & set(cell.metadata.get("tags", []))
        if cell.cell_type == "code" and not hidden:
            assert cell.source.count("\n") < 15, cell.source.splitlines()[0]


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(ROOT / "book")))
def test_printed_solutions_pass_their_checks(path):
    """nbval runs them; here is what they are asked, that it was right, and that the page says what to hand in."""
    cells = nbformat.read(path, as_version=4).cells
    for before, cell in zip(cells, cells[1:]):
        calls = re.findall(r'^check\("([\d.]+)", (answer_\d+)\)$', cell.source, re.MULTILINE)
        assert bool(calls) == ("solution" in cell.metadata.get("tags", []))
        for name, answer in calls:
            assert name in exercises.names() and name.rsplit(".", 1)[1] == answer.removeprefix("answer_")
            assert re.search(
                rf"^\*\*{answer.removeprefix('answer_')}\. .*^To check: `{answer}",
                before.source,
                re.DOTALL | re.MULTILINE,
            )
            assert [output.data["text/plain"] for output in cell.outputs if "data" in output] == ["Right."]


SOLUTION = re.compile(r"<details><summary>Solution[^<]*</summary>\n(.*?)\n</details>", re.DOTALL)
CONFIG = ["--output-format", "concise", "--config", "builtins=['get_ipython']"]
SIX = re.compile(r"1-background/index|2-core-concepts/index|3-algorithms/\d-(?!deeper)")


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(ROOT / "book")))
def test_a_solution_that_no_cell_runs_knows_its_names(path):
    """In the first six chapters every printed solution is a cell, which nbval runs; elsewhere some stand in the text alone."""
    seen, printed = [], []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            seen.append(TransformerManager().transform_cell(cell.source))
        else:
            solutions = "\n".join(SOLUTION.findall(cell.source))
            for code in re.findall(r"^```python\n(.*?)^```", solutions, re.DOTALL | re.MULTILINE):
                printed.append("\n".join([*seen, code]))
    assert not (printed and SIX.match(str(path.relative_to(ROOT / "book"))))
    for code in printed:
        found = subprocess.run(
            [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", *CONFIG, "-"],
            input=code, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout + found.stderr


COLUMNS, CEILING = 88, 1500
"""How wide a line of code may be on a page, and how many of the book's are wider still: the number may only fall."""


def test_lines_of_code_fit_the_page():
    wide = {}
    for path in STORED:
        sources = (cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        if found := sum(len(line) > COLUMNS for source in sources for line in source.splitlines()):
            wide[str(path.relative_to(ROOT / "book"))] = found
    total = sum(wide.values())
    assert total <= CEILING, f"{total} lines of code are wider than {COLUMNS} columns, and were {CEILING}: {wide}"
