"""The widgets' JavaScript: its own unit tests, its arithmetic against the library's, and the modules that notebooks carry."""

import json
import math
import subprocess
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from node import NODE

from gdlib import History, Trainer, data, descent, models, problems, widgets
from gdlib.choosing import cost
from gdlib.widgets import _base, _table, along, predictions
from gdlib.widgets.descent import LR, MOMENTUM, landscapes
from gdlib.widgets.plan import RULES
from gdlib.widgets.schedule import STRATEGIES, schedule_of

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "gdlib" / "widgets").glob("*.js"))
SAME = ("flops", "sequences", "batch", "steps", "lr", "network", "days", "dollars")
"""What a plan has under one name in Python and in JavaScript."""
OWN = {
    "quadratic": problems.Quadratic((1.0, 10.0)),
    "least_squares": problems.LeastSquares(data.diabetes().train.inputs[:, 4:6], data.diabetes().train.targets),
    "rosenbrock": problems.Rosenbrock(),
}


def test_unit_tests():
    files = sorted(map(str, (ROOT / "tests" / "js").glob("*.test.js")))
    done = subprocess.run([NODE, "--test", *files], capture_output=True, encoding="utf-8", cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(files) >= 6


def test_notebooks_carry_one_module_a_widget(call):
    """All that a widget imports is in it, once: it imports nothing, and runs by itself."""
    assert len(NAMES) == 13
    for name in NAMES:
        text = _base.module(name)
        assert "import " not in text.replace("import type", "")
        assert text.count("export default") == 1
        assert call(name, "typeof m.default.render", None) == "function"


def test_no_line_is_wider_than_a_window():
    for path in (ROOT / "gdlib" / "widgets").rglob("*.*"):
        if path.suffix in (".js", ".css"):
            wide = [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 120]
            assert not wide, path


def test_a_module_is_read_with_all_that_it_needs_before_it(tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "one.js").write_text("// One.\nexport const one = 1;\n")
    (tmp_path / "shared" / "two.js").write_text('import { one } from "./one.js";\n\nexport const two = 2 * one;\n')
    (tmp_path / "sum.js").write_text(
        'import {\n  one,\n} from "./shared/one.js";\nimport { two } from "./shared/two.js";\n\n  const sum = one + two;\n'
    )
    monkeypatch.setattr(_base, "HERE", tmp_path)
    assert _base.module("sum") == "export const one = 1;\nexport const two = 2 * one;\nconst sum = one + two;\n"


@pytest.mark.parametrize("name", OWN)
def test_the_descent_explorer_computes_what_descend_does(call, name):
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
        for _ in range(40)
    ]
    limit = OWN[name].max_stable_lr
    settings += [{**settings[0], "lr": ratio * limit, "momentum": 0.0, "steps": 300} for ratio in (0.5, 0.99, 1.01, 2)]
    given = {"settings": settings, "name": name, "given": landscapes()[name]}
    expression = "a.settings.map(s => m.descend(m.problemOf(a.name, a.given), s.start, s.lr, s.steps, s.momentum))"
    diverged = 0
    for setting, path in zip(settings, call("descent", expression, given)):
        expected = descent.descend(OWN[name], **setting)
        diverged += expected.diverged
        assert path["diverged"] == expected.diverged
        assert len(path["losses"]) == expected.steps + 1
        points = np.array(path["points"], dtype=float)
        scale = max(1.0, float(expected.points[expected.points.isfinite()].abs().max()))
        np.testing.assert_allclose(points, expected.points.numpy(), rtol=1e-9, atol=1e-9 * min(scale, 1e3))
        np.testing.assert_allclose(np.array(path["losses"], dtype=float), expected.losses.numpy(), rtol=1e-9, atol=1e-9)
    assert 3 < diverged < len(settings)


