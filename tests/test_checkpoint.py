"""Files that are whole or refused, and writers killed with a real signal."""

import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
import torch

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
