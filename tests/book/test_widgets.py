"""The widgets with a kernel, in JupyterLab, and with ipywidgets 7 as on Colab. Their arithmetic is tested in tests/widgets."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from visiting import PATIENCE, ROOT, SITE, Watched, serve

CELLS = """
import torch
from gdlib import Trainer, data, models, sweep, widgets
train_data, mse = data.diabetes().train, torch.nn.functional.mse_loss
def train(lr, batch_size):
    return (step.loss for step in Trainer(models.linear(10), train_data, mse, lr=lr, batch_size=batch_size).run(40))
explorer = widgets.RunExplorer(sweep(lambda: models.linear(10), train_data, mse, lr=[0.001, 0.01, 0.1],
    batch_size=[8, 32], steps=40), lr=0.01, batch_size=32, train=train)
bowl = widgets.DescentExplorer(lr=0.1)
question = widgets.Question("Too large?", {"yes": "Only above 0.2.", "no": "0.1 is below 0.2."}, answer="no", opens=bowl)
"""


def notebook_of(*sources: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )


IPYWIDGETS7 = Path(sys.prefix) / "ipywidgets-7.7.1"


@pytest.fixture(scope="module")
def colabs_ipywidgets() -> dict[str, str]:
    """An environment in which ``import ipywidgets`` gives 7.7.1, the version on Colab."""
    if not (IPYWIDGETS7 / "ipywidgets").exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", IPYWIDGETS7,
             "ipywidgets==7.7.1", "ipython_genutils==0.2.0"], check=True,
        )  # fmt: skip
    return os.environ | {"PYTHONPATH": str(IPYWIDGETS7)}


def test_with_ipywidgets_7_as_on_colab(colabs_ipywidgets, browser, tmp_path):
    """Made by a kernel with ipywidgets 7.7.1: linked in Python, and alive on a page without a kernel."""
    notebook = notebook_of(
        CELLS,
        "import ipywidgets; assert ipywidgets.__version__ == '7.7.1'\n"
        "rate, size = explorer.children[0].children\n"
        "size.index = 0; assert explorer.batch_size == 8 and explorer.drawing.batch_index == 0\n"
        "explorer.lr = 0.1; assert rate.index == 2\n"
        "bowl.children[0].children[0].value = 0.2; assert bowl.lr == 0.2\n"
        "bowl.momentum = 0.5; assert bowl.children[0].children[1].value == 0.5\n"
        "question.drawing.given = 1; assert question.given == 'no'\n"
        "question.drawing.given = None",
        "question",
    )
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute(env=colabs_ipywidgets)
    state = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]
    slider = next(m for m in state["state"].values() if m["model_name"] == "FloatLogSliderModel")
    assert slider["model_module_version"] == "1.5.0"
    view = notebook.cells[2].outputs[0]["data"]["application/vnd.jupyter.widget-view+json"]
    (tmp_path / "index.html").write_text(
        '<!doctype html><html><head><link rel="icon" href="data:,">'
        '<script defer src="_static/host.js"></script></head><body><div>'
        f'<script type="application/vnd.jupyter.widget-view+json">{json.dumps(view)}</script></div>'
        f'<script type="application/vnd.jupyter.widget-state+json">{json.dumps(state)}</script></body></html>',
        encoding="utf-8",
    )
    (tmp_path / "_static").symlink_to(SITE / "_static")
    server = serve(tmp_path)
    try:
        base = f"http://127.0.0.1:{server.server_port}/"
        context = browser.new_context()
        watched = Watched(context, base)
        page = watched.open(base + "index.html")
        page.get_by_role("radio", name="yes").check()
        page.get_by_role("button", name="This is my prediction").click()
        page.wait_for_selector(".gd canvas")
        assert "Not “yes”. Only above 0.2." in page.locator(".gd-question").inner_text()
        before = page.wait_for_function("() => document.querySelector('.gd-descent').dataset.loss").json_value()
        page.locator(".ui-slider-handle").first.press("ArrowRight")
        page.wait_for_function(f"() => document.querySelector('.gd-descent').dataset.loss !== '{before}'")
        assert watched.wrong == []
        context.close()
    finally:
        server.shutdown()


COCKPIT = """
import torch
from gdlib import Trainer, data, models, widgets
trainer = Trainer(models.mlp(64, 16, 10), data.digits().train, torch.nn.functional.cross_entropy, device="cpu")
cockpit = widgets.Cockpit(trainer, lr=0.01, batch_size=32, steps=10**9)
cockpit
"""


def free_port() -> int:
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return asking.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on a folder with one notebook, on this machine alone."""
    folder, port = tmp_path_factory.mktemp("lab"), free_port()
    nbformat.write(
        notebook_of(
            CELLS + "\nseen = []\nexplorer.observe(lambda change: seen.append(change['new']), 'lr')",
            "explorer",
            "explorer.lr = 0.1",
            "print('lr', explorer.lr, 'batch', explorer.batch_size, 'seen', seen)",
            COCKPIT,
            "print('running', cockpit.running, 'rate', cockpit.lr)",
        ),
        folder / "live.ipynb",
    )
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
         "--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={folder}",
         "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}/"
    try:
        while True:
            try:
                urllib.request.urlopen(base + "api", timeout=2).read()
                break
            except OSError:
                assert server.poll() is None, "JupyterLab stopped"
                time.sleep(0.25)
        yield base
    finally:
        server.terminate()
        server.wait()


