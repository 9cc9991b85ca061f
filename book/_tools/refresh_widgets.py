"""Give the notebooks' stored widgets the JavaScript and the styles of today, without running a cell.

    python book/_tools/refresh_widgets.py

A stored widget carries the code that draws it. Where its data have not changed, neither have the experiments, which
take an hour; where a widget's traits have, execute its notebook instead.
"""

import json
from importlib import import_module
from pathlib import Path

import nbformat

BOOK = Path(__file__).parents[1]
WIDGETS = "application/vnd.jupyter.widget-state+json"


def drawings(notebook: dict) -> list[tuple[dict, type]]:
    """The state of each of gdlib's drawings that a notebook holds, and its class."""
    models = notebook["metadata"].get("widgets", {}).get(WIDGETS, {}).get("state", {}).values()
    states = [model["state"] for model in models]
    names = [(state, state["_anywidget_id"].rpartition(".")) for state in states if "_anywidget_id" in state]
    return [
        (state, getattr(import_module(home), name)) for state, (home, _, name) in names if home.startswith("gdlib.")
    ]


def refresh(notebook: dict) -> bool:
    """Put today's code and styles into the stored drawings of ``notebook``; whether anything has changed."""
    before = json.dumps(notebook)
    for state, kind in drawings(notebook):
        state |= {"_esm": str(kind._esm), "_css": str(kind._css)}
    return json.dumps(notebook) != before


if __name__ == "__main__":
    for path in sorted(BOOK.glob("**/[!.]*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if refresh(notebook):
            nbformat.write(notebook, path)
            print(path.relative_to(BOOK))
