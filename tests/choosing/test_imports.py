"""Choosing needs torch and NumPy: what draws, fits or loads data waits until it is used."""

import subprocess
import sys


def test_choosing_imports_nothing_that_draws():
    heavy = ("matplotlib", "sklearn", "ipywidgets", "scipy", "pandas", "torch._dynamo")
    code = f"import sys, gdlib.choosing; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
