"""The fixtures of the pages' tests. What else they share is in ``visiting``: two folders' conftest.py cannot be imported side by side."""

from visiting import alone, base, browser, context, shelf, visit

__all__ = ["alone", "base", "browser", "context", "shelf", "visit"]
