"""A real JupyterLab, as `make lab` starts it, with a real kernel behind it: run all, move, steer, save, restart, open again."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page
from visiting import PATIENCE, ROOT

CELLS = [
    "from pathlib import Path\n\nimport torch\n\nfrom gdlib import Trainer, data, models, widgets",
    "explorer = widgets.DescentExplorer(lr=0.1)\nexplorer.observe(lambda change: Path('seen').write_text(str(change.new)), 'lr')\nexplorer",
    "trainer = Trainer(models.mlp(64, 16, 10), data.digits().train, torch.nn.functional.cross_entropy, device='cpu')\n"
    "cockpit = widgets.Cockpit(trainer)\ncockpit",
    "import os\nprint('threads', torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])",
    "reasons = {'yes': 'Only above 0.2.', 'no': '0.1 is below 0.2.'}\n"
    "question = widgets.Question('Too large?', reasons, answer='no', opens=widgets.DescentExplorer(lr=0.1))\n"
    "question.observe(lambda change: Path('answer').write_text(change.new), 'given')\nquestion",
]  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """A folder with two notebooks, and the address of a JupyterLab on it. Nobody says how many threads to use."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "live.ipynb")
    shutil.copy(ROOT / "book" / "index.ipynb", folder / "chapter.ipynb")
    home = tmp_path_factory.mktemp("home")
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    environment |= {"JUPYTER_RUNTIME_DIR": str(home / "runtime"), "JUPYTER_CONFIG_DIR": str(home), "HOME": str(home)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    command = [
        *(sys.executable, "-m", "jupyter", "lab", f"--config={ROOT / 'book' / '_tools' / 'lab.py'}", "--no-browser"),
        *("--allow-root", "--port=0", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"),
        *("--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", str(folder)),
    ]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        while not (found := [*(home / "runtime").glob("jpserver-*.json")]) or not answers(url := address(found[0])):
            assert server.poll() is None, (home / "log").read_text(encoding="utf-8")[-3000:]
            time.sleep(0.2)
        yield folder, url
    finally:
        server.terminate()
        server.wait()


def address(file: Path) -> str:
    try:
        return json.loads(file.read_text(encoding="utf-8"))["url"].replace("localhost", "127.0.0.1")
    except (json.JSONDecodeError, OSError):
        return ""


def answers(url: str) -> bool:
    try:
        return bool(url) and urllib.request.urlopen(f"{url}api", timeout=60).status == 200
    except OSError:
        return False


def command(page: Page, name: str) -> None:
    """Run a command of JupyterLab's, as its menus do."""
    page.evaluate("(name) => jupyterapp.commands.execute(name)", name)


def opened(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}lab/tree/{name}?reset")
    page.wait_for_function("() => window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')")
    page.wait_for_function(
        "() => jupyterapp.shell.currentWidget?.context?.isReady && jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
    )


def run_all(page: Page) -> None:
    """Run every cell and wait for the last."""
    page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(
        """() => { const cells = [...jupyterapp.shell.currentWidget.content.widgets].filter((c) => c.model.type === 'code');
           return cells.every((c) => c.model.executionCount) && jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'; }"""
    )


@pytest.fixture
def page(browser, lab) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def test_sliders_reach_python_and_the_cockpit_steers(lab, page):
    folder, url = lab
    opened(page, url, "live.ipynb")
    run_all(page)
    assert page.locator(".jp-OutputArea-output", has_text="threads 1 1").count(), (
        "JupyterLab's kernel took several threads"
    )
    drawn = page.locator(".gd canvas").first
    drawn.wait_for()
    before = drawn.evaluate("(canvas) => canvas.toDataURL()")
    handle = page.locator(".jp-OutputArea-output .noUi-handle, .jp-OutputArea-output input[type=range]").first
    handle.focus()
    handle.press("ArrowRight")
    page.wait_for_function("(before) => document.querySelector('.gd canvas').toDataURL() !== before", arg=before)
    while not (folder / "seen").exists():
        page.wait_for_timeout(100)
    assert float((folder / "seen").read_text()) > 0.1

    cockpit = page.locator(".gd-cockpit").first
    steps = "() => Number(document.querySelector('.gd-cockpit').dataset.steps)"
    cockpit.get_by_role("button", name="Start").click()
    page.wait_for_function(f"() => ({steps})() > 5")
    cockpit.get_by_role("button", name="Pause").click()
    cockpit.get_by_role("button", name="Continue").or_(cockpit.get_by_role("button", name="Start")).first.wait_for()
    paused = page.evaluate(steps)
    cockpit.get_by_role("button", name="Continue").or_(cockpit.get_by_role("button", name="Start")).first.click()
    page.wait_for_function(f"(paused) => ({steps})() > paused + 5", arg=paused)
    cockpit.get_by_role("button", name="Stop").click()

    asked = page.locator(".gd-prediction")
    asked.scroll_into_view_if_needed()
    assert asked.locator(".gd-descent canvas").first.is_hidden()
    asked.get_by_role("radio", name="no").check()
    asked.get_by_role("button", name="This is my prediction").click()
    asked.locator(".gd-descent canvas").first.wait_for()
    assert "✓ Right. 0.1 is below 0.2." in " ".join(asked.locator(".gd-question").inner_text().split())
    while not (folder / "answer").exists():
        page.wait_for_timeout(100)
    assert (folder / "answer").read_text() == "no"


def test_a_chapter_that_is_run_saved_and_opened_again_keeps_its_pictures(lab, page):
    folder, url = lab
    stored = json.loads((ROOT / "book" / "index.ipynb").read_text(encoding="utf-8"))
    opened(page, url, "chapter.ipynb")
    run_all(page)
    page.locator(".gd canvas").first.wait_for()
    command(page, "docmanager:save")
    page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")
    saved = json.loads((folder / "chapter.ipynb").read_text(encoding="utf-8"))
    views = [
        [output["data"] for cell in notebook["cells"] for output in cell.get("outputs", []) if "application/vnd.jupyter.widget-view+json" in output.get("data", {})]
        for notebook in (stored, saved)
    ]  # fmt: skip
    assert len(views[0]) == len(views[1]) > 0
    assert all("image/png" in data for data in views[1]), "a picture was lost"
    assert saved["metadata"]["widgets"], "the widgets' state was lost"

    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'")
    command(page, "docmanager:save")
    opened(page, url, "chapter.ipynb")
    page.locator(".gd canvas").first.wait_for()
