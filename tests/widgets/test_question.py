"""A question: its Python face. How it behaves on a page is tested in tests/book."""

import ipywidgets
import numpy as np
import pytest
from IPython.display import Image

from gdlib.widgets import DescentExplorer, Question
from gdlib.widgets._base import module

CHOICES = {"It falls": "Because 0.1 < 2/L.", "It rises": "Only above 2/L."}
X, Y = np.arange(1.0, 101.0), 2 * np.exp(-np.arange(100) / 20)


def choices(**options) -> Question:
    return Question("What does the loss do?", **({"choices": CHOICES, "answer": "It falls"} | options))


def number(**options) -> Question:
    given = {"number": 0.5, "tolerance": 0.01, "reason": "1 - 2 lr = 0.", "mistakes": {1.0: "Twice too far."}}
    return Question("Which rate?", **(given | options))


def sketch(**options) -> Question:
    return Question("Draw it.", **({"sketch": (X, Y), "reason": "It falls by the same factor."} | options))


def test_every_word_stands_in_one_declaration():
    words = choices(hint="no").drawing.words
    assert words["prompt"] == "What does the loss do?"
    assert words["choices"] == [list(pair) for pair in CHOICES.items()]
    words = number(unit="units", hint="Look again.", labels=("rate", "loss"), curves={"run": (X, Y)}).drawing.words
    assert (words["reason"], words["mistakes"], words["hint"]) == ("1 - 2 lr = 0.", ["Twice too far."], "Look again.")
    assert (words["unit"], words["x"], words["y"], words["curves"]) == ("units", "rate", "loss", ["run"])
    strings = [
        v for k, v in number().drawing.get_state().items() if k[0] != "_" and k != "layout" and isinstance(v, str)
    ]
    assert sorted(strings) == ["number", "x"], "words beside the declaration"


def test_what_opens_a_figure_is_a_prediction():
    assert not choices().drawing.predicts
    assert not number().drawing.predicts
    assert sketch().drawing.predicts
    assert number(curves={"run": (X, Y)}).drawing.predicts
    opened = DescentExplorer()
    question = choices(opens=opened)
    assert question.drawing.predicts
    assert question.children == (question.drawing, opened)
    assert repr(question) == "Question('What does the loss do?')"


def test_python_sees_what_the_reader_answered():
    for question, given, expected in (
        (choices(), 1, "It rises"),
        (number(), 0.25, 0.25),
        (sketch(), [1.0] * 33, [1.0] * 33),
    ):
        seen: list = []
        question.observe(lambda change, seen=seen: seen.append(change["new"]), "given")
        question.drawing.given = given
        question.drawing.given = None
        assert seen == [expected, None]


def test_a_sketch_is_asked_at_even_places_of_its_axis():
    drawing = sketch(log="x", mistakes=[(Y[::-1], "That rises.")]).drawing
    assert drawing.columns[0] == 1 and drawing.columns[-1] == 100
    ratios = np.divide(drawing.columns[1:], drawing.columns[:-1])
    np.testing.assert_allclose(ratios, 100 ** (1 / 32), rtol=1e-4)
    np.testing.assert_allclose(drawing.answer, np.interp(np.log(drawing.columns), np.log(X), Y), rtol=1e-3)
    np.testing.assert_allclose(drawing.mistakes[0], np.interp(np.log(drawing.columns), np.log(X), Y[::-1]), rtol=1e-3)
    assert drawing.axes["x"] == {"low": 1.0, "high": 100.0, "log": True}
    assert drawing.tolerance == 0.1


def test_the_axes_hold_all_that_is_drawn():
    axes = number(curves={"a": (X, Y), "b": (X, -Y)}).drawing.axes
    assert axes["x"]["low"] == 1 and axes["y"]["low"] < -2 and axes["y"]["high"] > 2
    axes = sketch(log="y").drawing.axes
    assert 0 < axes["y"]["low"] < Y[-1] and axes["y"]["log"]
    assert sketch(limits=(0, 5)).drawing.axes["y"] == {"low": 0.0, "high": 5.0, "log": False}
    assert len(sketch(sketch=(np.arange(5000.0), np.arange(5000.0))).drawing.curves[0]["x"]) == 200


