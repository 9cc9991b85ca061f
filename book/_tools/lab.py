"""What `make lab` tells JupyterLab: a chapter that is saved keeps the widgets that its page shows, and kernels compute on one thread,
which is faster for models as small as the book's, on a busy machine several times, unless `OMP_NUM_THREADS` says otherwise.

JupyterLab does not write the state of widgets into a notebook. A cell that was run again shows a widget whose state is
nowhere, and after a restart with "Save Widget State Automatically" there is none at all: on the page nothing would be
left. So a cell with the same source shows what it showed when the book's tools last executed the notebook.
"""

import json
import os
from pathlib import Path
from typing import Any

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def keep_widgets(model: dict, path: str, contents_manager: Any, **rest: Any) -> None:
    """Before a notebook is saved: views without a state become the stored ones of the same cell, and stored states stay."""
    file = Path(contents_manager.root_dir) / path
    if model["type"] != "notebook" or not file.exists():
        return
    new, old = model["content"], json.loads(file.read_text(encoding="utf-8"))
    known, stored = states(new), states(old)
    before = {cell.get("id"): cell for cell in old["cells"]}
    for cell in new["cells"]:
        was = before.get(cell.get("id"), {})
        if source(cell) != source(was):
            continue
        for output, earlier in zip(shows(cell), shows(was)):
            if output["data"][VIEW]["model_id"] not in known and earlier["data"][VIEW]["model_id"] in stored:
                output["data"], output["metadata"] = earlier["data"], earlier["metadata"]  # the picture beside it too
    wanted = {view["model_id"] for cell in new["cells"] for view in views(cell)}
    if stored and wanted & stored.keys() - known.keys():
        new["metadata"]["widgets"] = old["metadata"]["widgets"]


def states(notebook: dict) -> dict:
    """The widgets' states that a notebook holds, by their model's id."""
    return notebook["metadata"].get("widgets", {}).get(STATE, {}).get("state", {})


def shows(cell: dict) -> list[dict]:
    """The outputs of a cell that show a widget."""
    return [output for output in cell.get("outputs", []) if VIEW in output.get("data", {})]


def views(cell: dict) -> list[dict]:
    """The widgets that a cell shows."""
    return [output["data"][VIEW] for output in shows(cell)]


def source(cell: dict) -> str:
    return "".join(cell.get("source", []))


if "get_config" in globals():  # JupyterLab reads this file as its configuration
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    get_config().FileContentsManager.pre_save_hook = keep_widgets  # noqa: F821
