"""Ctrl-C and termination: a request to stop, taken at a safe moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_sets(cancel: threading.Event) -> Generator[None]:
    """Let signals set `cancel`, however often they come; what works looks at it by itself."""

    def request(_number: int, _frame: FrameType | None) -> None:
        cancel.set()

    with _handled_by(request):
        yield


@contextmanager
def stop_interrupts() -> Generator[None]:
    """Let signals interrupt at once: for what only looks."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled_by(interrupt):
        yield


@contextmanager
def _handled_by(handler: signal._HANDLER) -> Generator[None]:
    before = {number: signal.signal(number, handler) for number in _REQUESTS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