def test_in_jupyterlab_the_sliders_are_pythons_values(lab, browser):
    """A slider moved in the browser is seen by Python, a value set in Python moves the drawing, and the button trains."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.goto(lab + "lab/tree/live.ipynb?reset")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.first.wait_for()

    def run(index: int) -> None:
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        prompt = cells.nth(index).locator(".jp-InputPrompt").first
        while not re.search(r"\[[\d*]+\]", prompt.inner_text()):
            cells.nth(index).locator(".cm-content").click()
            page.keyboard.press("Control+Enter")  # which is lost while the page is still starting
            page.wait_for_timeout(500)
        page.wait_for_function(
            "i => /\\[\\d+\\]/.test(document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')[i].textContent)",
            arg=index,
        )

    run(0)
    run(1)
    widget = page.locator(".gd-runs")
    widget.locator("canvas").wait_for()
    page.locator(".jp-CodeCell .noUi-handle").nth(1).press("ArrowLeft")
    page.wait_for_function("() => document.querySelector('.gd-runs').dataset.batch === '8'")
    run(2)
    page.wait_for_function("() => document.querySelector('.gd-runs').dataset.lr === '0.1'")
    run(3)
    cells.nth(3).locator(".jp-OutputArea-output").wait_for()
    assert cells.nth(3).locator(".jp-OutputArea-output").inner_text().strip() == "lr 0.1 batch 8 seen [0.1]"
    widget.get_by_role("button", name="Train this for real").click()
    page.wait_for_function(
        "() => /Trained here \\(lr 0.1, B 8\\): loss/.test(document.querySelector('.gd-runs').innerText)"
    )

    run(4)
    cockpit = page.locator(".gd-cockpit")
    cells.nth(4).scroll_into_view_if_needed()
    cockpit.get_by_role("button", name="Start").click()
    page.wait_for_function("() => Number(document.querySelector('.gd-cockpit').dataset.steps) > 50")
    assert "Running" in cockpit.inner_text()
    cells.nth(4).locator(".noUi-handle").first.press("ArrowRight")
    run(5)  # other cells can be used meanwhile
    cells.nth(5).locator(".jp-OutputArea-output").wait_for()
    said = cells.nth(5).locator(".jp-OutputArea-output").inner_text().split()
    assert said[1] == "True"
    assert float(said[3]) > 0.01
    cockpit.get_by_role("button", name="Stop").click()
    page.wait_for_function("() => document.querySelector('.gd-cockpit').dataset.state === 'stopped'")
    page.close()
