"""The record of a GPU, tiny, on a CPU: every part runs, stops in time, and can be read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gdlib import records

ROOT = Path(__file__).parents[2]


def take(folder: Path, minutes: float) -> dict:
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("record.py")), "--smoke"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--minutes", str(minutes), "--folder", str(folder)],
        env=environment, capture_output=True, text=True, timeout=3000, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text())


@pytest.mark.slow
def test_every_part_of_the_record_runs(tmp_path):
    found = take(tmp_path, minutes=60.0)
    assert set(found) == {"about", *records.PARTS}
    assert all("error" not in found[part] for part in records.PARTS)
    assert [step for step in found["steps"] if step["model"] == "124M" and step["precision"] == "bf16"]
    for step in found["steps"]:
        assert step["min"] <= step["median"] <= step["max"]
        assert step["memory"] == pytest.approx(step["memory computed"], rel=0.05)
    losses = [row[2] for row in found["run"]["log"]]
    assert losses[-1] < losses[0] - 1 and len(found["run"]["along"]) == 2
    assert len(found["widths"]) == 4
    record = records.newest(tmp_path)
    assert record.found == found and record.missing == []
    assert "processor" in record.taken and found["about"]["date"] in record.taken


def test_no_part_begins_when_time_is_up(tmp_path):
    found = take(tmp_path, minutes=0.001)
    assert found.get("left out") == list(records.PARTS)[len(found) - 2 :]
    assert records.newest(tmp_path).missing == found["left out"]
