"""Threads that help one piece of work, and speak for it in the log.

Threads that serve several pieces of work, such as those of a connection that runs share, speak for
none of them; what they call back on behalf of one does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

_of_thread: ContextVar[str] = ContextVar("speaks for", default="")


def speaks_for() -> str:
    """Return what this thread works for, such as the id of a run; "" for nothing of its own."""
    return _of_thread.get()


@contextmanager
def speaking_for(work: str) -> Generator[None]:
    """Let this thread, and those it starts as helpers, speak for a piece of work."""
    token = _of_thread.set(work)
    try:
        yield
    finally:
        _of_thread.reset(token)


def helper(target: Callable[[], object], name: str | None = None) -> threading.Thread:
    """Return a thread, to be started, that speaks for what this one does.

    It does not keep the process alive.
    """
    work = speaks_for()

    def run() -> None:
        with speaking_for(work):
            target()

    return threading.Thread(target=run, name=name, daemon=True)
