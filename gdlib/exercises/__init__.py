"""The checks of the book's exercises: what is wrong with an answer, in words that do not give it away."""

from gdlib.exercises._check import Verdict, check, names

__all__ = ["Verdict", "check", "names"]
