"""The one schedule with a memory, and how it is found in whatever is composed of it."""

import functools
import inspect
import math
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from gdlib import _check


class plateau:
    """Lower the rate when the loss has stopped falling: the source's adjustment "according to performance".

    The rate is multiplied by ``factor`` when the loss has not been below its best so far, by a share of at least
    ``threshold``, for more than ``patience`` looks in a row. This is torch's ``ReduceLROnPlateau``, told a loss at each look.

    It is called like every schedule, and has to be told each step's loss: ``observe(loss)``. `Trainer` and `as_torch` do that.
    Its state travels in a checkpoint.

    Args:
        lr: the rate to begin with; positive.
        factor: in (0, 1).
        patience: looks without a new best that are borne; 0 or more.
        every: steps from look to look; the mean of their losses is looked at. A batch's loss is noisy: with ``every`` equal
            to the steps of an epoch, a look is at the mean loss of that epoch.
        threshold: a new best is below the best by more than this share of it.
        cooldown: looks after a fall in which none is counted.
        min_lr: the rate never falls below this; at most ``lr``.
        watch: what `Trainer` tells it: the ``"loss"`` of each step, or a name that the loop's body gives to ``step.record``, such as
            a validation loss (smaller is better), at the steps where it does.

    Raises:
        TypeError, ValueError: if an argument is not what is said above.

    Example:
        >>> rate = plateau(1.0, factor=0.5, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     rate.observe(loss)
        >>> rate(4)
        0.5
    """

    def __init__(
        self,
        lr: float,
        factor: float = 0.1,
        patience: int = 10,
        every: int = 1,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        watch: str = "loss",
    ):
        self.lr = _check.positive("lr", lr)
        self.factor = _check.share("factor", factor)
        if self.factor == 1:
            raise ValueError("factor must be above 0 and below 1; got 1")
        self.patience, self.every = _check.whole("patience", patience, low=0), _check.whole("every", every)
        self.threshold = _check.number("threshold", threshold, low=0.0, high=1.0)
        self.cooldown = _check.whole("cooldown", cooldown, low=0)
        self.min_lr = _check.number("min_lr", min_lr, low=0.0, high=self.lr)
        if not isinstance(watch, str):
            raise TypeError(f"watch must be a name, such as 'loss'; got {watch!r}")
        self.watch = watch
        self.best, self.bad, self.cooling = math.inf, 0, 0
        self._sum, self._count = 0.0, 0

    def __call__(self, step: int) -> float:
        """The rate now. The step does not matter: only what was observed does."""
        return self.lr

    def observe(self, loss: Tensor | float) -> None:
        """Take in the loss of one step. A tensor is fetched from its device only at a look."""
        self._sum = self._sum + (loss.detach() if isinstance(loss, Tensor) else loss)
        self._count += 1
        if self._count == self.every:
            self._look(float(self._sum) / self._count)
            self._sum, self._count = 0.0, 0

    def _look(self, loss: float) -> None:
        if loss < self.best * (1.0 - math.copysign(self.threshold, self.best)):
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        if self.cooling:
            self.cooling, self.bad = self.cooling - 1, 0
        if self.bad > self.patience:
            self.lr, self.cooling, self.bad = max(self.lr * self.factor, self.min_lr), self.cooldown, 0

    def state_dict(self) -> dict[str, float]:
        """What it has seen so far, as plain numbers."""
        state = {name: getattr(self, name) for name in ("lr", "best", "bad", "cooling")}
        return state | {"sum": float(self._sum), "count": self._count}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from what `state_dict` gave."""
        for name in ("lr", "best", "bad", "cooling"):
            setattr(self, name, state[name])
        self._sum, self._count = state["sum"], state["count"]


def plateaus(*functions: Callable[[int], Any] | None) -> list[plateau]:
    """Every `plateau` that the ``functions`` are made of, each once: within closures, partials, bound objects and global names.

    Example:
        >>> rate = plateau(0.1)
        >>> plateaus(lambda step: 2 * rate(step)) == [rate]
        True
    """
    found, seen, waiting = [], set(), list(functions)
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, plateau):
            found.append(thing)
        else:
            waiting.extend(_parts(thing))
    return found


def _parts(thing: Any) -> Iterator[Any]:
    """What a function or a container refers to and that could be, or hold, a schedule."""
    if inspect.isfunction(thing):
        here = thing.__globals__
        yield from (cell.cell_contents for cell in thing.__closure__ or () if cell != _EMPTY)
        for value in (here[name] for name in thing.__code__.co_names if callable(here.get(name))):
            if (
                not inspect.isfunction(value) or value.__globals__ is here
            ):  # not into the libraries that a schedule calls
                yield value
        yield from thing.__defaults__ or ()
        yield from (thing.__kwdefaults__ or {}).values()
    elif isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif inspect.ismethod(thing):
        yield from (thing.__self__, thing.__func__)
    elif isinstance(thing, Mapping):
        yield from thing.values()
    elif isinstance(thing, (list, tuple)):
        yield from thing
    elif callable(thing) and not inspect.isroutine(thing) and not inspect.isclass(thing):
        yield from getattr(thing, "__dict__", {}).values()


_EMPTY = types.CellType()  # a name that has no value yet
