"""How much a chapter asks of its reader: words, visible lines of code, what comes before the first thing that moves, questions to answer.

What is not within the budget yet stands in `CEILINGS` with what it has today and a tenth, for repairs: a ceiling
that may only be lowered.
"""

import re

import nbformat
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
