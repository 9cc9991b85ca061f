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


def test_the_schedules_of_the_transformer():
    judged, grids = (
        literal(f"3-algorithms/{page}.ipynb", "RECORD") for page in ("3-learning-rate-strategies", "3-deeper")
    )
    for steps, rows in record("transformer_schedules")["steps"].items():
        for name, row in rows.items():
            assert judged[int(steps)][name] == (row["peak"], row["judged"])
            grid, peak = grids[int(steps)][name]
            assert peak == row["peak"]
            assert grid == pytest.approx({float(p): sum(v) / len(v) for p, v in row["grid"].items()}, abs=6e-4)


def test_the_batches_of_the_transformer():
    measured, told = record("transformer_batches")["arms"], literal("4-practice/3-batch-size.ipynb", "RECORD")
    assert told == {name: (row["peak"], row["judged"]) for name, row in measured.items()}
    for row in measured.values():
        grid = {float(peak): sum(losses) for peak, losses in row["grid"].items()}
        assert min(grid, key=grid.get) == row["peak"] and min(grid) < row["peak"] < max(grid)  # no best at an edge


def test_the_real_run():
    page, taken_on = "4-practice/6-real-run.ipynb", record("gpu-nvidia-h200-2026-11-28")
    told = literal(page, "RECORD")
    for row, taken in zip(told["log"], taken_on["run"]["log"], strict=True):
        assert row == pytest.approx(taken, rel=0.005, abs=0.005)
    steps = [row for row in taken_on["steps"] if row["model"] == "124M"]
    names = ("precision", "batch", "compiled", "recompute"), ("median", "min", "max")
    for row, taken in zip(told["steps"], steps, strict=True):
        assert row[:4] == [taken[name] for name in names[0]]
        assert row[4:] == pytest.approx([taken[name] for name in names[1]], abs=6e-5)
    widths = literal(page, "RECORD_WIDTHS")
    for name, row in taken_on["widths"].items():
        assert np.ravel(widths[name]) == pytest.approx(np.ravel(row), abs=6e-5)
    measured = record("real_run")
    assert literal(page, "MEASURED") == {"rates": measured["rates"], **measured["losses"]}


@pytest.mark.parametrize(("page", "name"), [("3-language", "language_rates"), ("2-vision", "vision_rates")])
def test_part_5(page, name):
    measured, told = record(name), literal(f"5-applications/{page}.ipynb", "RECORD")
    for study, rows in told.items():
        assert set(rows) == set(measured[study])
        for arm, row in rows.items():
            found = measured[study][arm]
            judged = [run if isinstance(run, float) else run[1] for run in found["judged"]]
            assert row["best"] == pytest.approx(found["best"], abs=6e-4)
            assert row["judged"] == pytest.approx(judged, abs=6e-4)
            for rate, *_, losses in found["grid"]:
                if "rates" in row and rate in row["rates"]:
                    assert row["rates"][rate] == pytest.approx(sum(losses) / len(losses), abs=6e-4)


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
