"""The widgets' arithmetic in a real browser against the library's, and the same widgets with a kernel and with ipywidgets 7."""

import json
import math
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from conftest import PATIENCE, ROOT, SITE, Watched, call, serve
from nbclient import NotebookClient

from gdlib import descent, problems, sweep, widgets
from gdlib.choosing import cost
from gdlib.data import diabetes
from gdlib.widgets.descent import LR, MOMENTUM, landscapes

OWN = {
    "quadratic": problems.Quadratic((1.0, 10.0)),
    "least_squares": problems.LeastSquares(diabetes().train.inputs[:, 4:6], diabetes().train.targets),
    "rosenbrock": problems.Rosenbrock(),
}


@pytest.mark.parametrize("name", OWN)
def test_the_descent_explorer_computes_what_descend_does(page, name):
    """Over the sliders' whole range, divergence included, to 1e-9."""
    generator = np.random.default_rng(0)
    left, right, bottom, top = landscapes()[name]["extent"]
    settings = [
        {
            "start": [generator.uniform(left, right), generator.uniform(bottom, top)],
            "lr": float(10 ** generator.uniform(math.log10(LR[0]), math.log10(LR[1]))),
            "momentum": float(generator.choice([0.0, generator.uniform(*MOMENTUM)])),
            "steps": int(generator.integers(1, 1000)),
        }
        for _ in range(60)
    ]
    limit = OWN[name].max_stable_lr
    settings += [{**settings[0], "lr": ratio * limit, "momentum": 0.0, "steps": 300} for ratio in (0.5, 0.99, 1.01, 2)]
    found = call(
        page,
        widgets.DescentExplorer().drawing._esm,
        "a.settings.map(s => m.descend(m.problemOf(a.name, a.given), s.start, s.lr, s.steps, s.momentum))",
        {"settings": settings, "name": name, "given": landscapes()[name]},
    )
    diverged = 0
    for setting, path in zip(settings, found):
        expected = descent.descend(OWN[name], **setting)
        diverged += expected.diverged
        assert path["diverged"] == expected.diverged
        assert len(path["losses"]) == expected.steps + 1
        points = np.array(path["points"], dtype=float)
        scale = max(1.0, float(expected.points[expected.points.isfinite()].abs().max()))
        np.testing.assert_allclose(points, expected.points.numpy(), rtol=1e-9, atol=1e-9 * min(scale, 1e3))
        np.testing.assert_allclose(np.array(path["losses"], dtype=float), expected.losses.numpy(), rtol=1e-9, atol=1e-9)
    assert 5 < diverged < len(settings)


def test_best_setting_is_the_lowest_of_the_sliders_positions(page):
    found = call(
        page,
        widgets.DescentExplorer().drawing._esm,
        "m.bestSetting(m.problemOf('quadratic', a), [1.6, 1.0], 20)",
        landscapes()["quadratic"],
    )
    grid = [
        descent.descend(OWN["quadratic"], (1.6, 1.0), lr=10 ** (-4 + 0.05 * e), steps=20, momentum=round(0.02 * k, 2))
        for e in range(0, 91, 3)
        for k in range(0, 50, 3)
    ]
    assert found["loss"] <= min(path.losses[-1].item() for path in grid)
    again = descent.descend(OWN["quadratic"], (1.6, 1.0), found["lr"], 20, found["momentum"])
    assert again.losses[-1].item() == pytest.approx(found["loss"], rel=1e-9)


