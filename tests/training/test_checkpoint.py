"""Files that are whole or refused, and writers killed with a real signal."""

import os
import pickle
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdlib import checkpoint


def test_what_is_written_is_read(tmp_path):
    state = {"a": torch.randn(3), "b": {"c": [1, 2.5, "x", None]}}
    checkpoint.write(tmp_path / "x.pt", state)
    found = checkpoint.read(tmp_path / "x.pt")
    assert torch.equal(found["a"], state["a"])
    assert found["b"] == state["b"]
    assert os.listdir(tmp_path) == ["x.pt"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    checkpoint.write(tmp_path / "x.pt", {"a": 1})
    with pytest.raises((pickle.PicklingError, AttributeError)):
        checkpoint.write(tmp_path / "x.pt", {"a": lambda: None})
    assert checkpoint.read(tmp_path / "x.pt") == {"a": 1}
    assert os.listdir(tmp_path) == ["x.pt"]


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="path must name a checkpoint that exists; got '.*none.pt'"):
        checkpoint.read(tmp_path / "none.pt")
    with pytest.raises(FileNotFoundError, match="path must lie in a folder that exists"):
        checkpoint.write(tmp_path / "none" / "x.pt", {})


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -1])
def test_a_torn_file_is_refused(tmp_path, keep):
    path = tmp_path / "x.pt"
    checkpoint.write(path, {"a": torch.randn(10_000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r"path must name a whole checkpoint.*x\.pt"):
        checkpoint.read(path)


class Evil:
    def __reduce__(self):
        return os.system, ("echo broken into > /dev/null",)


def test_nothing_but_tensors_and_plain_values_is_unpickled(tmp_path):
    torch.save({"a": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="tensors and plain values"):
        checkpoint.read(tmp_path / "evil.pt")


WRITER = """
import sys, torch
from gdlib import checkpoint
print("ready", flush=True)
for number in range(10**9):
    checkpoint.write(sys.argv[1], {"number": number, "tensor": torch.full((100_000,), float(number))})
"""


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "x.pt"
    checkpoint.write(path, {"number": 0, "tensor": torch.zeros(100_000)})
    for delay in (0.02, 0.05, 0.11, 0.23):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        state = checkpoint.read(path)
        assert (state["tensor"] == state["number"]).all()


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_as_if_it_had_never_been(tmp_path):
    """SIGKILL at random moments, the saving included: the same parameters, buffers and history, bit for bit."""
    rng = random.Random(0)

    def start(folder, *wait_at):
        command = [sys.executable, str(Path(__file__).with_name("worker.py")), "crash", str(folder), "400", *wait_at]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout.readline() == "ready\n"
        return process

    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
    assert start(tmp_path / "calm").wait() == 0
    reached = []
    for kill in range(6):  # none can come to its end before it is killed: each waits some 60 steps further on
        process = start(tmp_path / "killed", str(60 * (kill + 1)))
        if kill % 2:
            assert process.stdout.readline() == "waiting\n"
        else:
            time.sleep(rng.uniform(0.02, 0.5))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        if (tmp_path / "killed" / "run.pt").exists():
            reached.append(checkpoint.read(tmp_path / "killed" / "run.pt")["steps_done"])
    assert start(tmp_path / "killed").wait() == 0
    assert reached == sorted(reached)
    assert len(set(reached)) >= 3, "killed on the way, not only at its ends"
    calm, killed = (torch.load(tmp_path / name / "end.pt") for name in ("calm", "killed"))
    for part in ("model", "history"):
        for name, value in calm[part].items():
            assert torch.equal(value, killed[part][name]), name
    assert len(calm["history"]["loss"]) == 400
    assert len(set(calm["history"]["lr"][20:].tolist())) > 1, "the plateau never moved"
    assert [path.name for path in (tmp_path / "killed").iterdir() if path.suffix == ".part"] == []


def test_what_a_killed_writer_left_is_cleared_away(tmp_path):
    (tmp_path / "run.pt.abcdefgh.part").write_bytes(b"torn")
    others = ["other.pt.abcdefgh.part", "run.pt.best.abcdefgh.part", "run.pt.best.abcdefgh.shards"]
    for name in others:
        (tmp_path / name).write_bytes(b"somebody else's")
    checkpoint.write(tmp_path / "run.pt", {"a": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "run.pt"])


def test_only_a_file_is_ever_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "to pipe").symlink_to("pipe")
    for name, what in (
        ("folder", "a folder"),
        ("pipe", "a pipe"),
        ("circle", "links in a circle"),
        ("to pipe", "a pipe"),
    ):
        with pytest.raises(ValueError, match=f"path must be a file, or not exist yet.*{what}"):
            checkpoint.write(tmp_path / name, {"a": 1})
    assert sorted(os.listdir(tmp_path)) == ["circle", "folder", "pipe", "to pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@given(st.floats(0, 1, exclude_max=True))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_bit_among_the_numbers_is_noticed(tmp_path, where):
    path, numbers = tmp_path / "x.pt", torch.arange(2000.0)
    checkpoint.write(path, {"a": numbers})
    content = bytearray(path.read_bytes())
    begin = content.find(numbers.numpy().tobytes())
    content[begin + int(where * numbers.nbytes)] ^= 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"path must name a whole checkpoint.*not what was written"):
        checkpoint.read(path)