def test_a_page_with_many_carries_no_sentences_of_other_widgets():
    text = module("question")
    assert '"This is my prediction"' in text and '"choose first"' in text
    assert "Communication, validation" not in text and "尚无回应" not in text
    assert len(text) < 40_000


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda: Question("?"), ValueError, "takes one of choices, number and sketch; got none"),
        (lambda: choices(number=1.0), ValueError, "takes one of choices, number and sketch; got choices and number"),
        (lambda: Question(3, CHOICES, "It falls"), TypeError, "prompt must be a string; got 3"),
        (lambda: Question(" ", CHOICES, "It falls"), ValueError, "prompt must not be empty"),
        (lambda: choices(choices=["a", "b"]), TypeError, "choices must map each choice to its reason; got list"),
        (lambda: choices(choices={"a": "b"}), ValueError, "choices must be 2 to 8; got 1"),
        (lambda: choices(choices={"a": "", "b": "c"}), ValueError, r"choices\['a'\] must not be empty"),
        (lambda: choices(choices={1: "a", "b": "c"}), TypeError, "choices must be a string; got 1"),
        (lambda: choices(answer="It stays"), ValueError, "answer must be one of 'It falls', 'It rises'; got 'It stays'"),
        (lambda: choices(opens="figure"), TypeError, "opens must be a widget; got str"),
        (lambda: choices(opens=Image(b"")), TypeError, "opens must be a widget; got Image"),
        (lambda: choices(hint=3), TypeError, "hint must be a string; got 3"),
        (lambda: number(number="0.5"), TypeError, "number must be a number; got '0.5'"),
        (lambda: number(number=np.inf), ValueError, "number must be a finite number; got inf"),
        (lambda: number(tolerance=None), ValueError, "tolerance must be given with a number; got None"),
        (lambda: number(tolerance=-1), ValueError, "tolerance must be a finite number of at least 0; got -1"),
        (lambda: number(reason=None), TypeError, "reason must be a string; got None"),
        (lambda: number(mistakes=["x"]), TypeError, "mistakes must map numbers to what is wrong with them; got list"),
        (lambda: number(mistakes={0.505: "x"}), ValueError, "mistakes must lie further than 0.01 from 0.5; got 0.505"),
        (lambda: number(mistakes={"x": "y"}), TypeError, "mistakes must be a number; got 'x'"),
        (lambda: number(mistakes={1.0: ""}), ValueError, r"mistakes\[1.0\] must not be empty"),
        (lambda: number(curves=[1]), TypeError, r"curves must map names to pairs \(x, y\); got list"),
        (lambda: number(curves={"a": 3}), TypeError, r"curves\['a'\] must be a pair \(x, y\); got 3"),
        (lambda: number(curves={str(k): (X, Y) for k in range(6)}), ValueError, "curves must be at most 5; got 6"),
        (lambda: number(curves={"a": (X, Y)}, along="z"), ValueError, "along must be one of 'x', 'y'; got 'z'"),
        (lambda: number(curves={"a": (X, Y)}, log="z"), ValueError, "log must be one of '', 'x', 'y', 'xy'; got 'z'"),
        (lambda: number(curves={"a": (X, -Y)}, log="y"), ValueError, "log must name axes whose values are positive"),
        (lambda: sketch(sketch=(X, Y[:-1])), ValueError, "sketch must be rising x and as many y"),
        (lambda: sketch(sketch=(X[::-1], Y)), ValueError, "sketch must be rising x and as many y"),
        (lambda: sketch(sketch=(X, Y * np.nan)), ValueError, "sketch must be finite"),
        (lambda: sketch(sketch=(X - 1, Y), log="x"), ValueError, "sketch must have positive x on a logarithmic axis; got 0"),
        (lambda: sketch(mistakes={1: "x"}), TypeError, "mistakes must be pairs of a curve and what is wrong with it; got dict"),
        (lambda: sketch(mistakes=["x"]), TypeError, "mistakes must be pairs of a curve and what is wrong with it; got 'x'"),
        (lambda: sketch(tolerance=2), ValueError, "tolerance must be above 0 and at most 1; got 2"),
        (lambda: sketch(limits=(3, 1)), ValueError, r"limits must be \(low, high\) with low < high; got \(3, 1\)"),
        (lambda: choices(choices={"a": "x" * 400_000, "b": "c"}, answer="a"), ValueError, "a question must fit in 300 kB"),
    ],
)  # fmt: skip
def test_bad_input(act, error, said):
    with pytest.raises(error, match=said):
        act()


def test_it_is_a_box_of_ipywidgets():
    assert isinstance(choices(), ipywidgets.VBox)
    assert "gd-prediction" in choices()._dom_classes
