"""What a practitioner does to a run: freezing, state of one's own, histories that were handed out."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from gdlib import Trainer, data, models

split = data.digits()
ROOT = Path(__file__).parents[2]


def thawing() -> Trainer:
    torch.manual_seed(0)
    model = models.mlp(64, 16, 10)
    model[0].requires_grad_(False)
    return Trainer(model, split.train, nn.functional.cross_entropy, lr=0.1)


def test_what_is_frozen_is_part_of_the_state(tmp_path):
    """A script that thaws at step 5, in the loop's body, and is resumed at step 8, has to be told."""
    path, undisturbed = tmp_path / "run.pt", thawing()
    for trainer, end in ((undisturbed, 12), (first := thawing(), 8)):
        for _ in trainer.run(until=end, checkpoint=None if trainer is undisturbed else path, every=4):
            if trainer.steps_done == 5:
                trainer.model.requires_grad_(True)
    assert first.steps_done == 8
    resumed = thawing()
    for _ in resumed.run(until=12, checkpoint=path):
        pass
    assert all(torch.equal(p, q) for p, q in zip(undisturbed.parameters(), resumed.parameters()))

    back = resumed.state_dict()
    resumed.model[0].requires_grad_(False)
    resumed.load_state_dict(back)
    assert all(p.requires_grad for p in resumed.parameters())


def test_extra_is_the_same_dict_after_a_scratch():
    trainer = thawing()
    mine = trainer.extra
    mine["best"] = 1.0
    with trainer.scratch():
        trainer.fit(2)
        trainer.extra["best"] = 0.5
        trainer.extra["more"] = 1
    assert trainer.extra is mine and mine == {"best": 1.0}


def test_loading_after_a_run_leaves_its_history_alone(tmp_path):
    trainer = thawing()
    trainer.fit(3)
    trainer.save(tmp_path / "best.pt")
    history = trainer.fit(3)
    before = copy.deepcopy(history.to_dict())
    trainer.load(tmp_path / "best.pt")
    assert trainer.steps_done == 3 and history.to_dict() == before
    trainer.save(tmp_path / "again.pt")
    assert len(torch.load(tmp_path / "again.pt")["history"]["index"]) == 3


THAWING = """
import sys, torch
from torch import nn
from gdlib import Trainer, data, distributed, models
torch.manual_seed(0)
model = models.mlp(64, 16, 10).double()
model[0].requires_grad_(False)
train = data.digits().train.to(dtype=torch.float64)
trainer = Trainer(model, train, nn.functional.cross_entropy, lr=0.1, batch_size=10)
for step in trainer.run(8):
    model[0].requires_grad_(step.index == 3 or step.index > 5)
if distributed.rank() == 0:
    torch.save(model.state_dict(), sys.argv[1])
distributed.leave()
"""


@pytest.mark.slow
def test_what_is_thawed_and_frozen_in_the_loop_is_exchanged_between_processes(tmp_path):
    (tmp_path / "thaw.py").write_text(THAWING, encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    ends = []
    for several in ([], ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]):
        command = [sys.executable, *several, "thaw.py", "end.pt"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        ends.append(torch.load(tmp_path / "end.pt"))
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-8, atol=1e-10)
