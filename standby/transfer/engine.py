"""Copying several disks in one poll loop, and counting beforehand what that would move."""

from __future__ import annotations

import time
from collections.abc import Sequence

from standby.model.extent import ExtentKind, NbdEndpoint
from standby.transfer.ends import Ends, Limits, Reader
from standby.transfer.feed import Pool
from standby.transfer.job import (
    AliveCheck,
    CancelToken,
    CopyResult,
    DiskCopy,
    Pending,
    Progress,
    Scope,
    Told,
)
from standby.transfer.lane import Lane
from standby.transfer.lines import Lines
from standby.transfer.poller import STALL_LIMIT, Patience
from standby.transfer.rate import Limit
from standby.transfer.scout import Scout

_REPORT_EVERY = 0.25  # seconds


def pending(
    disk: str,
    source: NbdEndpoint,
    scope: Scope,
    *,
    cancel: CancelToken | None = None,
    stall_limit: float = STALL_LIMIT,
) -> Pending:
    """Count what a copy of `disk` would move; reads no data.

    Raises AskForResync when the tracker's context is not there, TransferFailed, Cancelled.
    """
    with Lines(Patience(cancel, None, stall_limit)) as lines:
        reader = Reader.open(lines, disk, source, scope)
        poller = lines.poller()
        count = _Count(reader.scout())
        poller.until(count.complete, count.pump)
        lines.leave()
    return Pending(count.bytes[ExtentKind.DATA], count.bytes[ExtentKind.ZERO])


def copy_disks(  # noqa: PLR0913 - but for the first all may be left out
    copies: Sequence[DiskCopy],
    *,
    limiter: Limit | None = None,
    read_limiter: Limit | None = None,
    progress: Progress | None = None,
    told: Told | None = None,
    cancel: CancelToken | None = None,
    alive: AliveCheck | None = None,
    stall_limit: float = STALL_LIMIT,
) -> tuple[CopyResult, ...]:
    """Copy all disks side by side; when it returns every target is flushed.

    `limiter` paces what is sent, `read_limiter` what is read of the sources. `told` hears now and
    then what was moved so far, and at last when the copy has ended, well or badly.
    `stall_limit`: seconds without any byte moved after which a server counts as gone. When
    one disk fails all stop, and every connection is closed, whatever is in flight.

    Raises TransferFailed, Cancelled, AskForResync when a tracker's context is not there,
    RepairStore when a target is too small, UseOtherStorage when it cannot zero or flush, and
    whatever `alive` raises.
    """
    limits = Limits(limiter, read_limiter)
    with Lines(Patience(cancel, alive, stall_limit)) as lines:
        pool = Pool(len(copies))
        lines.also_close(pool.close)
        disks = [Ends.open(lines, copy) for copy in copies]
        lines.poller()  # sizes and such are known when all are ready
        lanes = [ends.lane(lines, pool, limits) for ends in disks]
        poller = lines.poller()
        loop = _Loop(lanes, progress, told)
        try:
            poller.until(loop.complete, loop.pump)
        finally:
            loop.tell()
        if alive is not None:
            alive()
        loop.report()
        lines.leave()
    return tuple(lane.result() for lane in lanes)


class _Count:
    """Drains a scout, keeping only sums."""

    def __init__(self, scout: Scout) -> None:
        self._scout = scout
        self.bytes = dict.fromkeys(ExtentKind, 0)

    def pump(self) -> None:
        self._scout.pump()
        while self._scout.runs:
            run = self._scout.runs.popleft()
            self.bytes[run.kind] += run.length
            self._scout.pump()

    def complete(self) -> bool:
        return self._scout.exhausted()


class _Loop:
    """All lanes together, taking turns at who comes first to the shared buffers."""

    def __init__(self, lanes: list[Lane], progress: Progress | None, told: Told | None) -> None:
        self._lanes = list(lanes)
        self._progress = progress
        self._told = told
        self._next_report = 0.0

    def complete(self) -> bool:
        return all(lane.finished() for lane in self._lanes)

    def pump(self) -> float | None:
        self._lanes.append(self._lanes.pop(0))
        pauses = [lane.pump() for lane in self._lanes if not lane.finished()]
        if time.monotonic() >= self._next_report:
            self.report()
            self.tell()
            self._next_report = time.monotonic() + _REPORT_EVERY
        return min((pause for pause in pauses if pause is not None), default=None)

    def report(self) -> None:
        """Tell the progress of every disk."""
        if self._progress is not None:
            for lane in self._lanes:
                self._progress(*lane.progress())

    def tell(self) -> None:
        """Tell what was moved of every disk."""
        if self._told is not None:
            self._told([lane.result() for lane in self._lanes])
