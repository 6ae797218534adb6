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
    """Return what `work` returns in the conductor's thread. Raises its errors, and TryLater."""
    future: Future[Value] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except StandbyError as error:
            future.set_exception(error)

    conductor.post(do)
    try:
        return future.result(_WITHIN_S)
    except TimeoutError as error:
        raise TryLater("the daemon", f"did not answer within {_WITHIN_S:.0f} s") from error
