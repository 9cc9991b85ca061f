"""How much a chapter asks of its reader: words, visible lines of code, what comes before the first thing that moves, questions to answer.

What is not within the budget yet stands in `CEILINGS` with what it has today and a tenth, for repairs: a ceiling
that may only be lowered.
"""

import ast
import json
import re

import nbformat
import numpy as np
import pytest
import yaml
from visiting import ROOT

BUDGET = {"words": 2500, "lines": 150, "first live": 750, "questions": 3}
"""At most; of questions at least. The first live thing stands within four screens: so many words before it, a line of code as ten."""
LEFT_OUT = {"## Exercises", "## References"}
HIDDEN = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


def chapters(entries: list[dict], inside_a_chapter: bool = False) -> list[str]:
    """The notebooks that the contents list, but not the pages that stand beside a chapter, below it."""
    found = []
    for entry in entries:
        notebook = (ROOT / "book" / f"{entry['file']}.ipynb").exists()
        if notebook and not inside_a_chapter and entry["file"][0].isdigit():
            found.append(f"{entry['file']}.ipynb")
        found += chapters(entry.get("sections", []), inside_a_chapter or notebook)
    return found


CHAPTERS = [
    name for part in yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"] for name in chapters(part["chapters"])
]
LIVE, STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"
CEILINGS: dict[str, dict[str, int]] = {
    "4-practice/4-one-gpu.ipynb": {"words": 4100, "lines": 460, "first live": 7300, "questions": 0},
    "4-practice/5-many-gpus.ipynb": {"words": 4350, "lines": 370, "first live": 3900, "questions": 0},
    "6-tools/1-pytorch.ipynb": {"words": 3450, "lines": 420, "first live": 6400, "questions": 0},
    "6-tools/2-tensorflow.ipynb": {"words": 2950, "lines": 450, "first live": 6300, "questions": 0},
    "6-tools/4-side-by-side.ipynb": {"lines": 230, "first live": 4050, "questions": 0},
    "7-trends/1-limited-compute.ipynb": {"words": 3300, "lines": 370, "first live": 5700, "questions": 0},
}


