"""The cockpit's Python face: a real run in a thread, steered while it goes on."""

import time

import numpy as np
import pytest
import torch

from gdlib import Trainer, data, models, widgets

train = data.digits().train
cross_entropy = torch.nn.functional.cross_entropy
ENDLESS = 10**9  # steps


def cockpit(**options) -> tuple[widgets.Cockpit, list]:
    torch.manual_seed(0)
    made = widgets.Cockpit(Trainer(models.mlp(64, 16, 10), train, cross_entropy, device="cpu"), **options)
    sent = []
    made.drawing.send = sent.append
    return made, sent


def until(condition) -> None:
    """Wait for it; ten minutes are for a machine that hangs."""
    end = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def waits(sent: list, pauses: int = 1) -> bool:
    """Whether the thread has said, too, that it is paused: after that it takes no step."""
    return sum(message["state"] == "paused" for message in sent) == 2 * pauses


def test_sliders_act_on_the_very_next_step():
    made, sent = cockpit(lr=0.1, batch_size=32, steps=ENDLESS)
    made.start()
    until(lambda: len(made.history) > 20)
    made.pause()
    assert not made.running
    until(lambda: waits(sent))
    taken = len(made.history)
    made.lr, made.batch_size = 0.5, 128
    made.start()
    until(lambda: len(made.history) > taken + 20)
    made.stop()
    lr, size = made.history.lr, made.history.batch_size
    assert set(lr[:taken]) == {0.1}
    assert set(lr[taken:]) == {0.5}
    assert set(size[:taken]) == {32}
    assert set(size[taken:]) == {128}


def test_pause_waits_and_stop_ends_and_start_goes_on():
    made, sent = cockpit(steps=ENDLESS)
    made.start()
    assert made.running
    until(lambda: len(made.history) > 5)
    made.pause()
    until(lambda: waits(sent))
    waiting = len(made.history)
    time.sleep(0.2)  # in which it would take hundreds
    assert len(made.history) == waiting
    made.stop()
    assert not made.running
    made.start()
    until(lambda: len(made.history) > waiting + 5)
    made.stop()
    assert made.history.index.tolist() == list(range(made.trainer.steps_done))


def test_there_is_time_to_steer():
    """A small model waits for the hand: no step begins before the one before it has taken its time."""
    made, _ = cockpit(steps=12, pace=200.0)
    times = []
    made.trainer.run, run = (
        (lambda steps: (times.append(time.monotonic()) or step for step in run(steps))),
        made.trainer.run,
    )
    made.start()
    until(lambda: not made.running)
    assert len(times) == 12
    assert times[-1] - times[0] >= 10 / 200
    assert cockpit()[0].pace == 100.0
    made.pace = None
    made.start()
    until(lambda: not made.running)
    assert len(made.history) == 24


def test_pausing_what_is_over_does_not_say_paused():
    made, sent = cockpit(steps=3, pace=None)
    made.pause()
    assert sent[-1]["state"] == "ready"
    made.start()
    until(lambda: sent[-1]["state"] == "done")
    for wish in ("pause", "stop"):
        made._answer(made.drawing, {"do": wish}, [])
        assert sent[-1]["state"] == "done"
    made._answer(made.drawing, {"hello": True}, [])
    assert sent[-1]["state"] == "done"


def test_every_wish_is_answered():
    """So that the page can tell a kernel that is there from one that was restarted."""
    made, sent = cockpit()
    for wish, state in (("start", "running"), ("pause", "paused"), ("start", "running"), ("stop", "stopped")):
        before = len(sent)
        made._answer(made.drawing, {"do": wish}, [])
        assert state in [message["state"] for message in sent[before:]]


def test_other_work_is_possible_meanwhile():
    made, _ = cockpit(steps=ENDLESS)
    made.start()
    taken = len(made.history)
    assert sum(range(1_000_000)) == 499999500000
    until(lambda: len(made.history) > taken)
    assert made.running
    made.stop()


def test_the_page_is_told_every_step_once():
    made, sent = cockpit(steps=150)
    made._answer(made.drawing, {"hello": True}, [])
    assert sent[0]["state"] == "ready"
    assert sent[0]["device"] == "cpu, fp32"
    made._answer(made.drawing, {"do": "start"}, [])
    until(lambda: sent[-1]["state"] == "done")
    losses = [loss for message in sent for loss in message.get("losses", [])]
    assert losses == made.history.loss.tolist()
    assert next(m["at"] for m in sent if "at" in m) == 0
    assert not made.running


def test_divergence_is_shown():
    torch.manual_seed(0)
    made = widgets.Cockpit(
        Trainer(models.linear(10), data.diabetes().train, torch.nn.functional.mse_loss, device="cpu"), lr=10.0
    )
    sent = []
    made.drawing.send = sent.append
    made.start()
    until(lambda: sent and sent[-1]["state"].startswith("the loss is"))


def test_the_recording_travels_with_the_drawing():
    made, _ = cockpit(steps=30)
    made.start()
    until(lambda: not made._thread.is_alive())
    again, _ = cockpit(recorded=made.history, about="one CPU core")
    columns = np.frombuffer(again.drawing.recording, "<f4").reshape(3, 30)
    np.testing.assert_allclose(columns, [made.history.loss, made.history.lr, made.history.batch_size], rtol=1e-6)
    assert repr(again) == "Cockpit(lr=0.1, batch_size=64)"


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        (lambda: widgets.Cockpit(3), TypeError, "trainer must be a gdlib.Trainer; got int"),
        (lambda: cockpit(batch_size=3), ValueError, "batch_size must be one of 1, 2, 4"),
        (lambda: cockpit(lr=-1), ValueError, "lr must be a positive finite number; got -1"),
        (lambda: cockpit(pace=0), ValueError, "pace must be a positive finite number; got 0"),
        (lambda: cockpit(steps=0), ValueError, "steps must be a whole number of at least 1"),
        (lambda: cockpit(recorded=[1]), TypeError, "recorded must be a gdlib.History; got list"),
        (lambda: setattr(cockpit()[0], "batch_size", 7), ValueError, "batch_size must be one of"),
    ],
)
def test_bad_input(act, error, said):
    with pytest.raises(error, match=said):
        act()


def test_out_of_range_is_clamped_and_said_so():
    made, _ = cockpit()
    with pytest.warns(UserWarning, match="lr must lie between 1e-05 and 10; got 50"):
        made.lr = 50
    assert made.drawing.lr == made.lr == 10.0
