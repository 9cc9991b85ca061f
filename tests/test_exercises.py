"""The checks of the exercises: what is right passes, each known mistake is met with its words, and nonsense with words too."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from gdlib.exercises import Verdict, check, names
from gdlib.exercises import _check as checks
from gdlib.exercises._kinds import choice, compared, function, number, numbers

NONSENSE = [
    "text", b"bytes", "", True, [], {}, set(), (), object(), math.nan, math.inf, -math.inf, 1e308, 0, -1, 10**400, 1j, [[]],
    [1, [2, 3]], ["a", "b"], np.array([]), np.zeros((2, 3)), np.array(["x"]), np.array(1, dtype=bool), torch.tensor([math.nan]),
    torch.zeros(2, 2, requires_grad=True), [torch.tensor(1.0), None], lambda: 0, lambda *a: None, lambda *a: "text", lambda *a: 1 / 0, print,
]  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_what_is_right_passes_and_known_mistakes_are_recognised(name):
    exercise = checks._all()[name]
    assert exercise.judge(exercise.right) is None
    assert check(name, exercise.right)
    assert exercise.mistakes or name
    for wrong, words in exercise.mistakes:
        said = exercise.judge(wrong)
        assert said is not None, f"{wrong} passes"
        assert words in said, f"{wrong} is met with {said!r} instead of {words!r}"


@pytest.mark.parametrize("name", names())
def test_an_empty_answer_and_nonsense_fail_in_words(name):
    for nothing in (..., None):
        assert not check(name, nothing) and "No answer yet" in str(check(name, nothing))
    for answer in NONSENSE:
        verdict = check(name, answer)
        assert not verdict, f"{answer!r} passes"
        assert str(verdict).endswith((".", "?")) or "fails:" in str(verdict)


@pytest.mark.parametrize("name", names())
def test_no_word_gives_the_answer_away(name):
    exercise = checks._all()[name]
    try:
        digits = {f"{value:.2g}" for value in np.ravel(np.asarray(exercise.right, dtype=float))}
    except (TypeError, ValueError):
        digits = set()
    long = {text for text in digits if len(text.replace(".", "").strip("-0")) > 1}
    for answer in [*NONSENSE, *(wrong for wrong, _ in exercise.mistakes)]:
        shown = str(exercise.judge(answer)).replace(repr(answer), "")
        assert not [text for text in long if text in shown.split()], shown


def test_numbers_of_any_library_will_do():
    for answer in (2, 2.0, np.float32(2), np.array([2.0]), torch.tensor(2.0), torch.tensor([[2]]), [2]):
        assert number(2.0).judge(answer) is None
    for answer in ([1, 2], (1.0, 2.0), np.array([1, 2]), torch.tensor([1.0, 2.0]), [torch.tensor(1.0), np.float64(2)]):
        assert numbers([1, 2]).judge(answer) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (-3.0, "has the other sign"), (300.0, "per cent"), (0.03, "per cent"), (3000.0, "a factor of a thousand"), (1 / 3, "one over this"),
        (4.0, "is smaller"), (100.5, "is far smaller"), (2.0, "is larger"), (-5.0, "another sign"), ([3.0, 3.0], "the shape (2,)"),
    ],
)  # fmt: skip
def test_what_anybody_may_get_wrong_with_a_number(answer, words):
    assert words in number(3.0).judge(answer)
    assert number(-3.0).judge(-4.0).endswith("is smaller in size.")


def test_several_numbers():
    kind = numbers([1.0, 2.0, 4.0])
    assert "3 numbers" in kind.judge([1.0, 2.0])
    assert "opposite order" in kind.judge([4.0, 2.0, 1.0])
    assert kind.judge([1.0, 2.0, 40.0]).startswith("1 of 3 numbers are off. The answer: number 2, counted from 0,")
    assert "(2, 1)" in numbers([[1.0], [2.0]]).judge([1.0, 2.0])


def test_functions_letters_and_records():
    square = function(lambda x: x * x, [(2,), (3,)], mistakes=[(lambda x: 2 * x, "Twice is not the square.")])
    assert square.judge(lambda x: x**2) is None and square.judge(lambda x: 2 * x) == "Twice is not the square."
    assert "`def` or `lambda`" in square.judge(4) and "ZeroDivisionError" in square.judge(lambda x: x / 0)
    assert "TypeError" in square.judge(lambda: 1) and "return one number" in square.judge(lambda x: "four")
    letter = choice("b", {"a": "No: it grows."})
    assert letter.judge(" B) ") is None and letter.judge("a") == "No: it grows." and "a, b" in letter.judge("z")
    record = compared(seeds=5)
    assert record.judge([[1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]) is None
    assert "not finite" in record.judge([[1, 2, 3, 4, math.inf], [2, 3, 4, 5, 6]])
    assert "did the seed reach" in record.judge([[1, 1, 1, 1, 1], [2, 3, 4, 5, 6]])


def test_check_itself():
    first = names()[0]
    with pytest.raises(ValueError, match=r"got '9\.9\.9'"):
        check("9.9.9", 1)
    with pytest.raises(TypeError, match="name must be the name of an exercise"):
        check(4.1, 1)
    with pytest.raises(TypeError, match="answer is missing"):
        check(first)
    assert repr(Verdict(True, "Right.")) == "Right." and Verdict(True, "Right.") and not Verdict(False, "Right.")
    with pytest.raises(AssertionError, match="No answer yet"):
        assert (said := check(first, ...)), said


def test_every_check_stands_below_an_exercise():
    """And no solution is checked by what is not there: tests/book/test_notebooks.py."""
    book = Path(__file__).parents[1] / "book"
    text = "".join(path.read_text(encoding="utf-8") for path in book.glob("**/[!.]*.ipynb"))
    assert set(re.findall(r'\\"check\(\\?\\"([\d.]+)', text)) | set(re.findall(r'"check\(\\"([\d.]+)\\"', text)) == set(
        names()
    )
