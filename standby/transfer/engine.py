"""Copying several disks in one poll loop, and counting beforehand what that would move."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from standby.errors import AskForResync
from standby.model.extent import ExtentKind, NbdEndpoint
from standby.transfer.connection import ALLOCATION, Connection, Role
from standby.transfer.digests import digester
from standby.transfer.feed import Feed, Pool
from standby.transfer.job import (
    AliveCheck,
    CancelToken,
    Changed,
    CopyResult,
    DiskCopy,
    Everything,
    Pending,
    Progress,
    Scope,
    Unfinished,
    ZeroPolicy,
)
from standby.transfer.lane import Lane, Ledger
from standby.transfer.poller import STALL_LIMIT, Patience, Poller
from standby.transfer.rate import RateLimit
from standby.transfer.scout import Scout
from standby.transfer.table import Table, Trust

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
    with ExitStack() as opened:
        reader = _Reader.open(opened, disk, source, scope)
        poller = Poller(reader.connections(), Patience(cancel, None, stall_limit))
        poller.until_ready()
        count = _Count(reader.scout())
        poller.until(count.complete, count.pump)
        _leave(reader.connections())
    return Pending(count.bytes[ExtentKind.DATA], count.bytes[ExtentKind.ZERO])


def copy_disks(
    copies: Sequence[DiskCopy],
    *,
    limiter: RateLimit | None = None,
    read_limiter: RateLimit | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    alive: AliveCheck | None = None,
    stall_limit: float = STALL_LIMIT,
) -> tuple[CopyResult, ...]:
    """Copy all disks side by side; when it returns every target is flushed.

    `limiter` paces what is sent, `read_limiter` what is read of the sources.
    `stall_limit`: seconds without any byte moved after which a server counts as gone. When
    one disk fails all stop, and every connection is closed, whatever is in flight.

    Raises TransferFailed, Cancelled, AskForResync when a tracker's context is not there,
    RepairStore when a target is too small, UseOtherStorage when it cannot zero or flush, and
    whatever `alive` raises.
    """
    with ExitStack() as opened:
        readers = [_Reader.open(opened, copy.disk, copy.source, copy.scope) for copy in copies]
        writers = [_Writer.open(opened, copy) for copy in copies]
        connections = [line for reader in readers for line in reader.connections()]
        connections += [line for writer in writers for line in writer.connections()]
        poller = Poller(connections, Patience(cancel, alive, stall_limit))
        poller.until_ready()
        pool = Pool(len(copies))
        opened.callback(pool.close)
        lanes = [
            writer.lane(opened, reader, pool, _Limits(limiter, read_limiter))
            for reader, writer in zip(readers, writers, strict=True)
        ]
        loop = _Loop(lanes, progress)
        poller.until(loop.complete, loop.pump)
        if alive is not None:
            alive()
        loop.report()
        _leave(connections)
    return tuple(lane.result() for lane in lanes)


@dataclass(frozen=True, slots=True)
class _Reader:
    """The connections to one source: its data and, for changes, its tracker."""

    disk: str
    data: Connection
    changes: Connection | None
    scope: Scope

    @classmethod
    def open(cls, opened: ExitStack, disk: str, source: NbdEndpoint, scope: Scope) -> _Reader:
        """Start to connect; `opened` closes what was opened, whatever happens."""
        data = _open(opened, disk, Role.SOURCE, source, ALLOCATION)
        changes = None
        if isinstance(scope, Changed):
            changes = _open(opened, disk, Role.SOURCE, source, scope.context)
        return cls(disk, data, changes, scope)

    def connections(self) -> list[Connection]:
        return [line for line in (self.data, self.changes) if line is not None]

    def scout(self) -> Scout:
        """Raise AskForResync when the tracker's context was not granted."""
        if isinstance(self.scope, Changed) and self.changes and not self.changes.has_context():
            raise AskForResync(
                self.data.where,
                f"the server does not offer {self.scope.context}",
                "the record of what changed since the newest point",
                "send what differs: standby resync PROFILE",
            )
        return Scout(self.data.size(), self.data, self.changes)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What paces the writing and the reading."""

    sent: RateLimit | None
    read: RateLimit | None


@dataclass(frozen=True, slots=True)
class _Writer:
    """The connections to one target: its data and, if it has one, its table of digests."""

    copy: DiskCopy
    data: Connection
    table: Connection | None

    @classmethod
    def open(cls, opened: ExitStack, copy: DiskCopy) -> _Writer:
        """Start to connect; `opened` closes what was opened, whatever happens."""
        data = _open(opened, copy.disk, Role.TARGET, copy.target)
        table = None
        if copy.digests is not None:
            table = _open(opened, copy.disk, Role.TABLE, copy.digests.endpoint)
        return cls(copy, data, table)

    def connections(self) -> list[Connection]:
        return [line for line in (self.data, self.table) if line is not None]

    def lane(self, opened: ExitStack, reader: _Reader, pool: Pool, limits: _Limits) -> Lane:
        """Raise AskForResync, RepairStore, UseOtherStorage."""
        ledger = self._ledger(reader.data.size())
        table = ledger.table if ledger is not None else None
        if table is not None:
            opened.callback(table.close)
        feed = Feed(reader.scout(), reader.data, pool, table, limits.read)
        return Lane(self.copy, feed, (reader.data, self.data), pool, ledger, limits.sent)

    def _ledger(self, disk_bytes: int) -> Ledger | None:
        if self.table is None or self.copy.digests is None:
            return None
        table = Table(self.table, disk_bytes, _trust(self.copy))
        table.require_writable()
        return Ledger(table, digester(self.copy.digests.algorithm))


def _trust(copy: DiskCopy) -> Trust:
    if isinstance(copy.scope, Unfinished):
        return Trust.UNFINISHED
    if not isinstance(copy.scope, Everything):
        return Trust.STORED
    return Trust.BLANK if copy.zeroes is ZeroPolicy.LEAVE_OUT else Trust.NOTHING


def _open(
    opened: ExitStack, disk: str, role: Role, endpoint: NbdEndpoint, context: str | None = None
) -> Connection:
    connection = Connection(disk, role, endpoint, context)
    opened.callback(connection.close)
    return connection


def _leave(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.leave()


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

    def __init__(self, lanes: list[Lane], progress: Progress | None) -> None:
        self._lanes = list(lanes)
        self._progress = progress
        self._next_report = 0.0

    def complete(self) -> bool:
        return all(lane.finished() for lane in self._lanes)

    def pump(self) -> float | None:
        self._lanes.append(self._lanes.pop(0))
        pauses = [lane.pump() for lane in self._lanes if not lane.finished()]
        if self._progress is not None and time.monotonic() >= self._next_report:
            self.report()
        return min((pause for pause in pauses if pause is not None), default=None)

    def report(self) -> None:
        """Tell the progress of every disk."""
        if self._progress is not None:
            for lane in self._lanes:
                self._progress(*lane.progress())
            self._next_report = time.monotonic() + _REPORT_EVERY
