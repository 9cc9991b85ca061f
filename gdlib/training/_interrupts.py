"""Ctrl-C waits until a step's change is whole: an update that stops half-way cannot be undone."""

import signal
import threading
from types import TracebackType
from typing import Any

_MAIN = threading.main_thread().ident
_previous: Any = None
_committing, _pending = False, None


def protect() -> None:
    """Have SIGINT pass through here, where this thread may say so; at other moments it does what it did before."""
    global _previous
    if threading.get_ident() != _MAIN:
        return
    handler = signal.getsignal(signal.SIGINT)
    if handler is not _on_interrupt and callable(handler):
        _previous = handler
        signal.signal(signal.SIGINT, _on_interrupt)


def release() -> None:
    """Give SIGINT back."""
    if threading.get_ident() == _MAIN and signal.getsignal(signal.SIGINT) is _on_interrupt:
        signal.signal(signal.SIGINT, _previous)


def _on_interrupt(number: int, frame: Any) -> None:
    global _pending
    if _committing:
        _pending = (number, frame)
    else:
        _previous(number, frame)


class Uninterrupted:
    """Within the ``with`` block Ctrl-C is kept waiting, and obeyed at its end."""

    def __enter__(self) -> None:
        global _committing
        _committing = threading.get_ident() == _MAIN

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        global _committing, _pending
        _committing = False
        if _pending is not None:
            waiting, _pending = _pending, None
            _previous(*waiting)
