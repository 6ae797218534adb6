"""Doing two things at once, because each waits for another host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Generic, TypeVar

from standby.errors import StandbyError
from standby.host.helpers import helper

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Beside(Generic[T]):
    """A task that runs in a thread of its own, which does not keep the process alive.

    So whoever interrupts a check need not wait for hosts that do not answer.
    """

    task: Callable[[], T]
    _done: SimpleQueue[T | StandbyError] = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        helper(self._run).start()

    def result(self) -> T:
        """Wait for the result; raises what the task raised. To be asked once."""
        done = self._done.get()
        if isinstance(done, StandbyError):
            raise done
        return done

    def _run(self) -> None:
        done: T | StandbyError = StandbyError("check", "a part of it ended without a result")
        try:
            done = self.task()
        except StandbyError as error:
            done = error
        finally:
            self._done.put(done)
