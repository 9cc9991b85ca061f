"""Execute the book's notebooks and write them back normalised, so that a run on unchanged sources changes no byte.

    python book/_tools/notebooks.py                 # all of them
    python book/_tools/notebooks.py book/index.ipynb
    python book/_tools/notebooks.py --pictures [...]      # execute nothing: take the widgets' pictures that are missing or old
    python book/_tools/notebooks.py --new-pictures [...]  # or all of them, after a change to how the widgets look

Outputs are made on the CPU. What differs from run to run without saying anything is taken out or made stable: ids of
widgets, timings, versions of the kernel. Cell ids are kept, so a cell's history can be followed.
"""

import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))

import pictures

BOOK = Path(__file__).parents[1]
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
"""Of every kernel: the CPU, and sums whose order does not depend on the number of cores."""
WIDGETS = "application/vnd.jupyter.widget-state+json"


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run all cells of ``notebook`` in place, in a fresh kernel working in ``folder``; the first error stops it."""
    notebook.metadata.pop("widgets", None)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    ).execute(env=os.environ | ENVIRONMENT)


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """``notebook`` without what changes from run to run. Done twice, it changes nothing more."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
        | {key: value for key, value in notebook.metadata.items() if key == "widgets"}
    )
    seen = set()
    for position, cell in enumerate(notebook.cells):
        if cell.get("id") in seen or not cell.get("id"):
            cell["id"] = hashlib.sha256(f"{position} {cell.source}".encode()).hexdigest()[:8]
        seen.add(cell["id"])
        for key in ("execution", "collapsed", "scrolled"):
            cell.metadata.pop(key, None)
    return _stable_widget_ids(notebook)


def _stable_widget_ids(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Number the widgets' random ids by the order in which the kernel made them, in which the file keeps them too."""
    state = notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})
    if not state:
        notebook.metadata.pop("widgets", None)
        return notebook
    names = {old: f"{i:032x}" for i, old in enumerate(state, start=0x9D0000)}
    text = re.sub("|".join(map(re.escape, names)), lambda match: names[match[0]], json.dumps(notebook))
    return nbformat.from_dict(json.loads(text))


def main(paths: list[Path], run: bool, keep_pictures: bool) -> None:
    bar = tqdm(paths, unit="notebook")
    for path in bar:
        bar.set_postfix_str(str(path.relative_to(BOOK)))
        notebook = nbformat.read(path, as_version=4)
        known = pictures.stored(notebook) if keep_pictures else {}
        began = time.perf_counter()
        if run:
            execute(notebook, path.parent)
            notebook = normalise(notebook)
        pictures.put(notebook, known)
        bar.write(f"{time.perf_counter() - began:5.1f} s  {path.relative_to(BOOK)}")
        nbformat.write(notebook, path)


if __name__ == "__main__":
    options = {name for name in sys.argv[1:] if name.startswith("--")}
    names = [Path(name).resolve() for name in sys.argv[1:] if name not in options]
    main(names or sorted(BOOK.glob("**/[!.]*.ipynb")), run=not options, keep_pictures="--new-pictures" not in options)
