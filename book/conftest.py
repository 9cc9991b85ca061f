"""How ``pytest --nbval`` compares a notebook's outputs: words exactly, numbers within the tolerance of their cell.

Another processor adds in another order, so the last digits of a measured number are its own. A number agrees with the stored
one if they differ by at most ``0.5 * 10**(1 - digits)`` of the larger (two digits: 5 %), or, where it is printed with that many
digits at all, by one unit of the last (1.0 and 1.1). A bare count, a whole number with no point, no exponent and no % or °
behind it, must be the same. A cell's metadata can say otherwise:

    "tolerance": {"digits": 3}          significant digits that agree; 2 unless said
    "tolerance": {"absolute": 0.01}     a difference that means nothing, for what should be near zero
    "tolerance": {"whole": true}        whole numbers are measured too, not counted

Runs of blanks count as one, and none beside a number, for they follow its width. Pictures and the states of widgets are not
compared. This file needs nothing but pytest and nbval, so that the folder can be copied alone.
"""

import os
import re
from decimal import Decimal
from itertools import zip_longest

import pytest
from nbval.plugin import IPyNbCell

KERNEL = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
"""As the stored outputs were made (_tools/notebooks.py): on the CPU, one thread a process."""

PATIENCE = 600
"""Seconds in which a kernel must start, and say what it has printed; of nbval's own 60 and 5 a busy machine needs more."""

NUMBER = re.compile(
    r"""(?<![\w.])[-+−]?                                 # not the end of a word or of a version; - after a word is a hyphen
    (?: (?: nan | inf | infinity )(?!\w)
      | (?: (?: \d{1,3}(?:,\d{3})+(?!\d) | \d+ )         # 1,437 is one number
            (?: \.\d+ | \.(?=[],)e]|\s+[-+−.\d\]]) )?    # "1." ends a number in an array, elsewhere a sentence
          | \.\d+ )
        (?: e[-+]?\d+ )? (?! \d | \.\d )
    )""",
    re.VERBOSE | re.IGNORECASE,
)
MEASURED = re.compile(r"\s?[%‰°]")


class Tolerance:
    """What the cell's metadata allow."""

    def __init__(self, digits: int = 2, absolute: float = 0.0, whole: bool = False):
        self.digits, self.absolute, self.whole = digits, Decimal(repr(absolute)), whole
        self.share = Decimal(5).scaleb(-digits)

    def holds(self, stored: "Number", fresh: "Number") -> bool:
        a, b = stored.value, fresh.value
        if not (a.is_finite() and b.is_finite()):
            return a.is_nan() == b.is_nan() and (a.is_nan() or a == b)
        if stored.count and fresh.count and not self.whole:
            return a == b
        larger = max(stored, fresh, key=lambda number: abs(number.value))
        printed = larger.unit if larger.shown >= self.digits else 0
        return abs(a - b) <= max(self.share * abs(larger.value), printed, self.absolute)


class Number:
    """A number as it is printed: its value, how many digits it shows, and what one unit of the last is worth."""

    def __init__(self, match: re.Match):
        self.text = match[0]
        self.value = Decimal(self.text.replace("−", "-").replace(",", ""))
        self.count = self.text.lstrip("+-−").replace(",", "").isdigit() and not MEASURED.match(
            match.string, match.end()
        )
        if self.value.is_finite():
            _, digits, exponent = self.value.as_tuple()
            self.shown = len(digits) if self.value else 0
            self.unit = Decimal(1).scaleb(exponent)


def pieces(text: str) -> tuple[list[str], list[Number]]:
    """The words of ``text`` before, between and after its numbers, and the numbers."""
    numbers = list(NUMBER.finditer(text))
    edges = [0, *(edge for number in numbers for edge in number.span()), len(text)]
    words = [text[start:end] for start, end in zip(edges[::2], edges[1::2])]
    words = [re.sub(r"[ \t]+", " ", re.sub(r"([-=─━])\1{2,}", r"\1\1\1", word)) for word in words]
    for i in range(len(numbers)):
        words[i], words[i + 1] = words[i].rstrip(" "), words[i + 1].lstrip(" ")
    return words, [Number(number) for number in numbers]


def difference(stored: str, fresh: str, tolerance: Tolerance) -> str | None:
    """The first place where two texts differ by more than the tolerance, in words; None if there is none."""
    words, numbers = pieces(stored)
    new_words, new_numbers = pieces(fresh)
    line = 1
    for word, new_word, number, new_number in zip_longest(words, new_words, numbers, new_numbers):
        if word != new_word:
            return f"line {line} and after: {word!r} is stored, {new_word!r} came"
        line += word.count("\n")
        if (number is None) != (new_number is None):
            was, now = (n.text if n else "no number" for n in (number, new_number))
            return f"line {line}: {was} is stored, {now} came"
        if number and not tolerance.holds(number, new_number):
            how = "a count" if number.count and not tolerance.whole else f"held to {tolerance.digits} digits"
            return f"line {line}: {number.text} is stored, {new_number.text} came ({how})"
    return None


class Output(str):
    """A text of an output that is equal to another within the tolerance of their cell."""

    __slots__ = ("tolerance",)
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and difference(str(self), str(other), self.tolerance) is None

    def __ne__(self, other: object) -> bool:
        return not self == other


class Cell(IPyNbCell):
    """nbval's cell, whose outputs are compared as above."""

    def sanitize(self, s):
        s = super().sanitize(s)
        if isinstance(s, str):
            s = Output(s)
            s.tolerance = Tolerance(**self.cell.metadata.get("tolerance", {}))
        return s

    def format_output_compare(self, key, left, right):
        super().format_output_compare(key, str(left), str(right))
        if isinstance(left, Output) and isinstance(right, str):
            self.comparison_traceback.append(f"{difference(left, right, left.tolerance)}\n")


def pytest_itemcollected(item: pytest.Item) -> None:
    if type(item) is IPyNbCell:
        item.__class__ = Cell
        item.output_timeout = PATIENCE


def pytest_configure(config: pytest.Config) -> None:
    for name, value in KERNEL.items():
        os.environ.setdefault(name, value)
    if hasattr(config.option, "nbval_kernel_startup_timeout"):
        config.option.nbval_kernel_startup_timeout = max(PATIENCE, config.option.nbval_kernel_startup_timeout)