def test_the_calculator_computes_what_cost_does(call):
    generator, given = np.random.default_rng(0), []
    for precision, optimizer, remedy, hardware in product(
        ("fp32", "mixed"), cost.STATE_BYTES, cost.REMEDIES, cost.HARDWARE
    ):
        given.append(
            {
                "parameters": float(10 ** generator.uniform(6, 13)),
                "tokens": float(10 ** generator.uniform(6, 14)),
                "devices": int(generator.integers(1, 4096)) if generator.random() < 0.8 else 1,
                "device": cost.HARDWARE[hardware]._asdict(),
                "utilization": 0.4,
                "tokensPerDevice": 2048,
                "stateBytes": cost.STATE_BYTES,
                "lowRank": cost.LOW_RANK,
                **{"precision": precision, "optimizer": optimizer, "remedy": remedy},
            }
        )
    for setting, found in zip(given, call("cost", "a.map(m.costOf)", given)):
        n, precision, remedy, device = (setting[key] for key in ("parameters", "precision", "remedy", "device"))
        flops = cost.training_flops(n, setting["tokens"], remedy)
        memory = cost.training_memory(n, precision, setting["optimizer"], remedy)
        activations = cost.activation_memory(n, 2048, precision, remedy)
        copies = cost.working_weights(n, precision, remedy, setting["devices"])
        days = cost.training_days(flops, setting["devices"], device["peak"][precision], 0.4)
        beside = activations + cost.working_weights(n, precision, remedy, 2)
        expected = memory | {
            "flops": flops,
            "activations": activations,
            "days": days,
            "dollars": days * 24 * setting["devices"] * device["price"],
            "copies": copies,
            "perDevice": sum(memory.values()) / setting["devices"] + copies + activations,
            "needed": max(2, cost.devices_needed(sum(memory.values()), device["memory"], beside)),
        }
        assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-9)


def test_the_planner_plans_what_cost_does(call):
    generator, given = np.random.default_rng(1), []
    for hardware, link, utilization in product(cost.HARDWARE, cost.LINKS, (0.1, 0.4)):
        for k in range(9):
            # The first is one that a single small device can recompute.
            parameters = float(10 ** generator.uniform(7.5, 12)) if k else 1.12e9
            given.append(
                {
                    "parameters": parameters,
                    "tokens": float(parameters * 10 ** generator.uniform(0.5, 2.5)),
                    "devices": int(10 ** generator.uniform(0, 3.6)) if k and generator.random() < 0.8 else 1,
                    "device": cost.HARDWARE[hardware]._asdict(),
                    "speed": cost.LINKS[link],
                    "names": [hardware, link],
                    "utilization": utilization,
                    **RULES,
                }
            )
    seen = set()
    for setting, found in zip(given, call("plan", "a.map(m.planOf)", given)):
        hardware, link = setting["names"]
        plan = cost.plan(
            setting["parameters"], setting["tokens"], setting["devices"], hardware, setting["utilization"], link
        )
        seen.add((plan.way, plan.remedy, plan.fits))
        assert [found[key] for key in ("way", "remedy", "fits")] == [plan.way, plan.remedy, plan.fits]
        numbers = {"pieces": plan.micro_batches, **{key: getattr(plan, key) for key in SAME}}
        assert {key: found[key] for key in numbers} == pytest.approx(numbers, rel=1e-9)
        assert found["memory"] == pytest.approx(plan.memory, rel=1e-9)
        assert [found["shape"][key] for key in ("layers", "h", "all")] == pytest.approx(
            [plan.shape.layers, plan.shape.width, plan.shape.parameters], rel=1e-9
        )
    assert len(seen) >= 7, "every way, with and without a remedy, and some that do not fit"


def test_the_workshop_computes_the_schedules_of_the_library(call):
    settings = [
        {"strategy": strategy, "lr": lr, "shape": shape, "warmup": warmup, "steps": steps}
        for strategy, lr, shape, warmup, steps in product(
            STRATEGIES, (1e-5, 3.0), (0.0, 0.05, 1 / 3, 0.5, 0.875, 1.0), (0.0, 0.07, 0.5), (2, 9, 301)
        )
    ]
    for setting, rates in zip(settings, call("schedule", "a.map(s => m.scheduleOf(s, s.steps))", settings)):
        schedule = schedule_of(**setting)
        expected = [schedule(step) for step in range(setting["steps"])]
        np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=1e-15 * setting["lr"], err_msg=str(setting))


@pytest.mark.parametrize("shift", [0.0, -5.0])
def test_packed_curves_are_read_back_below_zero_too(call, shift):
    losses = np.random.default_rng(0).uniform(0.01, 30, (4, 3, 7)) + shift
    losses[2, 1, 4:] = np.inf
    table, scale = _table.pack([losses])
    given = {"table": list(table), "scale": scale}
    found = call("schedule", "m.unpack(new DataView(Uint8Array.from(a.table).buffer), a.scale)", given)
    expected = losses.ravel()
    assert np.isinf(found).tolist() == np.isinf(expected).tolist()
    np.testing.assert_allclose(found, expected, rtol=1e-3 if not shift else 0, atol=1e-3 if shift else 0)
    assert len(scale) == (3 if shift else 2)