def test_the_calculator_computes_what_cost_does(page):
    generator = np.random.default_rng(0)
    for _ in range(30):
        setting = {
            "parameters": float(10 ** generator.uniform(6, 13)),
            "tokens": float(10 ** generator.uniform(6, 14)),
            "precision": str(generator.choice(["fp32", "mixed"])),
            "optimizer": str(generator.choice(list(cost.STATE_BYTES))),
            "devices": int(generator.integers(1, 4096)),
            "remedy": str(generator.choice(cost.REMEDIES)),
        }
        hardware = cost.HARDWARE[str(generator.choice(list(cost.HARDWARE)))]
        given = setting | {
            "device": hardware._asdict(), "utilization": 0.4, "tokensPerDevice": 2048, "stateBytes": cost.STATE_BYTES,
            "lowRank": cost.LOW_RANK,
        }  # fmt: skip
        found = call(page, widgets.CostCalculator().drawing._esm, "m.costOf(a)", given)
        n, precision = setting["parameters"], setting["precision"]
        remedy = setting["remedy"]
        flops = cost.training_flops(n, setting["tokens"], remedy)
        memory = cost.training_memory(n, precision, setting["optimizer"], remedy)
        activations = cost.activation_memory(n, 2048, precision, remedy)
        days = cost.training_days(flops, setting["devices"], hardware.peak[precision], 0.4)
        expected = memory | {
            "flops": flops,
            "activations": activations,
            "days": days,
            "dollars": days * 24 * setting["devices"] * hardware.price,
            "perDevice": sum(memory.values()) / setting["devices"] + activations,
        }
        for key, value in expected.items():
            assert found[key] == pytest.approx(value, rel=1e-9), key
        needed = cost.devices_needed(sum(memory.values()), hardware.memory, activations)
        assert found["needed"] == (needed if math.isfinite(needed) else math.inf)


def test_the_run_explorer_reads_its_table(page):
    losses = np.random.default_rng(0).uniform(0.1, 3, (3, 2, 4, 7)).astype("<f4")
    losses[2, 1, 3, 4:] = np.inf
    found = call(
        page,
        widgets.RunExplorer(sweep_of(steps=3)).drawing._esm,
        "[m.spread(m.tableOf(new DataView(Uint8Array.from(a).buffer), [3, 2, 4, 7])(1, 0)),"
        " m.spread(m.tableOf(new DataView(Uint8Array.from(a).buffer), [3, 2, 4, 7])(2, 1)),"
        " m.positionsOn('samples', [1, 2], 8, 5, 0.1), m.positionsOn('flops', [1, 2], 8, 5, 0.1),"
        " m.positionsOn('seconds', [1, 2], 8, 5, 0.5), m.positionsOn('steps', [1, 2], 8, 5, 0.5)]",
        list(losses.tobytes()),
    )
    whole, cut, samples, flops, seconds, steps = found
    np.testing.assert_allclose(whole["mean"], losses[1, 0].mean(0), rtol=1e-6)
    np.testing.assert_allclose(whole["low"], losses[1, 0].min(0), rtol=1e-6)
    np.testing.assert_allclose(whole["high"], losses[1, 0].max(0), rtol=1e-6)
    assert (whole["diverged"], cut["diverged"], cut["until"]) == (0, 1, 4)
    assert (samples, flops, seconds, steps) == ([8, 16], [40, 80], [0.5, 1.0], [1, 2])


def sweep_of(steps: int):
    return sweep(
        lambda: torch.nn.Linear(10, 1), diabetes().train, torch.nn.functional.mse_loss,
        lr=[0.01, 0.1], batch_size=[16, 32], steps=steps,
    )  # fmt: skip


CELLS = """
import torch
from gdlib import Trainer, data, models, sweep, widgets
train_data, mse = data.diabetes().train, torch.nn.functional.mse_loss
def train(lr, batch_size):
    return (step.loss for step in Trainer(models.linear(10), train_data, mse, lr=lr, batch_size=batch_size).run(40))
explorer = widgets.RunExplorer(sweep(lambda: models.linear(10), train_data, mse, lr=[0.001, 0.01, 0.1],
    batch_size=[8, 32], steps=40), lr=0.01, batch_size=32, train=train)
bowl = widgets.DescentExplorer(lr=0.1)
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
        "bowl.momentum = 0.5; assert bowl.children[0].children[1].value == 0.5",
        "bowl",
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
        page.wait_for_selector(".gd canvas")
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
