"""What a chapter holds of a record in book/_records is what was measured: nobody has typed a number."""

import ast
import json
import sys

import nbformat
import numpy as np
import pytest
from visiting import ROOT

sys.path.insert(0, str(ROOT / "book" / "_tools"))
from optimizers import vertex


def literal(page: str, name: str):
    """The value of ``name`` in the cell of a notebook that writes it out."""
    cells = nbformat.read(ROOT / "book" / page, as_version=4).cells
    (source,) = [cell.source for cell in cells if f"\n{name} = " in f"\n{cell.source}" and cell.cell_type == "code"]
    (value,) = [
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and [target.id for target in node.targets] == [name]
    ]
    return ast.literal_eval(value)


def record(name: str) -> dict:
    return json.loads((ROOT / "book" / "_records" / f"{name}.json").read_text(encoding="utf-8"))


def cells_of(part: dict) -> dict:
    """A part of the record of optimizers by (batch size, steps) and method."""
    found: dict = {}
    for key, row in part.items():
        name, batch, steps = key.split(", ")
        found.setdefault((int(batch.split()[1]), int(steps.split()[0])), {})[name] = row
    return found


def test_the_optimizers_of_long_training():
    measured, told = cells_of(record("optimizers")["perceptron"]), literal("7-trends/2-long-training.ipynb", "RACE")
    assert told.keys() == measured.keys()
    for cell, rows in measured.items():
        assert told[cell].keys() == rows.keys()
        for name, row in rows.items():
            best, judged, grid = told[cell][name]
            assert (best, judged) == (row["best"], row["judged"])
            assert grid == pytest.approx({float(lr): np.mean(losses) for lr, losses in row["grid"].items()}, abs=6e-4)
            rates = sorted(grid)
            assert rates[0] < best < rates[-1], "the best rate lies at the edge of its grid"
            assert max(np.diff(np.log2(rates))) < 0.6, "rates are further apart than √2"


def test_the_widths_of_long_training():
    told, rates = (literal("7-trends/2-long-training.ipynb", name) for name in ("WIDE", "WIDE_RATES"))
    measured = record("optimizers")["widths"]
    assert len(told) == len(measured)
    for (way, decay, width), (best, means) in told.items():
        rows = measured[f"{way}, {decay}, {width}"]
        assert [float(lr) for lr in rows] == rates
        losses = np.array([train for train, _ in rows.values()])
        assert means == pytest.approx(losses.mean(1), abs=6e-4)
        assert best == pytest.approx([vertex(dict(zip(rows, seed))) for seed in losses.T], abs=6e-3)


def test_the_transformer_of_long_training():
    measured, told = cells_of(record("optimizers")["transformer"]), literal("7-trends/2-long-training.ipynb", "GPT")
    assert told == {
        cell: {name: (row["best"], row["judged"]) for name, row in rows.items()} for cell, rows in measured.items()
    }


def test_the_transformer_of_overfitting():
    measured, told = record("small_texts"), literal("7-trends/3-overfitting.ipynb", "SMALL")
    assert told.keys() == measured.keys() - {"about"}
    for name, (lr, decay, *losses) in told.items():
        row = measured[name]
        assert (lr, decay) == (row["lr"], row["decay"])
        assert np.array(losses) == pytest.approx(np.moveaxis(row["judged"], 2, 0), abs=6e-4)
        rates = [float(rate) for rate in row["grids"][str(decay)]]
        assert min(rates) < lr < max(rates), "the best rate lies at the edge of its grid"
