"""The run quiz: its Python face. What it draws is tested in tests/book."""

import json

import numpy as np
import pytest

from gdlib.widgets import Case, RunQuiz

PATH = [("Does it fall?", "No."), ("Is the rate high?", "Yes.")]


def case(diagnosis: str = "rate too high", **options) -> Case:
    given = {"name": "A", "losses": {"train loss": [1.0, 2.0]}, "cure": "Lower it.", "path": PATH} | options
    return Case(diagnosis=diagnosis, **given)


def quiz(**options) -> RunQuiz:
    return RunQuiz([case(), case("overfitting"), case()], **options)


def test_trait_slider_and_drawing_are_one_value():
    explorer, seen = quiz(), []
    explorer.observe(lambda change: seen.append(change["new"]), "case")
    (slider,) = explorer.children[0].children
    assert slider.label == "1" and explorer.case == 0
    explorer.case = 2
    assert slider.index == explorer.drawing.case == 2
    slider.index = 1
    assert seen == [2, 1]
    (in_browser,) = [link for link in explorer._links if type(link).__name__ == "Link"]
    assert in_browser.source[0] is slider
    assert (repr(explorer), repr(case())) == ("RunQuiz(case=1)", "Case('A')")
    assert quiz(case=1).drawing.setting == 1


def test_cases_out_of_range_are_clamped_and_said_so():
    explorer = quiz()
    with pytest.warns(UserWarning, match="case must lie between 0 and 2; got 9, took 2"):
        explorer.case = 9
    assert explorer.case == 2
    with pytest.warns(UserWarning, match="case must lie between 0 and 2; got -1, took 0"):
        assert quiz(case=-1).case == 0


def test_a_task_is_shown_from_the_start():
    assert [item["task"] for item in RunQuiz([case(task="digits"), case("overfitting")]).drawing.cases] == [
        "digits",
        "",
    ]


def test_a_line_ends_at_the_first_value_that_is_not_finite():
    (line,) = case(losses={"train loss": [1.0, 2.0, np.inf, 3.0]}).losses
    assert line == {"name": "train loss", "steps": [0, 1], "values": [1.0, 2.0], "stops": 2}
    (line,) = case(losses={"test loss": ([0, 50, 100], [1.0, 2.0, np.nan])}).losses
    assert line == {"name": "test loss", "steps": [0, 50], "values": [1.0, 2.0], "stops": 100}
    (line,) = case(losses={"train loss": [np.nan]}).losses
    assert (line["values"], line["stops"]) == ([], 0)


def test_spikes_survive_the_thinning():
    values = np.random.default_rng(0).uniform(1, 2, 5000)
    values[[1234, 1237]] = 90.0, 0.01
    (line,) = case(losses={"gradient norm": values}).losses
    assert len(line["steps"]) <= 122
    assert line["steps"][0] == 0 and line["steps"][-1] == 4999
    assert line["steps"] == sorted(set(line["steps"]))
    assert {1234, 1237} <= set(line["steps"])
    np.testing.assert_allclose(line["values"], values[line["steps"]], rtol=1e-3)


def test_fourteen_full_cases_stay_below_300_kb():
    values = 10 ** np.random.default_rng(0).uniform(-9, 9, 5000)
    lines = {name: values for name in ("train loss", "test loss", "gradient norm", "learning rate")}
    cases = [case(f"diagnosis {k}", losses=lines, healthy={"train loss": values}) for k in range(14)]
    state = RunQuiz(cases).drawing.get_state()
    assert 100_000 < len(json.dumps({k: v for k, v in state.items() if k != "layout"}, allow_nan=False)) < 300_000
    with pytest.raises(ValueError, match="cases must fit in 300 kB; got [0-9]+ kB"):
        RunQuiz([case(f"diagnosis {k}", losses=lines, healthy=lines) for k in range(20)])


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda: RunQuiz("ab"), TypeError, "cases must be a list of widgets.Case; got str"),
        (lambda: RunQuiz([case(), 3]), TypeError, "cases must be a list of widgets.Case; got int in it"),
        (lambda: RunQuiz([case()]), ValueError, "cases must be 2 to 20; got 1"),
        (lambda: RunQuiz([case(), case()]), ValueError, "cases must have at least two diagnoses; got only 'rate too high'"),
        (lambda: quiz(case="x"), TypeError, "case must be a whole number; got 'x'"),
        (lambda: setattr(quiz(), "case", 0.5), TypeError, "case must be a whole number; got 0.5"),
        (lambda: case(name=3), TypeError, "name must be a string; got 3"),
        (lambda: case(diagnosis=" "), ValueError, "diagnosis must not be empty; got ' '"),
        (lambda: case(cure=None), TypeError, "cure must be a string; got None"),
        (lambda: case(task=3), TypeError, "task must be a string; got 3"),
        (lambda: case(path="why?"), TypeError, r"path must be a list of \(question, answer\); got 'why\?'"),
        (lambda: case(path=[]), ValueError, "path must hold at least one"),
        (lambda: case(path=["why?"]), TypeError, r"path must be a list of \(question, answer\); got 'why\?'"),
        (lambda: case(path=[("why?", 3)]), TypeError, "path must be a string; got 3"),
        (lambda: case(losses=[1.0]), TypeError, "losses must map the names of lines to values; got list"),
        (lambda: case(losses={}), ValueError, "losses must hold 1 to 4 lines; got 0"),
        (lambda: case(losses={"train loss": "x"}), TypeError, r"losses\['train loss'\] must be an array of numbers; got str"),
        (lambda: case(losses={3: [1.0]}), TypeError, "a line's name must be a string; got 3"),
        (lambda: case(losses={"a": ([0, 0], [1.0, 2.0])}), ValueError, r"losses\['a'\] must be rising steps"),
        (lambda: case(healthy=3), TypeError, "healthy must map the names of lines to values; got int"),
        (lambda: case(healthy={"train loss": []}), ValueError, r"healthy\['train loss'\] must be a row of numbers"),
    ],
)  # fmt: skip
def test_bad_input(act, error, said):
    with pytest.raises(error, match=said):
        act()
