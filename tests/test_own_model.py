"""The page "Use gdlib on your own model": every block of Python on it is run, and what the page says of it is held."""

import copy
import os
import re
import signal
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gdlib import Trainer, data, models

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "appendix" / "own-model.md").read_text(encoding="utf-8")
SECTIONS = {
    part.splitlines()[0]: re.findall(r"^```python\n(.*?)^```", part, flags=re.DOTALL | re.MULTILINE)
    for part in PAGE.split("\n## ")[1:]
}
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
split = data.digits()
KILLED, MANY = "A language model from a file, killed and resumed", "Many processes: DDP and FSDP2"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the blocks of a section, one after another, in a folder and a namespace of their own."""
    monkeypatch.chdir(tmp_path)

    def run(title: str) -> dict:
        names = {"__name__": "__main__"}
        for block in SECTIONS[title]:
            exec(compile(block, title, "exec"), names)
        return names

    return run


def test_every_block_is_one_of_those_that_are_run_here():
    assert sum(map(len, SECTIONS.values())) == PAGE.count("```python")
    ran = re.findall(r'run\("(.*?)"\)', Path(__file__).read_text(encoding="utf-8"))
    assert {title for title, blocks in SECTIONS.items() if blocks} == {*ran, KILLED, MANY}


@pytest.mark.parametrize("title", [title for title, blocks in SECTIONS.items() if blocks])
def test_a_block_has_at_most_25_lines(title):
    for block in SECTIONS[title]:
        lines = [line for line in block.splitlines() if line.strip() and not re.match(r"(from|import) ", line)]
        assert len(lines) <= 25


def test_table(run):
    names = run("A table: stop early, keep the best")
    trainer, history, best = names["trainer"], names["history"], names["mine"]["best"]
    looks = history["validation"][19::20]
    assert len(looks) == trainer.steps_done / 20 < 150
    assert best == looks.min() == looks[-11]
    names["model"].float().load_state_dict(names["mine"]["weights"])  # the plain loop has gone on, in float64
    assert trainer.evaluate(names["val"])["loss"] == pytest.approx(best), "the weights of the best look"
    again = run("A table: stop early, keep the best")
    assert again["trainer"].steps_done == trainer.steps_done
    assert again["history"].to_dict() == history.to_dict()


def test_images(run):
    names = run("Images: augmentation, workers, class weights")
    assert names["trainer"].steps_done == 200
    assert abs(names["cut"] - names["whole"]) > 1e-4 * names["whole"]
    assert names["trainer"].evaluate(names["test"])["accuracy"] > 0.5


@pytest.mark.slow  # most of it is importing Transformers
def test_transformers(run):
    names = run("Fine-tune a Transformers model")
    assert names["trainer"].evaluate(names["samples"][:100])["accuracy"] > 0.8


def test_the_loss_over_tokens_of_transformers_section_is_exact_in_micro_batches():
    from transformers import GPT2Config, GPT2LMHeadModel

    names, words = {"torch": torch}, torch.randint(50, (16, 12), generator=torch.Generator().manual_seed(0))
    (block,) = (block for block in SECTIONS["Fine-tune a Transformers model"] if "def over_tokens" in block)
    exec(block, names)
    labels = words.masked_fill(torch.arange(12) >= 3 + torch.arange(16)[:, None] % 9, -100)
    sizes = {"vocab_size": 50, "n_positions": 12, "n_embd": 8, "n_layer": 1, "n_head": 1}
    ends = []
    for micro in (None, 3):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(**sizes, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)).double()
        samples = {"input_ids": words, "labels": labels}
        trained = trainer(model, names["over_tokens"], data=samples, batch_size=16, micro_batch_size=micro)
        trained.fit(2)
        ends.append(weights(trained))
    torch.testing.assert_close(*ends, rtol=1e-10, atol=1e-12)


def test_several_losses(run):
    names = run("Several losses")
    history = names["history"]
    assert history.loss == pytest.approx(history["label"] + 0.5 * history["copy"], rel=1e-6)


def test_gan(run, tmp_path):
    """Stopped between two checkpoints and started again it ends where it would have ended, both models."""
    (block,) = SECTIONS["Two models, two optimizers: a GAN"]
    names = run("Two models, two optimizers: a GAN")
    assert names["makers"].steps_done == 300 and names["step"].recorded["maker"] > 0
    (tmp_path / "gan.pt").unlink()
    stopped = block.replace("made = next(makers_steps)", "made = next(makers_steps)\n    if step.index == 130: break")
    exec(compile(stopped, "stopped", "exec"), {})
    again = {}
    exec(compile(block, "again", "exec"), again)
    for name in ("maker", "critic"):
        assert same(names[name].state_dict(), again[name].state_dict())


def test_ema(run):
    names = run("Average the weights (EMA)")
    trainer, test = names["trainer"], names["test"]
    assert trainer.evaluate(test, model=names["average"])["loss"] < trainer.evaluate(test)["loss"]


def test_freezing(run):
    names = run("Freeze, then unfreeze")
    assert names["trainer"].evaluate(names["classes"](split.test, 5))["accuracy"] > 0.9
    body, model = names["body"].requires_grad_(False), names["model"]
    narrow = Trainer(
        model, names["classes"](split.train, 5), cross_entropy, torch.optim.SGD(model[2].parameters(), lr=0.1)
    )
    body.requires_grad_(True)
    with pytest.warns(UserWarning, match="0.0.weight, .* now require a gradient, but the optimizer does not hold them"):
        narrow.fit(1)


def test_logs(run, tmp_path):
    run("Logs: TensorBoard and CSV")
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "index,lr,batch_size,samples_seen,loss,grad_norm,accuracy" and len(lines) == 201
    assert list((tmp_path / "runs").rglob("events*"))


def test_choosing(run, tmp_path):
    names = run("Which rate, which batch size?")
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert names["trainer"].evaluate(names["test"])["accuracy"] > 0.5


@pytest.mark.slow
def test_a_language_model_that_is_killed_comes_to_the_same_end(tmp_path):
    script = "\n".join(SECTIONS[KILLED])
    ends, said = {}, {}
    for name in ("calm", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "lm.py").write_text(script, encoding="utf-8")
        command = [sys.executable, "lm.py"]
        if name == "killed":
            first = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
            for line in first.stdout:
                if line.startswith("Step(49"):
                    first.send_signal(signal.SIGKILL)
                    break
            assert first.wait() == -signal.SIGKILL
        done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
        said[name] = done.stdout.splitlines()
        ends[name] = torch.load(folder / "lm.pt")
    assert said["calm"][0].startswith("Step(9,") and not said["killed"][0].startswith("Step(9,")
    assert said["killed"] == said["calm"][-len(said["killed"]) :]
    for end in ends.values():
        end.pop("generators")  # NumPy's and Python's are seeded by nobody here, and draw nothing
    assert ends["calm"]["steps_done"] == 120 and same(ends["calm"], ends["killed"])


def same(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.slow
def test_many_processes_print_what_one_does(tmp_path):
    (tmp_path / "many.py").write_text("\n".join(SECTIONS[MANY]), encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    said = []
    for command in (
        [sys.executable, "many.py"],
        [*torchrun, "many.py", "ddp"],
        [*torchrun, "many.py", "fsdp"],
    ):
        done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        said.append(done.stdout.split(": "))
        (tmp_path / "many.pt").unlink()
    assert [words[0] for words in said] == ["1 processes", "2 processes", "2 processes"]
    assert len({words[1] for words in said}) == 1, said


def test_the_page_names_the_tests_of_its_traps():
    here = Path(__file__).read_text(encoding="utf-8")
    assert set(re.findall(r"`(test_trap_\w+)`", PAGE)) == set(re.findall(r"^def (test_trap_\w+)", here, re.MULTILINE))


def trainer(model=None, loss_fn=cross_entropy, **options) -> Trainer:
    torch.manual_seed(0)
    return Trainer(model or models.mlp(64, 16, 10), options.pop("data", split.train), loss_fn, **{"lr": 0.1} | options)


def weights(trained: Trainer) -> torch.Tensor:
    return nn.utils.parameters_to_vector(trained.model.parameters()).detach()


def test_trap_a_mean_over_labels():
    targets = split.train.targets.clone()
    targets[::3] = -100

    def exact(outputs, targets):
        return cross_entropy(outputs, targets, reduction="sum"), (targets != -100).sum()

    ends = {}
    for name, loss_fn in (("mean", cross_entropy), ("exact", exact)):
        for micro in (None, 7):
            trained = trainer(loss_fn=loss_fn, data=(split.train.inputs, targets), micro_batch_size=micro)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                trained.fit(3)
            assert bool(said) == (name == "mean" and micro == 7)
            ends[name, micro] = weights(trained)
    torch.testing.assert_close(ends["exact", 7], ends["exact", None], rtol=1e-5, atol=1e-6)
    assert (ends["mean", 7] - ends["mean", None]).abs().max() > 1e-4


def test_trap_whose_rate():
    model = models.mlp(64, 16, 10)
    ready = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for optimizer, rate in ((torch.optim.AdamW, 0.1), (ready, 1e-4), (partial(torch.optim.AdamW, lr=1e-4), 1e-4)):
        trained = Trainer(model, split.train, cross_entropy, optimizer)
        trained.fit(1)
        assert trained.optimizer.param_groups[0]["lr"] == rate


def test_trap_the_seed_of_the_weights():
    one, two = (Trainer(models.mlp(64, 16, 10), split.train, cross_entropy, seed=0) for _ in range(2))
    assert not torch.equal(weights(one), weights(two))
    assert torch.equal(weights(trainer()), weights(trainer()))


def test_trap_leaving_early(tmp_path):
    for saves, kept in ((False, 10), (True, 13)):
        path, trained = tmp_path / f"{saves}.pt", trainer()
        for _ in trained.run(until=30, checkpoint=path, every=10):
            if trained.steps_done == 13:
                if saves:
                    trained.save(path)
                break
        assert torch.load(path)["steps_done"] == kept


def test_trap_steps_count_from_here():
    one, two = trainer(), trainer()
    for _ in range(2):
        one.fit(10)
        two.fit(until=10)
    assert (one.steps_done, two.steps_done) == (20, 10)


def test_trap_the_rate_is_code(tmp_path):
    trainer(lr=0.1).fit(2, checkpoint=tmp_path / "run.pt")
    assert trainer(lr=0.2).fit(until=4, checkpoint=tmp_path / "run.pt").lr.tolist() == [0.1, 0.1, 0.2, 0.2]


@pytest.mark.parametrize("kept", [True, False])
def test_trap_a_generator_of_your_own(tmp_path, kept):
    drawn = []
    for end in (3, 5):  # a run that stops, and the script started again
        rng, trained = np.random.default_rng(0), trainer()
        if kept:
            trained.extra["rng"] = rng
        for _ in trained.run(until=end, checkpoint=tmp_path / "run.pt", every=1):
            drawn.append(rng.random())
    wanted = np.random.default_rng(0).random(5).tolist()
    assert (drawn == wanted) == kept


def test_trap_batch_norm_sees_micro_batches():
    for norm, alike in ((nn.BatchNorm1d(16), False), (nn.LayerNorm(16), True)):
        ends = []
        for micro in (None, 8):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(64, 16), copy.deepcopy(norm), nn.ReLU(), nn.Linear(16, 10))
            trained = trainer(model, micro_batch_size=micro)
            trained.fit(3)
            ends.append(weights(trained))
        assert torch.allclose(*ends, rtol=1e-4, atol=1e-5) == alike


def test_trap_the_model_in_the_loop():
    trained = trainer(nn.Sequential(nn.Linear(64, 10), nn.Dropout(0.5)))
    for _ in trained.run(1):
        x = split.test.inputs[:4]
        assert not torch.equal(trained.model(x), trained.model(x))
        with models.evaluating(trained.model):
            assert torch.equal(trained.model(x), trained.model(x))
        assert trained.model.training


def test_trap_a_loader_is_refused():
    with pytest.raises(TypeError, match="pass the DataLoader's dataset"):
        trainer(data=torch.utils.data.DataLoader(list(zip(*split.train.inputs[:8]))))


def test_trap_windows(tmp_path):
    np.arange(6500, dtype=np.uint16).tofile(tmp_path / "tokens.bin")
    tokens = np.memmap(tmp_path / "tokens.bin", np.uint16, mode="r")
    every = np.lib.stride_tricks.sliding_window_view(tokens, 65)
    rows = tokens.reshape(-1, 65)
    for kind, count in ((every, 6500 - 64), (rows, 100)):
        held = data.Dataset(kind[:, :-1], kind[:, 1:])
        assert len(held) == count and not isinstance(held.inputs, torch.Tensor), "it stays on the disk"
        assert data.epoch_order(len(held), 0, 0).nbytes == 8 * count
