"""The two ends of a disk's copy: opened, and found fit for it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from standby.errors import AskForFullCopy, RepairStore, UseOtherStorage
from standby.model.extent import NbdEndpoint
from standby.transfer.connection import ALLOCATION, Connection, Role
from standby.transfer.job import Changed, Scope
from standby.transfer.poller import Patience, Poller


@dataclass(frozen=True, slots=True)
class Source:
    """The connections to a source: for data and allocation, and for what changed.

    A server answers for every context a connection has, so the tracker gets a connection of
    its own, which costs the server nothing but a look at its bitmap. A server that takes one
    client only gets one connection for both.
    """

    data: Connection
    changes: Connection | None
    scope: Scope

    def connections(self) -> list[Connection]:
        """Return each connection once."""
        if self.changes is None or self.changes is self.data:
            return [self.data]
        return [self.data, self.changes]


def open_source(
    opened: ExitStack, disk: str, endpoint: NbdEndpoint, scope: Scope, patience: Patience
) -> Source:
    """Connect to a source; `opened` closes what was opened, whatever happens.

    Raises AskForFullCopy when the tracker's context is not there, TransferFailed, Cancelled.
    """
    tracker = [scope.context] if isinstance(scope, Changed) else []
    data = _open(opened, Connection(disk, Role.SOURCE, endpoint, (ALLOCATION, *tracker)), patience)
    if not isinstance(scope, Changed):
        return Source(data, None, scope)
    if not data.has_context(scope.context):
        raise AskForFullCopy(
            data.where,
            f"the server does not offer {scope.context}",
            "the record of what changed since the newest point",
        )
    if not data.takes_many():
        return Source(data, data, scope)
    changes = _open(opened, Connection(disk, Role.SOURCE, endpoint, tracker), patience)
    return Source(data, changes, scope)


def open_target(
    opened: ExitStack, disk: str, endpoint: NbdEndpoint, size: int, patience: Patience
) -> Connection:
    """Connect to a target that must hold `size` bytes.

    Raises RepairStore when it is too small, UseOtherStorage when it cannot be written, zeroed
    or flushed, TransferFailed, Cancelled.
    """
    target = _open(opened, Connection(disk, Role.TARGET, endpoint), patience)
    if target.size() < size:
        raise RepairStore(target.where, f"{target.size()} bytes", f"at least {size} bytes")
    if lacking := target.lacks():
        raise UseOtherStorage(target.where, f"the server offers no {lacking[0]}")
    return target


def _open(opened: ExitStack, connection: Connection, patience: Patience) -> Connection:
    opened.callback(connection.close)
    Poller([connection], patience).until_ready()
    return connection
