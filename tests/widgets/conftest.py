"""The widgets' JavaScript in Node, called from Python."""

import json
import subprocess
from pathlib import Path

import pytest
from node import NODE

from gdlib.widgets._base import module

CALL = """
import { readFileSync } from "node:fs";
const [path, expression] = process.argv.slice(2);
const m = await import(path);
const a = JSON.parse(readFileSync(0, "utf8"));
const plain = (_, v) => (typeof v === "number" && !Number.isFinite(v) ? { number: String(v) } : ArrayBuffer.isView(v) ? [...v] : v);
process.stdout.write(JSON.stringify(eval(expression), plain));
"""


@pytest.fixture
def call(tmp_path: Path):
    """``call("runs", expression, argument)``: a value of JavaScript, with the widget as notebooks carry it as ``m`` and the argument as ``a``."""
    (tmp_path / "call.mjs").write_text(CALL, encoding="utf-8")

    def value(widget: str, expression: str, argument: object) -> object:
        path = tmp_path / f"{widget}.mjs"
        path.write_text(module(widget), encoding="utf-8")
        command = [NODE, tmp_path / "call.mjs", path, expression]
        done = subprocess.run(command, input=json.dumps(argument), capture_output=True, encoding="utf-8", check=False)
        assert done.returncode == 0, done.stderr
        hook = {"object_hook": lambda given: float(given["number"].lower()) if list(given) == ["number"] else given}
        return json.loads(done.stdout, **hook)

    return value
