"""The house: imports point one way, in no circle, and nobody reaches for a private name of another package."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "gdlib").rglob("*.py"))
ORDER = ("functions", "training", "choosing", "drawing", "widgets", "face")
LATE = {("gdlib.choosing._recommend", "gdlib.drawing")}
"""Imports against the order, made inside a function when it is called: a recommendation writes its report."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    parts = module.split(".")
    if module in ("gdlib", "gdlib.diagnose", "gdlib.__main__"):
        return "face"
    return parts[1] if parts[1] in ORDER else "functions"


MODULES = {name_of(path): path for path in FILES}


def imports(path: Path) -> list[tuple[str, ast.ImportFrom]]:
    """The gdlib modules that a file imports, at once or in a function; not what is imported for annotations alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checking = {
        node for test in ast.walk(tree) if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }  # fmt: skip
    found = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == "gdlib"
            and node not in checking
        ):
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(name if name in MODULES else node.module, node) for name in named]
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    for other, _ in imports(MODULES[module]):
        if other != "gdlib" and (module, other) not in LATE and layer(other) != layer(module):
            assert ORDER.index(layer(other)) < ORDER.index(layer(module)), f"{module} imports {other}"


def test_there_is_no_circle():
    edges = {
        module: {other for other, _ in imports(path) if other not in (module, "gdlib")}
        - {b for a, b in LATE if a == module}
        for module, path in MODULES.items()
        if path.stem != "__init__"
    }
    done, path = set(), []

    def visit(module: str) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for other in edges.get(module, ()):
            visit(other)
        path.pop()
        done.add(module)

    for module in edges:
        visit(module)


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "book" / "_tools").glob("*.py"))], ids=str)
def test_no_private_name_is_reached_from_outside_its_package(path):
    package = name_of(path if path.stem != "__init__" else path.parent / "x").rpartition(".")[0]
    for other, node in imports(path) if path in FILES else []:
        for alias in node.names:
            private = [part for part in f"{node.module}.{alias.name}".split(".")[1:] if part.startswith("_")]
            if private and private != ["_check"] and private != ["_plateau"]:
                assert other.startswith(package), f"{path} imports {alias.name} from {node.module}"


PRIVATE = {
    node.attr
    for path in FILES
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr.startswith("_")
}
"""Every attribute with a private name that something in the library sets on itself."""


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_private_attribute_is_reached_from_outside_its_package(path):
    own = {
        node.attr
        for file in path.parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in PRIVATE - own:
            assert ast.unparse(node.value) in ("self", "cls"), f"{path}: {ast.unparse(node)}"


def test_training_alone_loads_torch_and_numpy_alone():
    code = (
        "import sys, gdlib; gdlib.Trainer, gdlib.schedules, gdlib.data, gdlib.models;"
        "print(*{'matplotlib', 'sklearn', 'scipy', 'IPython', 'ipywidgets', 'anywidget'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_map_names_everything():
    import gdlib

    assert set(gdlib.__all__) <= set(dir(gdlib))
    for name in gdlib.__all__:
        assert getattr(gdlib, name) is not None
    assert all(name in gdlib.__doc__ for name in ("Trainer", "schedules", "range_test", "recommend", "widgets"))
    with pytest.raises(AttributeError, match="module 'gdlib' has no attribute 'trainer'"):
        _ = gdlib.trainer


def test_nobody_imports_a_conftest():
    """Two of them cannot be imported side by side, so that tests of two folders could not be run in one call."""
    for path in (ROOT / "tests").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        named += [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
        assert "conftest" not in named, path
