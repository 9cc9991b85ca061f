"""python -m gdlib as a person uses it: real processes, real files, a real Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from gdlib import History, Sweep, data
from gdlib.__main__ import SCHEDULES, TASKS, main

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.mark.parametrize("task", TASKS)
def test_train_learns_each_task(task, capsys, tmp_path, monkeypatch):
    short = TASKS["language"]._replace(split=partial(data.python_source, characters=100_000))
    monkeypatch.setitem(TASKS, "language", short)  # of the whole text the test part alone takes half a minute
    steps = {"language": 20}.get(task, 300)
    out = tmp_path / "history.json"
    assert main(["train", task, "--steps", str(steps), "--out", str(out), "--device", "cpu"]) == 0
    history = History.load(out)
    assert len(history) == steps
    assert history.loss[-10:].mean() < 0.8 * history.loss[0]
    assert "test loss" in capsys.readouterr().out


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_train_follows_each_schedule(schedule, tmp_path):
    out = tmp_path / "history.json"
    arguments = ["train", "digits", "--steps", "60", "--lr", "0.5", "--schedule", schedule, "--warmup", "5"]
    assert main([*arguments, "--batch-size", "32", "--out", str(out), "--device", "cpu"]) == 0
    columns = json.loads(out.read_text())
    assert columns["lr"][0] == 0.0
    assert 0.3 < max(columns["lr"]) <= 0.5
    assert set(columns["batch_size"]) == {32}


FAR = 10**9  # steps that no machine comes to the end of: a run of so many goes on until it is told to stop


def stopped_after(command: list[str], steps: int) -> tuple[int, str]:
    """Start ``command``, press Ctrl-C once its bar says that ``steps`` are done; the step it says it stopped at, and all it said."""
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it, and so would a child
    )  # fmt: skip
    bar = ""
    while not (done := re.findall(rf"(\d+)/{FAR}", bar)) or int(done[-1]) < steps:
        bar = bar[-200:] + process.stderr.read(1)
        assert process.poll() is None, bar + process.stderr.read()
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    return int(said.split("stopped at step ")[1].split(";")[0]), said


@pytest.mark.slow
def test_ctrl_c_keeps_the_checkpoint_and_the_same_command_goes_on(tmp_path):
    file, out = tmp_path / "run.pt", tmp_path / "history.json"
    command = [
        sys.executable,
        *[
            "-m",
            "gdlib",
            "train",
            "mnist1d",
            "--every",
            "10000",
            "--device",
            "cpu",
            "--optimizer",
            "momentum",
            "--lr",
            "0.02",
        ],
    ]
    command += ["--checkpoint", str(file), "--out", str(out), "--steps"]
    first, said = stopped_after([*command, str(FAR)], 1)
    assert first > 0
    assert f"the same command goes on from {file}" in said
    second, _ = stopped_after([*command, str(FAR)], first + 1)
    assert second > first
    subprocess.run([*command, str(second + 5)], env=ENVIRONMENT, check=True, capture_output=True)
    assert History.load(out).index.tolist() == list(range(second + 5))


def test_sweep_prints_its_grid_and_keeps_it(tmp_path, capsys):
    out = tmp_path / "runs.npz"
    assert (
        main(["sweep", "diabetes", "--steps", "50", "--lr", "0.01", "0.1", "--batch-size", "16", "--out", str(out)])
        == 0
    )
    said = capsys.readouterr().out
    assert "B = 16" in said
    lr, size = Sweep.load(out).best()
    assert f"best: lr {lr:g} with batch size {size}" in said


def test_devices_says_what_is_used_and_why(capsys):
    assert main(["devices"]) == 0
    said = capsys.readouterr().out
    assert 'device="auto" takes ' in said
    assert 'precision="auto" takes ' in said


def test_errors_are_one_line_and_help_names_the_tasks(capsys):
    assert main(["train", "digits", "--lr", "-1"]) == 1
    assert capsys.readouterr().err == "ValueError: lr must be a positive finite number; got -1.0\n"
    assert main(["train", "diabetes", "--lr", "1e9", "--steps", "100", "--device", "cpu"]) == 1
    assert "Divergence: the loss is" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["train", "--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert all(task in said for task in TASKS)


def test_recommend_takes_a_function_of_ones_own(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom gdlib import data, models\n\n\ndef setup():\n"
        "    return lambda: models.linear(10), data.diabetes().train, torch.nn.functional.mse_loss, torch.optim.SGD\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["recommend", "mine:setup", "--budget", "400", "--report", "report.html", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "Recommendation(lr=" in said
    assert "the noise scale is about" in said
    assert (tmp_path / "report.html").stat().st_size > 10_000


MINE = """
import torch
from gdlib import data, models

