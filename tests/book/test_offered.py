"""The notebooks that the site offers: they read well without the site, and run with nothing but the library's wheel."""

import ast
import pickle
import re
import subprocess
import sys

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from visiting import ROOT, SITE

sys.path.insert(0, str(ROOT / "book" / "_tools"))

import alone
import offered
import site_files

ADDRESS = "https://somebody.github.io/a-book/"
SOURCES = sorted((ROOT / "book").glob("**/[!.]*.ipynb"))
PAGES = [str(path.relative_to(ROOT / "book").with_suffix("")) for path in SOURCES]
HIDDEN = {"hide-input", "hide-cell", "remove-cell", "remove-input"}


@pytest.fixture(scope="module")
def site() -> offered.Site:
    """The built site, as if it had an address."""
    with open(ROOT / "_build" / ".doctrees" / "environment.pickle", "rb") as file:
        env = pickle.load(file)
    return offered.site_of(env, "A book", ADDRESS, site_files.repository_of(ADDRESS), site_files.WHEEL)


def source_of(page: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "book" / f"{page}.ipynb", as_version=4)


@pytest.mark.parametrize("page", PAGES)
def test_it_is_what_the_page_offers(page):
    """The arrow above the title leads to it, and it has no address in it, for there is none yet."""
    html = (SITE / f"{page}.html").read_text(encoding="utf-8")
    assert re.search(rf'href="(\.\./)*_sources/{page}\.ipynb"', html)
    notebook = nbformat.read(SITE / "_sources" / f"{page}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert 'site = "gdlib_book-' in notebook.cells[2].source and ', ""' in notebook.cells[2].source


@pytest.mark.parametrize("page", PAGES)
def test_it_reads_well_outside_the_site(page, site):
    source, notebook = source_of(page), offered.made(source_of(page), page, site)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    words = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    for text in words:
        bare = re.sub(r"^```.*?^```|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
        assert not re.search(r"\{[\w:-]+\}`|^(:::|```)\{", text, re.MULTILINE), "what only the site reads"
        assert not re.search(r"\]\((?!https?:)", bare), "a link that leads nowhere from here"
    assert code[0].source.startswith("# This book's library is gdlib.") and site_files.WHEEL in code[0].source
    for cell in code:
        ast.parse(TransformerManager().transform_cell(cell.source))
        assert bool(HIDDEN & set(cell.metadata.get("tags", []))) <= cell.metadata.get("jupyter", {}).get(
            "source_hidden", False
        )
        assert not [output for output in cell.outputs if offered.VIEW in output.get("data", {})]
    assert "widgets" not in notebook.metadata
    views = sum(offered.VIEW in output.get("data", {}) for cell in source.cells for output in cell.get("outputs", []))
    assert views == str([cell.outputs for cell in code]).count("run this cell") // 2
    captions = [cell for cell in source.cells if cell.metadata.get("mystnb", {}).get("figure", {}).get("caption")]
    assert len(captions) == sum(text.startswith("**Fig. ") for text in words)


@pytest.mark.parametrize("page", PAGES)
def test_its_links_lead_to_what_the_site_has(page, site):
    notebook = offered.made(source_of(page), page, site)
    targets = {target for cell in notebook.cells for target in re.findall(rf"\({ADDRESS}([^)]*)\)", cell.source)}
    assert f"{page}.html" in targets
    for target in targets:
        path, _, anchor = target.partition("#")
        text = (SITE / path).read_text(encoding="utf-8") if path.endswith(".html") else ""
        assert (SITE / path).exists(), target
        assert not anchor or f'id="{anchor}"' in text, target


@pytest.mark.parametrize("page", PAGES)
def test_an_exercise_is_a_cell_and_its_solution_another(page, site):
    source = "\n".join(cell.source for cell in source_of(page).cells if cell.cell_type == "markdown")
    asked = source.split("## Exercises")[1].split("\n## ")[0] if "## Exercises" in source else ""
    numbers = [int(n) for n in re.findall(r"^\*\*(\d+)\. ", asked, re.MULTILINE)]
    cells = [cell for cell in offered.made(source_of(page), page, site).cells if "exercise" in cell.metadata]
    for number in numbers:
        parts = [cell for cell in cells if cell.metadata.exercise.number == number]
        kinds = [cell.metadata.exercise["is"] for cell in parts]
        assert kinds[0] == "text" and parts[0].source.startswith(f"**{number}. ")
        assert len(re.findall(r"^\*\*\d+\. ", parts[0].source, re.MULTILINE)) == 1
        assert kinds == sorted(kinds, key=["text", "answer", "check", "solution", "code"].index)
    for cell in cells:
        assert cell.metadata.exercise["is"] in ("solution", "code") or "<summary>Solution" not in cell.source
    assert {cell.metadata.exercise.number for cell in cells} == set(numbers)


def test_notes_and_warnings_are_quoted(site):
    text = ":::{note}\nSee {term}`loss`.\n\nTwice.\n:::\n\n```{warning} Mind\n:class: tip\nthis\n```\n\n```python\nx = {1}\n```"
    said = offered.in_words(text, "index", site)
    link = f"[loss]({ADDRESS}appendix/glossary.html#term-loss)"
    assert said == f"> **Note**\n>\n> See {link}.\n>\n> Twice.\n\n> **Mind**\n>\n> this\n\n```python\nx = {{1}}\n```"


def first_cell(site: offered.Site) -> str:
    return offered.install(nbformat.v4.new_notebook(), site).source


@pytest.mark.parametrize("there", ["ours", "a stranger's", "none, and no address"])
def test_the_first_cell_says_what_to_do(tmp_path, site, there):
    code = first_cell(site._replace(address="")).replace("%pip", "# %pip")
    (tmp_path / "cell.py").write_text(code.replace("    # %pip", "    pass  # %pip"), encoding="utf-8")
    if there == "a stranger's":
        (tmp_path / "gdlib.py").write_text("game = 1\n", encoding="utf-8")
    python = sys.executable if there == "ours" else alone.python_without_gdlib(tmp_path / "python", [])
    done = subprocess.run(
        [python, "cell.py"], cwd=tmp_path, env=alone.environment(), capture_output=True, text=True, check=False
    )
    if there == "ours":
        assert done.returncode == 0, done.stderr
    elif there == "a stranger's":
        assert "another library of that name" in done.stderr and "%pip uninstall -y gdlib" in done.stderr
    else:
        assert f"Put {site_files.WHEEL}" in done.stderr


def test_the_first_cell_leaves_small_models_one_thread(tmp_path, site):
    """Where nobody says otherwise; a number that is set stays."""
    script = first_cell(site).replace("%pip", "# %pip").replace("    # %pip", "    pass  # %pip")
    script += "\nimport torch\nprint(torch.get_num_threads())"
    for given, threads in ({}, "1"), ({"OMP_NUM_THREADS": "2"}, "2"):
        env = alone.environment() | given
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, check=True)
        assert done.stdout.decode().strip() == threads


def test_one_runs_from_an_empty_folder_with_the_wheel_alone(tmp_path):
    """The front page's, and nobody says how many threads; `python book/_tools/alone.py` runs them all."""
    (wheel,) = SITE.glob("*.whl")
    (tmp_path / "empty folder").mkdir()
    python = alone.python_without_gdlib(tmp_path / "python", [])
    ran = alone.run(SITE / "_sources" / "index.ipynb", wheel, python, tmp_path / "empty folder")
    notebook = nbformat.read(ran, as_version=4)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert any(offered.VIEW in output.data for output in shown), "the widget was not made"


def test_the_branch_for_colab_and_binder_installs_the_library_that_it_holds(tmp_path):
    offered.write_branch(SITE, tmp_path / "branch")
    (wheel,) = (tmp_path / "branch").glob("*.whl")
    assert f"./{wheel.name}[all]" in (tmp_path / "branch" / ".binder" / "requirements.txt").read_text(encoding="utf-8")
    assert {
        str(path.relative_to(tmp_path / "branch").with_suffix("")) for path in (tmp_path / "branch").rglob("*.ipynb")
    } == set(PAGES)
