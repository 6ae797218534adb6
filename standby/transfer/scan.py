"""Reading one disk beside its table of digests: what verifying, building and mending share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from standby.model.extent import NbdEndpoint
from standby.transfer.feed import Feed, Sink
from standby.transfer.job import CancelToken, DigestTable, Progress
from standby.transfer.lines import Lines
from standby.transfer.poller import STALL_LIMIT, Patience, Poller
from standby.transfer.rate import Limit

_REPORT_EVERY = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class DigestedDisk:
    """An image, and the table of digests that belongs to it."""

    disk: str
    image: NbdEndpoint
    digests: DigestTable


@dataclass(frozen=True, slots=True)
class Pace:
    """How a disk is read, and who hears of it. `limiter` is of bytes read.

    `stall_limit`: seconds without any byte moved after which a server counts as gone.
    """

    limiter: Limit | None = None
    progress: Progress | None = None
    cancel: CancelToken | None = None
    stall_limit: float = STALL_LIMIT

    def lines(self) -> Lines:
        """Return connections that are given up as it says."""
        return Lines(Patience(self.cancel, None, self.stall_limit))


AT_FULL_SPEED: Final = Pace()


class Scan:
    """Lets a feed run until everything is read and taken by its sink."""

    def __init__(self, disk: str, feed: Feed, sink: Sink, size: int, pace: Pace) -> None:
        """`size`: bytes in all, for the progress."""
        self._disk = disk
        self._feed = feed
        self._sink = sink
        self._size = size
        self._progress = pace.progress
        self._next_report = 0.0

    def pump(self) -> float | None:
        """Start what can start; return the seconds the rate limit asks for, if any."""
        pause = self._feed.pump(self._sink)
        if self._progress is not None and time.monotonic() >= self._next_report:
            self._report()
        return pause

    def complete(self) -> bool:
        """Tell whether all of it was read and let go of."""
        return self._feed.exhausted()

    def run(self, poller: Poller) -> None:
        """Read it all. Raises as the poller does."""
        poller.until(self.complete, self.pump)
        self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._disk, self._feed.released_bytes, self._size)
            self._next_report = time.monotonic() + _REPORT_EVERY


def wait_for(poller: Poller, start: Callable[[Callable[[], None]], None]) -> None:
    """Start something that calls back when it is done, and wait for that."""
    done: list[bool] = []
    start(lambda: done.append(True))
    poller.until(lambda: bool(done), lambda: None)
