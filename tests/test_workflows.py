"""The workflows of .github cannot be run here; what can be read of them is: their form, their commands, their Pythons."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(workflow: Path) -> list[dict]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_each_is_there():
    assert [path.stem for path in WORKFLOWS] == ["links", "publish", "test", "weekly"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_runs_exists(workflow):
    targets = set(re.findall(r"^([a-z_]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    scripts = [step["run"] for step in steps(workflow) if "run" in step]
    assert scripts
    for script in scripts:
        subprocess.run([shutil.which("bash"), "-n", "-c", re.sub(r"\$\{\{.*?\}\}", "x", script)], check=True)
        for command in re.findall(r"^make (.+)$", script, re.M):
            assert set(command.split()) <= targets, f"make has no target of {command!r}"
        for path in re.findall(r"(?:bash|python) ((?:\.ci|tests)/\S+)", script):
            assert (ROOT / path).is_file()


def test_the_pythons_are_those_of_the_readme():
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))["jobs"].values()
    (named,) = re.findall(r"Python (3\.\d+), (3\.\d+) or (3\.\d+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert job["strategy"]["matrix"]["python"] == list(named)
