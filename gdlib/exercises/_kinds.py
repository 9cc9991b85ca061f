"""The kinds of answers that an exercise may ask for. Each function makes an `Exercise` from what is right, how far off still counts as
right, and what people come to when they go wrong, with words for each. No word says what is right."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Exercise(NamedTuple):
    """A check and what it is tested with.

    Attributes:
        judge: takes an answer and returns what is wrong with it, ``None`` where nothing is.
        right: an answer with which nothing is wrong.
        mistakes: wrong answers, each with the words that it is met with.
    """

    judge: Callable[[Any], str | None]
    right: Any
    mistakes: tuple[tuple[Any, str], ...]


def number(
    right: float, what: str = "The number", within: float = 0.02, mistakes: Mapping[float, str] | None = None
) -> Exercise:
    """One number is asked for.

    Args:
        right: the number.
        what: what it is, as the beginning of a sentence.
        within: how much of it an answer may be off; where it is 0, in units.
        mistakes: numbers that a known mistake leads to, each with words.
    """
    known = dict(mistakes or {})

    def judge(answer: Any) -> str | None:
        found = as_array(answer)
        if isinstance(found, str):
            return found
        if found.size != 1:
            return f"{what} is one number; this has the shape {found.shape}."
        value = found.item()
        if not math.isfinite(value):
            return f"{what} is finite; this is {value}."
        if near(value, right, within):
            return None
        for wrong, words in known.items():
            if near(value, wrong, min(within, 0.05)):
                return words
        return usual(value, right, what, within)

    return Exercise(judge, right, tuple(known.items()))


def usual(value: float, right: float, what: str, within: float) -> str:
    """What is wrong with ``value``, among the mistakes that any number may suffer from; else on which side of ``right`` it is."""
    if right and near(-value, right, within):
        return f"{what} has the other sign."
    if right and near(value / 100, right, within):
        return f"{what} is a hundredth of this: is it in per cent?"
    if right and near(value * 100, right, within):
        return f"{what} is a hundred times this: was it to be in per cent?"
    for factor, unit in ((1e3, "a thousand"), (1e6, "a million"), (1e9, "a thousand million")):
        if right and (near(value / factor, right, within) or near(value * factor, right, within)):
            return f"{what} differs from this by a factor of {unit}: look at the unit."
    if value and right and near(1 / value, right, within):
        return f"{what} is one over this."
    if right * value < 0:
        return f"{what} has another sign, and another size."
    far = abs(value) > 10 * abs(right) or abs(value) < 0.1 * abs(right)
    side = "smaller" if abs(value) > abs(right) else "larger"
    return f"{what} is {'far ' if far else ''}{side}{' in size' if right < 0 else ''}."


def numbers(
    right: Sequence, what: str = "The answer", within: float = 0.02, mistakes: Sequence[tuple[Sequence, str]] = ()
) -> Exercise:
    """Several numbers are asked for, as a list or an array of one shape.

    Args:
        right: the numbers.
        what: what they are, as the beginning of a sentence.
        within: how much of each an answer may be off.
        mistakes: pairs of numbers that a known mistake leads to and words.
    """
    wanted = np.asarray(right, dtype=float)

    def judge(answer: Any) -> str | None:
        found = as_array(answer)
        if isinstance(found, str):
            return found
        if found.shape != wanted.shape:
            one = f"{wanted.size} numbers" if wanted.ndim == 1 else f"an array of the shape {wanted.shape}"
            return f"{what} should be {one}; this has the shape {found.shape}."
        if not np.isfinite(found).all():
            return f"{what} should be finite everywhere; this is not."
        off = [not near(a, b, within) for a, b in zip(found.flat, wanted.flat)]
        if not any(off):
            return None
        for wrong, words in mistakes:
            if all(near(a, b, min(within, 0.05)) for a, b in zip(found.flat, np.asarray(wrong, dtype=float).flat)):
                return words
        if wanted.ndim == 1 and all(near(a, b, within) for a, b in zip(found[::-1], wanted)):
            return f"{what} should be in the opposite order."
        place = off.index(True)
        where = place if wanted.ndim == 1 else tuple(int(i) for i in np.unravel_index(place, wanted.shape))
        said = usual(found.flat[place], wanted.flat[place], f"number {where}, counted from 0,", within)
        return f"{sum(off)} of {len(off)} numbers are off. {what}: {said}"

    return Exercise(judge, right, tuple(mistakes))


def function(
    right: Callable[..., float],
    at: Sequence[tuple],
    what: str = "The function",
    within: float = 0.02,
    mistakes: Sequence[tuple[Callable[..., float], str]] = (),
) -> Exercise:
    """A function is asked for.

    Args:
        right: the function.
        at: arguments at which it is called.
        what: what it is, as the beginning of a sentence.
        within: how much of each value an answer's may be off.
        mistakes: pairs of a function that a known mistake leads to and words.
    """

    def judge(answer: Any) -> str | None:
        if not callable(answer):
            return f"{what} should be a function, as `def` or `lambda` make it; this is {_kind(answer)}."
        values = []
        for arguments in at:
            called = f"called with {', '.join(map(str, arguments))}"
            try:
                found = as_array(answer(*arguments))
            except Exception as error:
                return f"{what}, {called}, fails: {type(error).__name__}: {error}"
            if isinstance(found, str) or found.size != 1:
                return f"{what}, {called}, should return one number."
            values.append(found.item())
        if all(near(value, right(*arguments), within) for value, arguments in zip(values, at)):
            return None
        for wrong, words in mistakes:
            if all(near(value, wrong(*arguments), min(within, 0.02)) for value, arguments in zip(values, at)):
                return words
        arguments, value = next((a, v) for v, a in zip(values, at) if not near(v, right(*a), within))
        said = usual(value, right(*arguments), "the value", within)
        return f"{what} is not right when called with {', '.join(map(str, arguments))}: {said}"

    return Exercise(judge, right, tuple(mistakes))


def choice(right: str, wrong: Mapping[str, str]) -> Exercise:
    """A letter is asked for.

    Args:
        right: the letter.
        wrong: the others, each with what speaks against it.
    """
    letters = sorted([right, *wrong])

    def judge(answer: Any) -> str | None:
        letter = answer.strip().lower().rstrip(".)") if isinstance(answer, str) else None
        if letter not in letters:
            return f"The answer is one of the letters {', '.join(letters)}, in quotes."
        return wrong.get(letter)

    return Exercise(judge, right, tuple(wrong.items()))


def compared(seeds: int = 5, arms: int = 2) -> Exercise:
    """An open question is asked, which an experiment may answer. What is asked for is its record: for each arm the results of its
    seeds. Whatever they say is right, if they can say it."""

    def judge(answer: Any) -> str | None:
        try:
            runs = [as_array(one) for one in answer]
        except TypeError:
            return f"The record should be {arms} lists of results, one list for each arm; this is {_kind(answer)}."
        if len(runs) != arms:
            return f"The record should be {arms} lists of results, one list for each arm; these are {len(runs)}."
        for run in runs:
            if isinstance(run, str):
                return run
            if run.ndim != 1 or len(run) < seeds:
                return f"Each arm needs the results of at least {seeds} seeds; one has the shape {run.shape}."
            if not np.isfinite(run).all():
                return (
                    "A result is not finite: a run that diverged is no measurement of a loss. Tune the arm, or say so."
                )
            if np.ptp(run) == 0:
                return "All seeds of an arm gave the same result: did the seed reach the model and the data?"
        if any(np.array_equal(runs[0], run) for run in runs[1:]):
            return "Two arms gave the same results, digit by digit: what was to differ did not."
        return None

    right = [[arm + 0.1 * i for i in range(seeds)] for arm in range(arms)]
    few, same = [run[1:] for run in right], [right[0]] * arms
    return Exercise(judge, right, ((few, f"at least {seeds} seeds"), (same, "digit by digit")))


def near(value: float, right: float, within: float) -> bool:
    return abs(value - right) <= (within * abs(right) if right else within)


def as_array(answer: Any) -> np.ndarray | str:
    """``answer`` as an array of floats, or what it is that is none."""
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu()
    if isinstance(answer, (list, tuple)):
        answer = [one.detach().cpu() if hasattr(one, "detach") else one for one in answer]
    words = f"A number is asked for; this is {_kind(answer)}."
    if isinstance(answer, (bool, str, bytes, dict, set)) or callable(answer) or answer is None:
        return words
    try:
        found = np.asarray(answer)
        if found.dtype.kind in "iuf":
            return found.astype(float)
        return np.asarray(answer, dtype=float) if found.dtype.kind == "O" else words
    except (TypeError, ValueError, OverflowError):
        return words


def _kind(answer: Any) -> str:
    names = {bool: "True or False", str: "a text", dict: "a dict", list: "a list", tuple: "a tuple", set: "a set"}
    return names.get(type(answer), "a function" if callable(answer) else f"a {type(answer).__name__}")
