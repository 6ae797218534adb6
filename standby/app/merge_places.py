"""Places for standbys that merge at once: whoever waits gets one in turn, or goes on without."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final

from standby.cycle.interfaces import MergeTurn
from standby.errors import TryLater

PATIENCE_S: Final = {MergeTurn.BEFORE: 300.0, MergeTurn.LAST: 30.0}
"""Seconds to wait. Who only merges holds his standby meanwhile: none of its cycles can begin."""

_LOOK_EVERY_S: Final = 0.5


class MergePlaces:
    """As many standbys merge at once as `limit` says, which may change at any time.

    First come, first served; but those who have to merge before they capture go first.
    """

    def __init__(
        self,
        limit: int,
        patience: Mapping[MergeTurn, float] = PATIENCE_S,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience` in seconds of `steady`, which never falls."""
        self.limit = limit
        self._patience = patience
        self._steady = steady
        self._taken = 0
        self._changed = threading.Condition()
        self._queues: Mapping[MergeTurn, list[object]] = {turn: [] for turn in MergeTurn}

    @contextmanager
    def one(self, turn: MergeTurn, wanted: Callable[[], None]) -> Generator[None]:
        """Wait for a place. `wanted` is called now and then, and raises to give up.

        Raises TryLater when patience ends.
        """
        with self._changed:
            self._wait(turn, wanted)
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

    def _wait(self, turn: MergeTurn, wanted: Callable[[], None]) -> None:
        ticket, queue = object(), self._queues[turn]
        end = self._steady() + self._patience[turn]
        queue.append(ticket)
        try:
            while not self._is_next(ticket):
                wanted()
                if self._steady() >= end:
                    raise self._too_many(turn)
                self._changed.wait(_LOOK_EVERY_S)
        finally:
            queue.remove(ticket)
            self._changed.notify_all()

    def _is_next(self, ticket: object) -> bool:
        first = next(waiting for turn in MergeTurn for waiting in self._queues[turn])
        return self._taken < self.limit and first is ticket

    def _too_many(self, turn: MergeTurn) -> TryLater:
        waiting = sum(map(len, self._queues.values()))
        return TryLater(
            "merge",
            f"{self._taken} standbys merge and {waiting} wait; no place within "
            f"{self._patience[turn]:g} s",
            f"one of {self.limit} places",
            "the next cycle tries again; where hosts bear more: at_once.merges in manager.yaml",
        )
