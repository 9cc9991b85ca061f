"""Every public name of the library has a docstring with an example, which the doctests run, and stands in the reference."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "book" / "appendix" / "library").glob("*.md"))
MODULES = re.findall(r"automodule:: gdlib\.(\S+)\n   :members:(?:\n   :exclude-members: (.*))?", PAGES)
WIDGETS = re.findall(r"autoclass:: gdlib\.widgets\.(\w+)\.(\w+)", PAGES)
INSIDE = {"training.checkpoint", "training.distributed"}  # parts of the trainer: functions to be read, not called
PRIVATE = {"_check", "__main__", "diagnose", "training.loading", "drawing._report"}


def public(module: str, left_out: str) -> list[ast.stmt]:
    tree = ast.parse((ROOT / "gdlib" / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    named = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    return [node for node in named if not node.name.startswith("_") and node.name not in left_out.split(", ")]


@pytest.mark.parametrize(("module", "left_out"), MODULES, ids=[module for module, _ in MODULES])
def test_every_public_name_has_an_example(module, left_out):
    for node in public(module, left_out):
        doc = ast.get_docstring(node) or ""
        assert doc, f"gdlib.{module}.{node.name} says nothing"
        assert ">>>" in doc or module in INSIDE, f"gdlib.{module}.{node.name} has no example"


def test_no_module_is_missing_from_the_reference():
    found = {
        str(path.relative_to(ROOT / "gdlib").with_suffix("")).replace("/", ".")
        for path in (ROOT / "gdlib").rglob("*.py")
        if path.stem != "__init__" and path.parent.name != "widgets"
    }
    faces = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "gdlib").glob("*/__init__.py"))
    found -= {
        name for name in found if "._" in name and f"gdlib.{name} import" not in faces
    }  # behind a face, not on it
    assert found == {module for module, _ in MODULES} | PRIVATE


def test_no_widget_is_missing_from_the_reference():
    exported = (ROOT / "gdlib" / "widgets" / "__init__.py").read_text(encoding="utf-8")
    names = set(re.findall(r'^    "(\w+)",$', exported, flags=re.MULTILINE))
    assert names == {name for _, name in WIDGETS}
    for module, name in WIDGETS:
        (node,) = (node for node in public(f"widgets.{module}", "") if node.name == name)
        assert ">>>" in ast.get_docstring(node), f"{name} has no example"


def test_no_widget_is_without_a_test():
    tests = {
        part: "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / part).glob("test_*.py"))
        for part in ("widgets", "book")
    }
    for _, name in WIDGETS:
        assert name in tests["widgets"], f"{name}: its traits are tested nowhere in tests/widgets"
        assert name in tests["book"], f"{name}: how it behaves is tested nowhere in tests/book"