def setup():
    return lambda: models.linear(10), data.diabetes(), torch.nn.functional.mse_loss, torch.optim.AdamW

def broken():
    return {}["missing"]

def bad_loss():
    def loss_fn(outputs, targets):
        raise ValueError("my own mistake")
    return lambda: models.linear(10), data.diabetes().train, loss_fn, torch.optim.SGD
"""


def test_train_and_sweep_take_a_function_of_ones_own(tmp_path, monkeypatch, capsys):
    (tmp_path / "own_task.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    assert (
        main(["train", "own_task:setup", "--lr", "0.05", "--steps", "60", "--device", "cpu", "--out", "history.json"])
        == 0
    )
    assert "test loss" in capsys.readouterr().out
    history = History.load("history.json")
    assert history.loss[-5:].mean() < 0.8 * history.loss[0]
    assert (
        main(
            ["sweep", "own_task:setup", "--lr", "0.1", "--batch-size", "8", "32", "--steps", "20", "--out", "runs.npz"]
        )
        == 0
    )
    assert Sweep.load("runs.npz").losses.shape == (1, 2, 1, 20)


@pytest.mark.parametrize(
    ("function", "error", "said"), [("broken", KeyError, "missing"), ("bad_loss", ValueError, "my own mistake")]
)
def test_an_error_in_the_readers_module_is_shown_as_theirs(function, error, said, tmp_path, monkeypatch):
    (tmp_path / "own_faults.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said) as caught:
        main(["train", f"own_faults:{function}", "--steps", "3", "--device", "cpu"])
    assert "own_faults.py" in str(caught.traceback[-1].path)


def test_a_finished_checkpoint_says_so_and_settings_that_differ_are_named(tmp_path, capsys):
    command = [
        "train",
        "diabetes",
        "--steps",
        "20",
        "--checkpoint",
        str(tmp_path / "run.pt"),
        "--device",
        "cpu",
        "--lr",
    ]
    assert main([*command, "0.05"]) == 0
    assert "resumed" not in capsys.readouterr().out
    assert main([*command, "0.01"]) == 0
    said = capsys.readouterr().out
    assert "resumed at step 20 of 20" in said
    assert "--lr was 0.05 when it was written, and is 0.01 from here on" in said


@pytest.mark.parametrize("option", ["--out", "--checkpoint"])
def test_paths_are_checked_before_the_work(option, tmp_path, capsys):
    for path in (tmp_path / "missing" / "file", tmp_path):
        assert main(["train", "digits", "--steps", "1000000000", option, str(path)]) == 1
        assert "must lie in a folder that exists" in (said := capsys.readouterr().err) or "must be a file" in said


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ("nothing", "setup must be module:function or one of digits"),
        ("no_such_module:setup", "setup must name a function that can be imported"),
        ("json:no_such_function", "setup must name a function that can be imported"),
        ("os:getcwd", "setup must return (make_model, dataset, loss_fn, optimizer)"),
    ],
)
def test_recommend_says_what_is_wrong_with_a_setup(setup, said, capsys):
    assert main(["recommend", setup]) == 1
    assert said in capsys.readouterr().err
