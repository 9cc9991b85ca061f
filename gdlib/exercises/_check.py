"""``check``, which a cell below each exercise calls."""

from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from gdlib.exercises._kinds import Exercise

CHAPTERS = range(1, 8)


class Verdict(NamedTuple):
    """What a check says of an answer. It is true where the answer is right, and shows its words.

    Attributes:
        right: whether the answer is right.
        words: ``"Right."``, with a remark, or what is wrong.

    Example:
        >>> verdict = Verdict(False, "The sign is wrong.")
        >>> bool(verdict), verdict
        (False, The sign is wrong.)
    """

    right: bool
    words: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.words

    __str__ = __repr__


@cache
def _all() -> dict[str, Exercise]:
    modules = [import_module(f"gdlib.exercises._chapter_{chapter}") for chapter in CHAPTERS]
    return {name: exercise for module in modules for name, exercise in module.EXERCISES.items()}


def names() -> list[str]:
    """The names of all exercises that have a check: the chapter's number, a point, the exercise's.

    Example:
        >>> "4.2.1" in names()
        True
    """
    return list(_all())


def check(name: str, *answer: Any) -> Verdict:
    """Say whether an answer to an exercise of the book is right, and if not, what is wrong with it.

    Args:
        name: which exercise: ``"4.2.1"`` is the first of chapter 4.2.
        answer: what the exercise asks for: a number, several of them, a function, a letter. NumPy's and torch's numbers will
            do. ``...`` is no answer yet.

    Returns:
        A `Verdict`, which a notebook shows as words. ``assert check(name, answer)`` is a test.

    Raises:
        TypeError: if there is no answer at all, or ``name`` is no text.
        ValueError: if the book has no such exercise.

    Example:
        >>> check("4.2.1", ...)
        No answer yet: replace the dots in the cell above, and run it.
        >>> check("4.2.1", 37)
        A share lies between 0 and 1; this looks like per cent.
    """
    if not isinstance(name, str):
        raise TypeError(f'name must be the name of an exercise, such as "4.2.1"; got {name!r}')
    if name not in _all():
        raise ValueError(f"name must be the name of an exercise, such as {names()[0]!r}; got {name!r}")
    if not answer:
        raise TypeError(f'answer is missing: write check("{name}", answer)')
    if any(one is ... or one is None for one in answer):
        return Verdict(False, "No answer yet: replace the dots in the cell above, and run it.")
    wrong = _all()[name].judge(answer[0] if len(answer) == 1 else answer)
    return Verdict(wrong is None, wrong or "Right.")
