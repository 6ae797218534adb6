"""Copying several disks, and counting beforehand what that would move."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event

from standby.model.extent import ExtentKind, NbdEndpoint
from standby.transfer.ends import open_source, open_target
from standby.transfer.job import (
    AliveCheck,
    CancelToken,
    CopyResult,
    DiskCopy,
    Pending,
    Progress,
    Scope,
)
from standby.transfer.lane import Tally
from standby.transfer.poller import STALL_LIMIT, Patience, Poller
from standby.transfer.rate import RateLimit
from standby.transfer.scout import Scout, windows
from standby.transfer.supervise import DiskState, Watch, supervise
from standby.transfer.worker import Share, Worker

# Two threads keep a server's one thread busy; more gain nothing (docs/decisions).
_WORKERS = 2
# Requests whose data may be in memory, of all workers together.
_BUFFERS = 16
# Bytes below which a second thread and its connections cost more than they gain.
_LITTLE = 32 * 1024 * 1024


def pending(
    disk: str,
    source: NbdEndpoint,
    scope: Scope,
    *,
    cancel: CancelToken | None = None,
    stall_limit: float = STALL_LIMIT,
) -> Pending:
    """Count what a copy of `disk` would move; reads no data.

    Raises AskForFullCopy when the tracker's context is not there, TransferFailed, Cancelled.
    """
    patience = Patience(cancel, stall_limit)
    with ExitStack() as opened:
        ends = open_source(opened, disk, source, scope, patience)
        count = _Count(Scout(ends, windows(ends.data.size(), scope)))
        Poller(ends.connections(), patience).until(count.complete, count.pump)
        for connection in ends.connections():
            connection.leave()
    return Pending(count.bytes[ExtentKind.DATA], count.bytes[ExtentKind.ZERO])


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


def copy_disks(
    copies: Sequence[DiskCopy],
    *,
    limiter: RateLimit | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    alive: AliveCheck | None = None,
    stall_limit: float = STALL_LIMIT,
) -> tuple[CopyResult, ...]:
    """Copy the disks; when it returns every target is flushed.

    `stall_limit`: seconds without any byte moved after which a server counts as gone. Before
    the first byte moves every disk's two ends are looked at. When one fails all stop, and
    every connection is closed, whatever is in flight; no thread outlives the call.
    `progress` and `alive` are called in the caller's thread.

    Raises TransferFailed, Cancelled, AskForFullCopy when a tracker's context is not there,
    RepairStore when a target is too small, UseOtherStorage when it cannot be written, zeroed
    or flushed, and whatever `alive` raises.
    """
    patience = Patience(cancel, stall_limit)
    found = [_look_at(copy, patience) for copy in copies]
    count = _WORKERS if _is_much(copies) and all(ends.take_many for ends in found) else 1
    disks = [
        DiskState(copy, windows(ends.size, copy.scope), ends.size, [Tally() for _ in range(count)])
        for copy, ends in zip(copies, found, strict=True)
    ]
    watch = Watch(disks, progress, alive, cancel)
    stop = Event()
    workers = [
        Worker(
            [Share(disk.copy, disk.todo, disk.tallies[number]) for disk in disks],
            _BUFFERS // count,
            limiter,
            Patience(stop, stall_limit),
        )
        for number in range(count)
    ]
    supervise(workers, stop, watch)
    watch.end()
    return tuple(disk.result() for disk in disks)


def _is_much(copies: Sequence[DiskCopy]) -> bool:
    if any(copy.expected is None for copy in copies):
        return True
    return sum(copy.expected.data_bytes for copy in copies if copy.expected) > _LITTLE


@dataclass(frozen=True, slots=True)
class _Ends:
    """What a look at a disk's two ends told: bytes, and whether both take many clients."""

    size: int
    take_many: bool


def _look_at(copy: DiskCopy, patience: Patience) -> _Ends:
    with ExitStack() as opened:
        source = open_source(opened, copy.disk, copy.source, copy.scope, patience)
        size = source.data.size()
        target = open_target(opened, copy.disk, copy.target, size, patience)
        ends = _Ends(size, source.data.takes_many() and target.takes_many())
        for connection in (*source.connections(), target):
            connection.leave()
        return ends
