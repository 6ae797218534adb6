"""Waiting for a connection for only as long as somebody wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

from standby.errors import Cancelled, StandbyError

T = TypeVar("T")

_LOOK_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """One try to connect, in a thread of its own: nothing else can leave a blocking call.

    `close` ends a connection that comes when nobody waits for it any more.
    """

    what: str
    connect: Callable[[], T]
    close: Callable[[T], None]
    _done: SimpleQueue[T | StandbyError] = field(default_factory=SimpleQueue)
    _abandoned: threading.Event = field(default_factory=threading.Event)

    def result(self, cancel: threading.Event) -> T:
        """Connect; raise Cancelled as soon as `cancel` is set."""
        threading.Thread(target=self._run, daemon=True, name=f"connect {self.what}").start()
        try:
            done = self._wait(cancel)
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
        return self.connect() if cancel.is_set() else self.result(cancel)

    def _wait(self, cancel: threading.Event) -> T | StandbyError:
        while not cancel.is_set():
            with suppress(Empty):
                return self._done.get(timeout=_LOOK_EVERY_S)
        raise Cancelled(self.what, "stopped while it was being connected")

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
