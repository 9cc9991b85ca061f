"""The cockpit: a run that is steered while it goes on."""

import threading
import time
from collections.abc import Sequence

import ipywidgets
import numpy as np
import torch
import traitlets

from gdlib import _check
from gdlib.training import Divergence, History, Step, Trainer
from gdlib.widgets._base import Drawing, Explorer, clamp, log_slider, module, slider

LR = (1e-5, 10.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TELL = 0.1  # seconds between two messages to the page
PACE = 100.0  # steps a second, at most: a small model would be done before one can steer it


class CockpitDrawing(Drawing):
    """Loss, learning rate and batch size against the step: of the run while there is a kernel, else of the recording."""

    _esm = module("cockpit")
    batch_sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    recording = traitlets.Bytes().tag(sync=True)
    about = traitlets.Unicode().tag(sync=True)
    setting = traitlets.List().tag(sync=True)
    lr = traitlets.Float().tag(sync=True)
    batch_index = traitlets.Int().tag(sync=True)


class Cockpit(Explorer):
    """Start, pause and stop a run, and move its learning rate and batch size: they act on the very next step.

    The run goes on in a thread of its own, so that other cells can be used meanwhile. On a page without a kernel the same buttons
    replay a recorded session, and the cockpit says so.

    Args:
        trainer: what to train; its learning rate and batch size are set by the sliders from the first step on.
        lr: where the slider starts, in [1e-5, 10].
        batch_size: likewise, one of 1, 2, 4, ..., 1024.
        steps: the run pauses for good after so many.
        recorded: a session to replay without a kernel; ``None`` has nothing to show there.
        about: what was recorded, in a few words, such as the machine and the model.
        pace: steps a second, at most, so that there is time to steer; ``None`` goes as fast as it can.

    Attributes:
        lr, batch_size: traits, to read, set and observe; they follow the sliders.
        pace: as above; it may be changed while the run goes on.
        history: what has been trained here, as a `History`.
        running: whether steps are being taken.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> from gdlib import data, models
        >>> cockpit = Cockpit(Trainer(models.linear(10), data.diabetes().train, torch.nn.functional.mse_loss), lr=0.01)
        >>> cockpit.start()
        >>> cockpit.lr = 0.02
        >>> cockpit.stop()
        >>> cockpit
        Cockpit(lr=0.02, batch_size=64)
    """

    lr = traitlets.Any()
    batch_size = traitlets.Any()
    _shown = ("lr", "batch_size")

    def __init__(
        self,
        trainer: Trainer,
        lr: float = 0.1,
        batch_size: int = 64,
        steps: int = 2000,
        recorded: History | None = None,
        about: str = "",
        pace: float | None = PACE,
    ):
        if not isinstance(trainer, Trainer):
            raise TypeError(f"trainer must be a gdlib.Trainer; got {type(trainer).__name__}")
        if recorded is not None and not isinstance(recorded, History):
            raise TypeError(f"recorded must be a gdlib.History; got {type(recorded).__name__}")
        self.trainer, self.steps, self.history = trainer, _check.whole("steps", steps), History()
        self.pace = None if pace is None else _check.positive("pace", pace)
        lr = clamp("lr", _check.positive("lr", lr), *LR)
        index = BATCH_SIZES.index(_check.one_of("batch_size", batch_size, BATCH_SIZES))
        drawing = CockpitDrawing(
            batch_sizes=list(BATCH_SIZES), recording=_packed(recorded), about=about, setting=[lr, index], lr=lr,
            batch_index=index,
        )  # fmt: skip
        sliders = {
            "lr": log_slider("learning rate", lr, *LR, step=0.02, readout_format=".3g"),
            "batch_index": slider(
                ipywidgets.SelectionSlider, description="batch size", options=[str(b) for b in BATCH_SIZES], index=index
            ),
        }  # fmt: skip
        super().__init__(drawing, sliders, ("lr",))
        self._look_up("batch_size", "batch_index", list(BATCH_SIZES))
        self._steer()
        self.observe(lambda change: self._steer(), ("lr", "batch_size"))
        self._go, self._end, self._thread, self._state = threading.Event(), threading.Event(), None, "ready"
        drawing.on_msg(self._answer)

    @traitlets.validate("lr")
    def _lr(self, proposal: dict) -> float:
        return clamp("lr", _check.positive("lr", proposal["value"]), *LR)

    @traitlets.validate("batch_size")
    def _batch_size(self, proposal: dict) -> int:
        return _check.one_of("batch_size", proposal["value"], BATCH_SIZES)

    def _steer(self) -> None:
        self.trainer.lr, self.trainer.batch_size = self.lr, self.batch_size

    @property
    def running(self) -> bool:
        """Whether steps are being taken."""
        return self._go.is_set() and self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Take steps, from where the trainer is."""
        self._go.set()
        self._tell("running")
        if self._thread is None or not self._thread.is_alive():
            self._end.clear()
            self._thread = threading.Thread(target=self._train, daemon=True)
            self._thread.start()

    def pause(self) -> None:
        """Wait after the present step. A run that is over stays so."""
        state = "paused" if self.running else self._state
        self._go.clear()
        self._tell(state)

    def stop(self) -> None:
        """End the run after the present step; the trainer keeps what it has learnt."""
        self._end.set()
        self._go.set()
        if self._thread is not None:
            self._thread.join()
        self._go.clear()
        self._tell(self._state)

    def _train(self) -> None:
        new, began, told, state = [], time.monotonic(), time.monotonic(), "stopped"
        try:
            for step in self.trainer.run(self.steps):
                began = self._wait(began)
                self.history.append(step)
                new.append(step)
                if time.monotonic() - told > TELL:
                    self._tell("running", new, time.monotonic() - told)
                    new, told = [], time.monotonic()
                if not self._go.is_set():
                    self._tell("paused", new)
                    self._go.wait()
                    new, told = [], time.monotonic()
                if self._end.is_set():
                    break
            else:
                state = "done"
        except Divergence as error:
            state = f"{error}".split(";")[0]
        except Exception as error:  # a thread's error would be lost: the cockpit shows it
            state = f"{type(error).__name__}: {error}"
        self._go.clear()
        self._tell(state, new)

    def _wait(self, began: float) -> float:
        """Wait until the step that began then has taken its time; the time at which the next one begins."""
        if self.pace is not None:
            self._end.wait(max(0.0, began + 1 / self.pace - time.monotonic()))
        return time.monotonic()

    def _tell(self, state: str, steps: Sequence[Step] = (), seconds: float = 0.0) -> None:
        self._state = state
        message = {"state": state, "device": self._device()}
        if steps:
            message |= {"at": steps[0].index, "losses": [step.loss for step in steps]}
            message |= {"lrs": [step.lr for step in steps], "sizes": [step.batch_size for step in steps]}
        if seconds:
            message["rate"] = len(steps) / seconds
        self.drawing.send(message)

    def _device(self) -> str:
        device = self.trainer.device
        used = f", {torch.cuda.max_memory_allocated(device) / 2**20:,.0f} MiB" if device.type == "cuda" else ""
        return f"{device.type}, {self.trainer.precision.name}{used}"

    def _answer(self, drawing: CockpitDrawing, message: dict, buffers: list) -> None:
        """What the page sends: a greeting, which only a kernel answers, or a button's wish."""
        if "hello" in message:
            self._tell("running" if self.running else self._state)
        if wish := message.get("do"):
            {"start": self.start, "pause": self.pause, "stop": self.stop}[wish]()


def _packed(history: History | None) -> bytes:
    """Losses, rates and batch sizes, one after another, as float32."""
    if history is None:
        return b""
    return np.stack([history.loss, history.lr, history.batch_size]).astype("<f4").tobytes()
