"""What the calling thread does while workers copy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event

from standby.errors import Cancelled
from standby.transfer.job import AliveCheck, CancelToken, CopyResult, DiskCopy, Progress
from standby.transfer.lane import Tally
from standby.transfer.poller import require_wanted
from standby.transfer.windows import Windows
from standby.transfer.worker import Worker

# Seconds between looks.
_LOOK_UP = 0.1
_ALIVE_EVERY = 1.0
_REPORT_EVERY = 0.25


@dataclass(frozen=True, slots=True)
class DiskState:
    """One disk while it is copied, by several workers."""

    copy: DiskCopy
    todo: Windows
    size: int
    tallies: list[Tally]

    def progress(self) -> tuple[str, int, int]:
        """Return disk, bytes done, bytes in all."""
        done = sum(tally.done_bytes for tally in self.tallies)
        total = self.size if self.copy.expected is None else self.copy.expected.total_bytes
        if all(tally.ended is not None for tally in self.tallies):
            total = done
        return self.copy.disk, done, max(total, done)

    def result(self) -> CopyResult:
        """Return what was moved."""
        begun = min(tally.begun for tally in self.tallies if tally.begun is not None)
        ended = max(tally.ended for tally in self.tallies if tally.ended is not None)
        return CopyResult(
            self.copy.disk,
            sum(tally.data_bytes for tally in self.tallies),
            sum(tally.zero_bytes for tally in self.tallies),
            ended - begun,
        )


class Watch:
    """What the calling thread looks after while the workers work."""

    def __init__(
        self,
        disks: Sequence[DiskState],
        progress: Progress | None,
        alive: AliveCheck | None,
        cancel: CancelToken | None,
    ) -> None:
        self._disks = disks
        self._progress = progress
        self._alive = alive
        self._cancel = cancel
        self._next_alive = time.monotonic() + _ALIVE_EVERY
        self._next_report = 0.0

    def look(self) -> None:
        """Raise Cancelled, or what the alive check raises; report progress when it is time."""
        require_wanted(self._cancel)
        now = time.monotonic()
        if self._alive is not None and now >= self._next_alive:
            self._alive()
            self._next_alive = now + _ALIVE_EVERY
        if now >= self._next_report:
            self._report()
            self._next_report = now + _REPORT_EVERY

    def end(self) -> None:
        """Look once more, after the last read: it counts only if the capture still was there."""
        if self._alive is not None:
            self._alive()
        self._report()

    def _report(self) -> None:
        if self._progress is not None:
            for disk in self._disks:
                self._progress(*disk.progress())


def supervise(workers: Sequence[Worker], stop: Event, watch: Watch) -> None:
    """Run the workers until all are done or one fails; then none is left."""
    with ThreadPoolExecutor(len(workers), thread_name_prefix="transfer") as threads:
        try:
            futures = [threads.submit(worker.run) for worker in workers]
            while not _ended(futures):
                watch.look()
        finally:
            stop.set()
    _raise_first(futures)


def _ended(futures: Sequence[Future[None]]) -> bool:
    done, waiting = wait(futures, timeout=_LOOK_UP, return_when=FIRST_EXCEPTION)
    return not waiting or any(future.exception() for future in done)


def _raise_first(futures: Sequence[Future[None]]) -> None:
    """Raise what went wrong, rather than that the others were stopped because of it."""
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Cancelled)):
        raise error
