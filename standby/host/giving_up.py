"""Waiting for a connection for only as long as somebody wants it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from math import inf
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

from standby.errors import Cancelled, ReachHost, StandbyError
from standby.host.helpers import helper

T = TypeVar("T")

_LOOK_EVERY_S: Final = 0.1

_of_thread: ContextVar[threading.Event | None] = ContextVar("cancel", default=None)


@contextmanager
def given_up_once(cancel: threading.Event) -> Generator[None]:
    """Let this thread wait for connections only until `cancel` is set.

    Connections are shared: one of those who use them may want to stop while others go on.
    """
    token = _of_thread.set(cancel)
    try:
        yield
    finally:
        _of_thread.reset(token)


def is_given_up(cancel: threading.Event) -> bool:
    """Tell whether `cancel` is set, or what this thread goes by."""
    own = _of_thread.get()
    return cancel.is_set() or (own is not None and own.is_set())


@contextmanager
def alone(lock: threading.Lock, cancel: threading.Event, what: str) -> Generator[None]:
    """Hold a lock that somebody may hold while he connects. Raises Cancelled.

    Who wanted to stop before waits for it all the same: he cleans up.
    """
    cleans_up = is_given_up(cancel)
    while not lock.acquire(timeout=_LOOK_EVERY_S):
        if not cleans_up and is_given_up(cancel):
            raise _stopped(what)
    try:
        yield
    finally:
        lock.release()


def _never() -> bool:
    return False


def _stopped(what: str) -> Cancelled:
    return Cancelled(what, "stopped while it was being connected")


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """One try to connect, in a thread of its own: nothing else can leave a blocking call.

    `close` ends a connection that comes when nobody waits for it any more. `limit` in seconds, for
    what has none of its own.
    """

    what: str
    connect: Callable[[], T]
    close: Callable[[T], None]
    limit: float = inf
    _done: SimpleQueue[T | StandbyError] = field(default_factory=SimpleQueue)
    _abandoned: threading.Event = field(default_factory=threading.Event)

    def result(self, cancel: threading.Event) -> T:
        """Connect; raise Cancelled as soon as it is given up."""
        return self._awaited(partial(is_given_up, cancel))

    def _awaited(self, unwanted: Callable[[], bool]) -> T:
        helper(self._run, f"connect {self.what}").start()
        try:
            done = self._wait(unwanted)
        except BaseException:
            self._abandoned.set()
            self._close_what_came()
            raise
        if isinstance(done, StandbyError):
            raise done
        return done

    def again(self, cancel: threading.Event) -> T:
        """Connect after a connection was lost.

        One that begins when `cancel` is set already is made to its end: it serves to clean up,
        such as to thaw a guest.
        """
        return self._awaited(_never) if is_given_up(cancel) else self.result(cancel)

    def _wait(self, unwanted: Callable[[], bool]) -> T | StandbyError:
        end = time.monotonic() + self.limit
        while not unwanted():
            with suppress(Empty):
                return self._done.get(timeout=_LOOK_EVERY_S)
            if time.monotonic() > end:
                raise ReachHost(self.what, f"no answer within {self.limit:g} s")
        raise _stopped(self.what)

    def _run(self) -> None:
        done: T | StandbyError = StandbyError(self.what, "connecting ended without a result")
        try:
            done = self.connect()
        except StandbyError as error:
            done = error
        finally:
            self._done.put(done)
            if self._abandoned.is_set():
                self._close_what_came()

    def _close_what_came(self) -> None:
        """Close the connection, if it is there and the other thread has not."""
        with suppress(Empty):
            done = self._done.get_nowait()
            if not isinstance(done, StandbyError):
                self.close(done)
