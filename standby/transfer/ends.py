"""The two ends of a disk's copy: what is connected to, and how it is used."""

from __future__ import annotations

from dataclasses import dataclass

from standby.errors import AskForResync
from standby.model.extent import NbdEndpoint
from standby.transfer.connection import ALLOCATION, Connection, Role
from standby.transfer.digests import digester
from standby.transfer.feed import READERS, Feed, Ledger, Pool
from standby.transfer.job import (
    Changed,
    Differing,
    DiskCopy,
    Everything,
    Scope,
    Unfinished,
    ZeroPolicy,
)
from standby.transfer.lane import Lane
from standby.transfer.lines import Lines
from standby.transfer.rate import Limit
from standby.transfer.scout import Scout
from standby.transfer.table import Table, Trust


@dataclass(frozen=True, slots=True)
class Reader:
    """The connections to one source: its data and, for changes, its tracker."""

    data: Connection
    changes: Connection | None
    scope: Scope

    @classmethod
    def open(cls, lines: Lines, disk: str, source: NbdEndpoint, scope: Scope) -> Reader:
        """Start to connect."""
        data = lines.open(disk, Role.SOURCE, source, ALLOCATION)
        changes = None
        if isinstance(scope, Changed):
            changes = lines.open(disk, Role.SOURCE, source, scope.context)
        return cls(data, changes, scope)

    def scout(self) -> Scout:
        """Raise AskForResync when the tracker's context was not granted."""
        if isinstance(self.scope, Changed) and self.changes and not self.changes.has_context():
            raise AskForResync(
                self.data.where,
                f"the server does not offer {self.scope.context}",
                "the record of what changed since the newest point",
                "send what differs: standby resync PROFILE",
            )
        also = self.scope.also if isinstance(self.scope, Changed) else ()
        return Scout(self.data.size(), self.data, self.changes, also=also)


@dataclass(frozen=True, slots=True)
class Limits:
    """What paces the sending and the reading of all disks."""

    sent: Limit | None
    read: Limit | None


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a disk comes from and where it goes: its data and, if it has one, its table."""

    copy: DiskCopy
    reader: Reader
    target: Connection
    table: Connection | None

    @classmethod
    def open(cls, lines: Lines, copy: DiskCopy) -> Ends:
        """Start to connect."""
        reader = Reader.open(lines, copy.disk, copy.source, copy.scope)
        target = lines.open(copy.disk, Role.TARGET, copy.target)
        table = None
        if copy.digests is not None:
            table = lines.open(copy.disk, Role.TABLE, copy.digests.endpoint)
        return cls(copy, reader, target, table)

    def lane(self, lines: Lines, pool: Pool, limits: Limits) -> Lane:
        """Return what copies the disk when all `lines` are ready, those that this adds too.

        Raises AskForResync, RepairStore, UseOtherStorage.
        """
        # More connections help where most of what is read is not sent; a copy gains nothing.
        mostly_reads = isinstance(self.copy.scope, Differing | Unfinished)
        source = lines.cable(
            self.reader.data,
            min(pool.share, READERS) if mostly_reads else 1,
        )
        ledger = self._ledger(self.reader.data.size())
        table = ledger.table if ledger is not None else None
        if table is not None:
            lines.also_close(table.close)
        feed = Feed(self.reader.scout(), source, pool, ledger, limits.read)
        return Lane(self.copy, feed, (self.reader.data, self.target), pool, table, limits.sent)

    def _ledger(self, disk_bytes: int) -> Ledger | None:
        if self.table is None or self.copy.digests is None:
            return None
        table = Table(self.table, disk_bytes, _trust(self.copy))
        table.require_writable()
        return Ledger(digester(self.copy.digests.algorithm), table)


def _trust(copy: DiskCopy) -> Trust:
    if isinstance(copy.scope, Unfinished):
        return Trust.UNFINISHED
    if isinstance(copy.scope, Differing):
        return Trust.DIFFERING
    if not isinstance(copy.scope, Everything):
        return Trust.STORED
    return Trust.BLANK if copy.zeroes is ZeroPolicy.LEAVE_OUT else Trust.NOTHING
