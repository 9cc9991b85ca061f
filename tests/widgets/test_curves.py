"""The curve explorer's Python face, and its table against what draw() gave. How it behaves is tested in tests/book."""

import math

import numpy as np
import pytest

from gdlib.widgets import Axis, CurveExplorer

RATES, MOMENTA = [0.1, 0.5, 1.0, 2.5], [0.0, 0.9]
STEPS = np.arange(6)
X, Y = Axis("step", 0, 5), Axis("error", 1e-3, 10, log=True)


def draw(lr, momentum):
    return {"error": (STEPS, abs(1 - lr) ** STEPS), "_limit": ([0, 5], [1 + momentum, math.nan])}


def made(**changed) -> CurveExplorer:
    given = dict(draw=draw, sliders={"rate": RATES, "momentum": MOMENTA}, x=X, y=Y, start=[0.5, 0.9])
    return CurveExplorer(**given | {"say": lambda lr, m: f"{lr} and {m}", "looks": {"_limit": "red dashed"}} | changed)


def test_setting_sliders_and_drawing_are_one_value():
    explorer, seen = made(), []
    explorer.observe(lambda change: seen.append(change["new"]), "setting")
    rate, momentum = explorer.children[0].children
    assert (rate.options, rate.index, momentum.index) == (("0.1", "0.5", "1", "2.5"), 1, 1)
    rate.index = 3
    assert explorer.setting == {"rate": 2.5, "momentum": 0.9}
    explorer.setting = {"momentum": 0.0}
    assert (explorer.drawing.index_0, explorer.drawing.index_1, momentum.index) == (3, 0, 0)
    assert seen[-1] == {"rate": 2.5, "momentum": 0.0}
    explorer.setting = {"rate": 0.4}
    assert explorer.setting["rate"] == 0.5
    with pytest.warns(UserWarning, match=r"rate must lie between 0.1 and 2.5"):
        explorer.setting = {"rate": 7}
    assert repr(explorer) == "CurveExplorer(setting={'rate': 2.5, 'momentum': 0.0})"
    in_browser = [link for link in explorer._links if type(link).__name__ == "Link"]
    assert {link.source[0] for link in in_browser} == {rate, momentum}


def test_what_the_page_draws_is_what_draw_gave(call):
    """To a thousandth of an axis' length, for every setting; beyond an axis it is cut at half its length."""
    drawing = made().drawing
    codes = np.frombuffer(drawing.table, "<u2").tolist()
    for i, lr in enumerate(RATES):
        for j, momentum in enumerate(MOMENTA):
            row = call("curves", "m.rowOf(a[0], a[1])", [drawing.knobs, [i, j]])
            assert drawing.said[row] == f"{lr} and {momentum}"
            error, limit = call("curves", "m.curvesAt(...a)", [codes, drawing.points, row])
            values = abs(1 - lr) ** STEPS.astype(float)
            with np.errstate(divide="ignore"):
                wanted = np.clip((np.log10(values) + 3) / 4, -0.5, 1.5)
            assert np.allclose(error, np.stack([STEPS / 5, wanted], axis=1), atol=1e-4)
            assert np.allclose(limit, [[0, (math.log10(1 + momentum) + 3) / 4]], atol=1e-4)  # NaN is not drawn


def test_a_slider_may_have_names_for_values_and_whole_numbers_stay_whole():
    seen = []
    explorer = CurveExplorer(
        lambda model, steps: seen.append((model, steps)) or {"loss": ([0], [1])},
        {"model": ["small", "large"], "steps": [1, 2]}, X, Axis("loss", 0, 2), ["large", 1], lambda model, steps: model,
    )  # fmt: skip
    assert seen == [("small", 1), ("small", 2), ("large", 1), ("large", 2)]
    assert all(type(steps) is int for _, steps in seen)
    assert explorer.children[0].children[0].options == ("small", "large")
    explorer.setting = {"model": "small"}
    assert (explorer.drawing.index_0, explorer.setting) == (0, {"model": "small", "steps": 1})
    with pytest.raises(ValueError, match="model must be one of 'small', 'large'; got 'huge'"):
        explorer.setting = {"model": "huge"}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"sliders": [RATES]}, TypeError, "sliders must map names to values"),
        ({"sliders": {}}, ValueError, "sliders must be one to three; got 0"),
        (
            {"sliders": {"rate": [1.0, 0.5], "momentum": MOMENTA}},
            ValueError,
            "sliders must have two values at least, rising",
        ),
        ({"sliders": {"rate": ["a", "a"], "momentum": MOMENTA}}, ValueError, "or different strings"),
        ({"sliders": {"rate": ["a", 1], "momentum": MOMENTA}}, TypeError, "rate must be a number; got 'a'"),
        ({"start": [0.5]}, ValueError, "start must have a value for each of rate, momentum"),
        ({"start": [0.4, 0.9]}, ValueError, "start must be one of 0.1, 0.5, 1.0, 2.5; got 0.4"),
        ({"x": "step"}, TypeError, "x must be a widgets.Axis; got str"),
        ({"say": lambda lr, m: lr}, TypeError, "say must give a string for each setting"),
        ({"looks": {"other": "red"}}, ValueError, "looks must be of the curves error, _limit; got other"),
        ({"looks": {"error": "puce"}}, ValueError, "looks must be one of 'blue'"),
        ({"looks": {"error": "red wavy"}}, ValueError, "looks must be one of 'line'"),
        ({"draw": lambda lr, m: {}}, TypeError, "draw must give a dict of curves"),
        ({"draw": lambda lr, m: {"error": ([0, 1], [1])}, "looks": {}}, ValueError, "two rows of equal length"),
        ({"draw": lambda lr, m: {str(lr): ([0, 1], [1, 1])}, "looks": {}}, ValueError, "the same curves"),
        ({"draw": lambda lr, m: {"a": (range(9000), [0.5] * 9000)}, "looks": {}}, ValueError, "must fit in 300 kB"),
    ],
)
def test_what_cannot_be_is_refused(changed, error, message):
    with pytest.raises(error, match=message):
        made(**changed)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((1, 0, 1), TypeError, "label must be a string"),
        (("x", 1, 1), ValueError, "low must be below high"),
        (("x", 0, 1, True), ValueError, "low must be above zero on a logarithmic axis"),
        (("x", 0, math.inf), ValueError, "high must be a finite number"),
    ],
)
def test_an_axis_that_cannot_be_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        Axis(*given)


@pytest.mark.parametrize(("given", "error"), [(0.5, TypeError), ({"lr": 1}, ValueError), ({"rate": "a"}, TypeError)])
def test_a_setting_that_cannot_be_is_refused(given, error):
    with pytest.raises(error):
        made().setting = given
