import json
import math

import numpy as np
import torch
from torch import nn

from gdlib import History, Trainer, data, models

train = data.diabetes().train


def run(**options) -> tuple[History, list]:
    torch.manual_seed(0)
    trainer = Trainer(models.linear(10), train, nn.functional.mse_loss, **options)
    history, steps = History(), []
    for step in trainer.run(5):
        history.append(step)
        steps.append(step)
    return history, steps


def test_columns_are_the_steps():
    history, steps = run(lr=lambda step: 0.1 / (step + 1), batch_size=lambda step: 8 + step)
    assert len(history) == 5
    for name in History.COLUMNS:
        assert isinstance(getattr(history, name), np.ndarray)
        assert getattr(history, name).tolist() == [getattr(step, name) for step in steps]


def test_fit_gives_the_same_history():
    torch.manual_seed(0)
    trainer = Trainer(models.linear(10), train, nn.functional.mse_loss, lr=0.1, batch_size=8)
    assert trainer.fit(5).to_dict() == run(lr=0.1, batch_size=8)[0].to_dict()


def test_save_writes_json(tmp_path):
    history, _ = run(lr=None)
    assert all(math.isnan(lr) for lr in history.lr)
    history.save(tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text()) == history.to_dict()
    assert history.to_dict()["lr"] == [None] * 5


def test_empty():
    assert History().loss.shape == (0,)
    assert repr(History()) == "History(0 steps)"
