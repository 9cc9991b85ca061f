"""A notebook saved from JupyterLab keeps the widgets that its page shows."""

import json
import sys

import nbformat
import pytest
from jupyter_server.services.contents.filemanager import FileContentsManager
from visiting import ROOT

sys.path.insert(0, str(ROOT / "book" / "_tools"))

from lab import STATE, VIEW, keep_widgets, shows, states, views

STORED = ROOT / "book" / "3-algorithms" / "1-principle.ipynb"


@pytest.fixture
def save(tmp_path):
    """``save(change)`` saves a chapter from JupyterLab after ``change(notebook)``, and returns what the file then holds."""
    manager = FileContentsManager(root_dir=str(tmp_path), pre_save_hook=keep_widgets)
    (tmp_path / "chapter.ipynb").write_bytes(STORED.read_bytes())

    def saved(change) -> dict:
        model = manager.get("chapter.ipynb")
        change(model["content"])
        manager.save(model, "chapter.ipynb")
        return json.loads((tmp_path / "chapter.ipynb").read_text(encoding="utf-8"))

    return saved


def shown(notebook: dict) -> list[str]:
    return [view["model_id"] for cell in notebook["cells"] for view in views(cell)]


def run_again(notebook: nbformat.NotebookNode) -> None:
    """As a kernel leaves it: the same view of a model of another id, whose state is not saved."""
    for cell in notebook["cells"]:
        for output in shows(cell):
            output["data"] = {VIEW: output["data"][VIEW] | {"model_id": "5ca1ab1e" * 4}}


def test_after_a_run_and_after_a_restart_the_widget_is_the_pages(save):
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert len(shown(stored)) > 1

    def restarted(notebook):
        run_again(notebook)
        notebook["metadata"]["widgets"] = {STATE: {"state": {}, "version_major": 2, "version_minor": 0}}

    for change in (lambda notebook: None, run_again, restarted):
        found = save(change)
        assert shown(found) == shown(stored)
        assert states(found) == states(stored)
        assert [shows(cell) for cell in found["cells"]] == [shows(cell) for cell in stored["cells"]]


def test_what_jupyterlab_did_save_is_left_alone(save):
    def with_state(notebook):
        run_again(notebook)
        notebook["metadata"]["widgets"][STATE]["state"] = {"5ca1ab1e" * 4: {"model_name": "LabelModel", "state": {}}}

    assert set(shown(save(with_state))) == {"5ca1ab1e" * 4}


def test_a_cell_that_was_changed_is_not_given_an_older_widget(save):
    def changed(notebook):
        run_again(notebook)
        for cell in notebook["cells"]:
            if views(cell):
                cell["source"] += "\n# changed"

    assert set(shown(save(changed))) == {"5ca1ab1e" * 4}