def words_read(text: str) -> int:
    """The words of a first reading: without code, formulas, exercises, references, and what is folded away."""
    for left_out in (
        r"<details>.*?</details>",
        r"```.*?```",
        r"\$\$.*?\$\$",
        r"^## (?:References|Exercises)$.*?(?=^## |\Z)",
    ):
        text = re.sub(left_out, " ", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\{\w+(?::\w)?\}`([^`<]*)(<[^`]*>)?`", r"\1", text)  # a role: its words
    text = re.sub(r"\$[^$]*\$", " x ", re.sub(r"\]\([^)]*\)", " ", text))
    return len(re.findall(r"[A-Za-z0-9]+(?:[’'.,-][A-Za-z0-9]+)*", text))


def figures_of(name: str) -> dict[str, int]:
    """What the budget counts, of one notebook as it is stored."""
    notebook = nbformat.read(ROOT / "book" / name, as_version=4)
    found = {"words": 0, "lines": 0, "first live": 0}
    moved, section = False, ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = f"{section}\n{cell.source}"  # exercises go on over several cells
            found["words"] += words_read(text)
            heading = [line for line in text.splitlines() if line.startswith("## ")][-1:]
            section = heading[0] if heading and heading[0] in LEFT_OUT else ""
        elif not HIDDEN & set(cell.metadata.get("tags", [])):
            found["lines"] += cell.source.count("\n") + 1
        moved = moved or any(LIVE in output.get("data", {}) for output in cell.get("outputs", []))
        if not moved:
            found["first live"] = found["words"] + 10 * found["lines"]
    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {}).values()
    asked = [model for model in models if model["state"].get("_anywidget_id", "").endswith("QuestionDrawing")]
    return found | {"questions": len(asked)}


def missed(figures: dict[str, int], budget: dict[str, int]) -> dict[str, int]:
    beyond = {key: figures[key] for key in ("words", "lines", "first live") if figures[key] > budget[key]}
    return beyond | ({"questions": figures["questions"]} if figures["questions"] < budget["questions"] else {})


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_keeps_its_budget(name):
    assert missed(figures_of(name), BUDGET | CEILINGS.get(name, {})) == {}


def test_the_list_of_those_that_do_not_holds_chapters():
    assert set(CEILINGS) <= set(CHAPTERS)


def test_words_are_what_is_read():
    text = "# A {term}`weight <weights>` of $w_1$\n\n$$\nx = y\n$$\n\nSee [the steps](2-steps.ipynb).\n\n<details>no</details>\n"
    assert words_read(text + "\n```python\ncode\n```\n\n## References\n\n- none\n") == len(
        ["A", "weight", "of", "x", "See", "the", "steps"]
    )


def test_the_chapter_holds_what_the_script_measured():
    measured = json.loads((ROOT / "book" / "_records" / "transformer_schedules.json").read_text(encoding="utf-8"))[
        "steps"
    ]

    def literal(page: str) -> dict:
        cells = nbformat.read(ROOT / "book" / "3-algorithms" / page, as_version=4).cells
        (source,) = [cell.source for cell in cells if "RECORD = {" in cell.source]
        (value,) = [node.value for node in ast.parse(source).body if isinstance(node, ast.Assign)]
        return ast.literal_eval(value)

    judged, grids = literal("3-learning-rate-strategies.ipynb"), literal("3-deeper.ipynb")
    for steps, rows in measured.items():
        for name, row in rows.items():
            assert judged[int(steps)][name] == (row["peak"], row["judged"])
            grid, peak = grids[int(steps)][name]
            assert peak == row["peak"]
            assert grid == pytest.approx({float(p): sum(v) / len(v) for p, v in row["grid"].items()}, abs=6e-4)


@pytest.mark.parametrize(
    ("page", "script"), [("3-language.ipynb", "language_rates"), ("2-vision.ipynb", "vision_rates")]
)
def test_part_5_holds_what_its_scripts_measured(page, script):
    measured = json.loads((ROOT / "book" / "_tools" / f"{script}.json").read_text(encoding="utf-8"))
    cells = nbformat.read(ROOT / "book" / "5-applications" / page, as_version=4).cells
    (source,) = [cell.source for cell in cells if cell.source.startswith("RECORD = {")]
    told = ast.literal_eval(source.removeprefix("RECORD = ").removesuffix("  # fmt: skip"))
    for study, rows in told.items():
        assert set(rows) == set(measured[study])
        for name, row in rows.items():
            found = measured[study][name]
            judged = [run if isinstance(run, float) else run[1] for run in found["judged"]]
            assert row["best"] == pytest.approx(found["best"], abs=6e-4)
            assert row["judged"] == pytest.approx(judged, abs=6e-4)
            for rate, *_, losses in found["grid"]:
                if "rates" in row and rate in row["rates"]:
                    assert row["rates"][rate] == pytest.approx(sum(losses) / len(losses), abs=6e-4)


def test_the_batches_of_the_transformer_are_what_the_script_measured():
    measured = json.loads((ROOT / "book" / "_tools" / "transformer_batches.json").read_text(encoding="utf-8"))["arms"]
    cells = nbformat.read(ROOT / "book" / "4-practice" / "3-batch-size.ipynb", as_version=4).cells
    (source,) = [cell.source for cell in cells if "RECORD = {" in cell.source]
    (value,) = [
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    ]
    assert ast.literal_eval(value) == {name: (row["peak"], row["judged"]) for name, row in measured.items()}
    for row in measured.values():
        grid = {float(peak): sum(losses) for peak, losses in row["grid"].items()}
        assert min(grid, key=grid.get) == row["peak"] and min(grid) < row["peak"] < max(grid)  # no best at an edge


def test_the_real_run_tells_what_was_recorded():
    cells = nbformat.read(ROOT / "book" / "4-practice" / "6-real-run.ipynb", as_version=4).cells
    told = {
        line.targets[0].id: ast.literal_eval(line.value)
        for cell in cells
        if cell.cell_type == "code" and re.search(r"^(MEASURED|RECORD\w*) = ", cell.source, re.MULTILINE)
        for line in ast.parse(cell.source).body
    }
    record = json.loads((ROOT / "book" / "_records" / "gpu-nvidia-h200-2026-11-28.json").read_text(encoding="utf-8"))
    for row, taken in zip(told["RECORD"]["log"], record["run"]["log"], strict=True):
        assert row == pytest.approx(taken, rel=0.005, abs=0.005)
    steps = [row for row in record["steps"] if row["model"] == "124M"]
    names = ("precision", "batch", "compiled", "recompute"), ("median", "min", "max")
    for row, taken in zip(told["RECORD"]["steps"], steps, strict=True):
        assert row[:4] == [taken[name] for name in names[0]]
        assert row[4:] == pytest.approx([taken[name] for name in names[1]], abs=6e-5)
    for name, row in record["widths"].items():
        assert np.ravel(told["RECORD_WIDTHS"][name]) == pytest.approx(np.ravel(row), abs=6e-5)
    measured = json.loads((ROOT / "book" / "_records" / "real_run.json").read_text(encoding="utf-8"))
    assert told["MEASURED"] == {"rates": measured["rates"], **measured["losses"]}