def test_tables_of_runs_are_read_as_they_are_written(call):
    losses = np.random.default_rng(0).uniform(0.1, 3, (3, 2, 4, 7)).astype("<f4")
    losses[2, 1, 3, 4:] = np.inf
    expression = "[[1, 0], [2, 1]].map(([i, j]) => m.spread(m.tableOf(Uint8Array.from(a), [3, 2, 4, 7])(i, j)))"
    whole, cut = call("runs", expression, list(losses.tobytes()))
    for key, f in (("mean", np.mean), ("low", np.min), ("high", np.max)):
        np.testing.assert_allclose(whole[key], f(losses[1, 0], axis=0), rtol=1e-6)
    assert (whole["diverged"], cut["diverged"], cut["until"]) == (0, 1, 4)


def test_losses_snapshots_and_classes_of_a_step_are_pythons(call):
    curve = {"at": [0, 3, 9, 20], "losses": [2.0, 1.0, 0.5, 0.4], "steps": [0, 4, 21]}
    asked = [0, 1, 3, 4, 9, 20, 21]
    found = call(
        "predictions", "a.asked.map(s => [m.lossAt(a.curve, s), m.snapshotAt(a.curve, s)])",
        {"curve": curve, "asked": asked},
    )  # fmt: skip
    for step, (loss, k) in zip(asked, found):
        assert loss == along.loss_at(curve, step)
        assert curve["steps"][k] == max(s for s in curve["steps"] if s <= step)
    codes = np.random.default_rng(0).integers(0, predictions.UNKNOWN, (5, 6, 4))
    codes[1, 2] = predictions.UNKNOWN
    best = np.array(call("predictions", "a.map(rows => rows.map(r => m.predicted(r).best))", codes.tolist()))
    targets = [0, 1, 2, 3, 0, 1]
    assert ((best == targets) == predictions.right(codes, targets)).all()
    assert best[1, 2] == -1


def test_the_loss_at_a_rate_lies_between_those_tried(call):
    lrs, smoothed = [1e-3, 1e-2, 0.1, 1.0, 10.0], [2.0, 1.95, 1.2, 0.5, 4.0]
    rates = [5e-4, 3e-3, 0.03, 0.1, 0.95, 1.05, 5.0, 20.0]
    found = call("range_test", "a[0].map(v => m.lossAt(v, a[1], a[2]))", [rates, lrs, smoothed])
    np.testing.assert_allclose(found, np.interp(np.log(rates), np.log(lrs), smoothed), rtol=1e-12)


def test_a_recorded_session_is_that_of_the_history(call):
    torch.manual_seed(0)
    trainer = Trainer(models.linear(10), data.diabetes().train, torch.nn.functional.mse_loss, device="cpu", lr=0.01)
    history = History()
    for step in trainer.run(120, history=history):
        trainer.lr, trainer.batch_size = (0.02, 16) if step.index > 50 else (0.01, 64)
    recording = list(widgets.Cockpit(trainer, recorded=history).drawing.recording)
    session = call("cockpit", "m.sessionOf(new Uint8Array(a))", recording)
    for name, column in (("losses", "loss"), ("lrs", "lr"), ("sizes", "batch_size")):
        np.testing.assert_allclose(session[name], getattr(history, column), rtol=1e-6)
    thin = call("cockpit", "m.thinned(a, 40)", session["losses"])
    assert len(thin) == 40
    assert np.mean([value for _, value in thin]) == pytest.approx(history.loss.mean())


def test_numbers_are_short_and_true(call):
    """Every number that a widget writes is within half a unit of its last digit."""
    values = [float(f"{m}e{e}") for m in (1, 1.05, 3.14159, 9.94, 9.99, 9.999) for e in range(-30, 30)]
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    for value, text in zip(values, call("descent", "a.map(v => m.short(v))", values)):
        factor, power = 1.0, 0.0
        if "10" in text and any(c in text for c in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"):
            factor, power = (
                float(text.split(" × ")[0]) if "×" in text else 1.0,
                float(text.rsplit("10", 1)[1].translate(digits)),
            )
            assert factor < 10
            assert factor * 10**power == pytest.approx(value, rel=0.05)
        else:
            assert float(text) == pytest.approx(value, rel=0.005)


def test_stored_widgets_carry_the_code_of_today():
    """Else: python book/_tools/refresh_widgets.py."""
    found = 0
    for path in sorted((ROOT / "book").glob("**/[!.]*.ipynb")):
        stored = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("widgets", {})
        for model in stored.get("application/vnd.jupyter.widget-state+json", {}).get("state", {}).values():
            home, _, name = model["state"].get("_anywidget_id", "").rpartition(".")
            if home.startswith("gdlib."):
                kind = getattr(import_module(home), name)
                assert model["state"]["_esm"] == str(kind._esm), f"{path} has an older {name}"
                assert model["state"]["_css"] == str(kind._css), f"{path} has older styles"
                found += 1
    assert found >= 20
