"""book/conftest.py: what `pytest --nbval` lets pass and what not, by itself, on the book's own outputs, and as a teacher runs it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).parents[2] / "book"
spec = importlib.util.spec_from_file_location("nbval_conftest", BOOK / "conftest.py")
nbval = importlib.util.module_from_spec(spec)
spec.loader.exec_module(nbval)


def held(stored: str, fresh: str, **metadata) -> bool:
    return nbval.difference(stored, fresh, nbval.Tolerance(**metadata)) is None


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("loss 0.443", "loss 0.444"),  # measured
        ("loss 0.443", "loss 0.4429999"),
        ("from 1.0 to 9.9", "from 1.1 to 10.1"),  # one unit of the last digit, where two are printed
        ("nan inf -inf", "nan inf -inf"),
        ("slope 0.00", "slope -0.00"),
        ("1.7e-09 1.04e+69", "1.75e-09 1.03e+69"),
        ("0.1", "0.099"),  # %.2g drops what would be a zero
        ("47% of 90° at 3.86 %", "46% of 89° at 3.91 %"),
        ("2.05 GB, 6.7B", "2.07 GB, 6.6B"),
        ("1,024.5 tokens", "1,031.0 tokens"),
        ("−0.513", "-0.512"),  # whichever minus
        ("lr  9.98: 3", "lr 10.01: 3"),  # padded to a column
        ("| a   | 9.98 |\n|-----|------|", "| a  | 10.01 |\n|----|-------|"),
        ("tensor([ 1.2345, -0.3333])", "tensor([1.2346, -0.3334])"),
        ("[[0.1234 1.    ]\n [2.     3.    ]]", "[[0.1235 1.    ]\n [2.     3.    ]]"),
        ("[1. 2.]", "[1.001 2.   ]"),
        ("{'lr': 0.125, 'n': [np.float64(0.333)]}", "{'lr': 0.126, 'n': [np.float64(0.334)]}"),
        ("array([0.51, 0.52], dtype=float32)", "array([0.51, 0.53], dtype=float32)"),
        ("<td>0.512</td>", "<td>0.513</td>"),
        ("between 0.10-0.20", "between 0.10-0.21"),
    ],
)
def test_what_means_the_same_passes(stored, fresh):
    assert held(stored, fresh)
    assert held(fresh, stored)


@pytest.mark.parametrize(
    ("stored", "fresh"),
    [
        ("loss 0.443", "loss 0.52"),
        ("loss 0.1", "loss 0.2"),  # printed with one digit: no unit to spare
        ("loss 0.443", "loss -0.443"),
        ("loss 0.443", "loss nan"),
        ("inf", "-inf"),
        ("inf", "1e300"),
        ("1e-10", "2e-10"),
        ("1.5e-09", "1.5e-08"),
        ("47%", "53%"),
        ("360 samples", "361 samples"),
        ("1,437 samples", "1,438 samples"),
        ("step 20.", "step 21."),  # the end of a sentence is no decimal point
        ("[20, 0.5]", "[21, 0.5]"),
        ("-3 steps", "3 steps"),
        ("fp32 1.5", "fp16 1.5"),
        ("conv2d", "conv1d"),
        ("torch 2.13.0", "torch 2.12.0"),
        ("the loss falls", "the loss rises"),
        ("0.5 falls", "0.5 rises"),
        ("one\ntwo\n", "one\n"),
        ("one\ntwo\n", "one\ntwo\nthree\n"),
        ("0.5\n0.5\n", "0.5\n"),
        ("0.5 0.6", "0.5"),
        ("0.5", "0.5 0.6"),
        ("1 2", "12"),
        ("0.5 s", "0.5 ms"),
        ("True", "False"),
        ("0.1-0.2", "0.1 0.2"),
        ("tensor([0.1234, 1.])", "tensor([0.1234, 2.])"),
        ("<td>0.512</td>", "<th>0.512</th>"),
    ],
)
def test_what_means_something_else_fails(stored, fresh):
    assert not held(stored, fresh)
    assert not held(fresh, stored)


def test_a_cell_can_say_otherwise():
    assert not held("0.443", "0.448", digits=3) and held("0.443", "0.444", digits=3)
    assert held("0.1", "0.2", digits=1) and not held("0.1", "0.3", digits=1)
    assert held("1e-17", "-3e-17", absolute=1e-12) and not held("1e-11", "-3e-11", absolute=1e-12)
    assert held("1000 steps", "1012 steps", whole=True) and not held("1000 steps", "1080 steps", whole=True)
    with pytest.raises(TypeError, match="digit"):
        nbval.Tolerance(digit=3)


def test_the_difference_is_named():
    said = nbval.difference("a 0.5\nb 0.50\n", "a 0.5\nb 0.62\n", nbval.Tolerance())
    assert said == "line 2: 0.50 is stored, 0.62 came (held to 2 digits)"
    assert "7 is stored, 8 came (a count)" in nbval.difference("7", "8", nbval.Tolerance())
    assert "0.6 is stored, no number came" in nbval.difference("0.5 0.6", "0.5", nbval.Tolerance())


def outputs(path: Path) -> list[tuple[str, dict]]:
    """The texts that a notebook stores, each with what its cell says of the tolerance."""
    return [
        (text, cell.metadata.get("tolerance", {}))
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        for text in (output.get("text"), *(t for kind, t in output.get("data", {}).items() if kind.startswith("text")))
        if text
    ]


@pytest.mark.parametrize("path", sorted(BOOK.glob("**/[!.]*.ipynb")), ids=lambda path: str(path.relative_to(BOOK)))
def test_every_number_of_the_book_is_held(path):
    """Each output equals itself; with any one number made half as large again, without any one line, or word, it does not."""
    for text, metadata in outputs(path):
        tolerance = nbval.Tolerance(**metadata)
        assert nbval.difference(text, text, tolerance) is None
        for found in nbval.NUMBER.finditer(text):
            number = nbval.Number(found)
            if number.value.is_finite() and abs(number.value) > 2 * tolerance.absolute and "digits" not in metadata:
                more = number.value * Decimal("1.5")
                more = f"{round(more) if number.count else more}"
                if number.count and abs(number.value) == 1:
                    more = "2"
                changed = text[: found.start()] + more + text[found.end() :]
                assert nbval.difference(text, changed, tolerance), (text, found[0], more)
        lines = text.splitlines(keepends=True)
        for i in range(len(lines) if len(lines) > 1 else 0):
            assert nbval.difference(text, "".join(lines[:i] + lines[i + 1 :]), tolerance), (text, i)
        for found in re.finditer(r"[a-zA-Z]{3,}", nbval.NUMBER.sub(lambda number: " " * len(number[0]), text)):
            changed = text[: found.start()] + "anotherword" + text[found.end() :]
            assert nbval.difference(text, changed, tolerance), (text, found[0])


CELLS = {
    "within": ("print('loss', 0.4431, 7, 'steps')", "loss 0.4425 7 steps\n", {}),
    "beyond": ("print('loss', 0.4431)", "loss 0.51\n", {}),
    "count": ("print(360, 'samples')", "361 samples\n", {}),
    "word": ("print('it falls')", "it rises\n", {}),
    "line": ("print('one')", "one\ntwo\n", {}),
    "narrow": ("print(0.4431)", "0.4460\n", {"digits": 3}),
    "wide": ("print(0.2)", "0.1\n", {"digits": 1}),
    "typo": ("print(0.2)", "0.2\n", {"digit": 1}),
    "nothing": ("print(0.2)", None, {}),
    "threads": ("import os; print(os.environ['OMP_NUM_THREADS'])", "1\n", {}),
}
PASS = {"within", "wide", "threads"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """The book's folder with this one notebook and what it compares with, elsewhere, under an awkward name."""
    folder = tmp_path_factory.mktemp("teacher's copy") / "book"
    folder.mkdir()
    shutil.copy(BOOK / "conftest.py", folder)
    cells = []
    for number, (source, text, tolerance) in enumerate(CELLS.values(), start=1):
        shown = [] if text is None else [nbformat.v4.new_output("stream", name="stdout", text=text)]
        cell = nbformat.v4.new_code_cell(source, outputs=shown, execution_count=number)
        cell.metadata["tolerance"] = tolerance
        cells.append(cell)
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "made up.ipynb")
    return folder


@pytest.mark.parametrize("place", ["beside the folder", "in the folder", "elsewhere, two at a time"])
def test_as_a_teacher_runs_it(copied, tmp_path, place):
    where, what, more = {
        "beside the folder": (copied.parent, "book", []),
        "in the folder": (copied, "made up.ipynb", []),
        "elsewhere, two at a time": (tmp_path, str(copied / "made up.ipynb"), ["-n", "2", "--dist", "loadscope"]),
    }[place]
    report = tmp_path / "report.xml"
    environment = {key: value for key, value in os.environ.items() if key not in nbval.KERNEL}
    command = [sys.executable, "-m", "pytest", "--nbval", what, *more, f"--junitxml={report}", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    cases = ET.parse(report).getroot().iter("testcase")
    passed = {name for name, case in zip(CELLS, cases, strict=True) if not list(case)}
    assert passed == PASS, done.stdout[-5000:]
    assert "line 1: 0.51 is stored, 0.4431 came (held to 2 digits)" in done.stdout
    assert "line 1: 361 is stored, 360 came (a count)" in done.stdout
