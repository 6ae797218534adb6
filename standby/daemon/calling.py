"""Having something done in the conductor's thread, and waiting for what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from standby.daemon.conductor import Conductor
from standby.errors import StandbyError, TryLater

Value = TypeVar("Value")

_WITHIN_S: Final = 30.0


def call(conductor: Conductor, work: Callable[[], Value]) -> Value:
    """Return what `work` returns in the conductor's thread. Raises its errors, and TryLater.

    Then nothing is done: who was told so undoes nothing, such as holding a machine.
    """
    future = _posted(conductor, work)
    try:
        return future.result(_WITHIN_S)
    except TimeoutError as error:
        if not future.cancel():  # it has just begun, or is done
            return future.result()
        raise _late() from error


def tell(conductor: Conductor, work: Callable[[], None]) -> None:
    """Have something done as `call` does; but what is late is done all the same."""
    try:
        _posted(conductor, work).result(_WITHIN_S)
    except TimeoutError as error:
        raise _late() from error


def _posted(conductor: Conductor, work: Callable[[], Value]) -> Future[Value]:
    future: Future[Value] = Future()

    def do() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except StandbyError as error:
            future.set_exception(error)

    conductor.post(do)
    return future


def _late() -> TryLater:
    return TryLater("the daemon", f"did not answer within {_WITHIN_S:.0f} s")
