"""One thread's work: all disks, one after the other, a share of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from standby.transfer.ends import open_source, open_target
from standby.transfer.job import DiskCopy
from standby.transfer.lane import REQUEST, Buffers, Lane, Tally
from standby.transfer.poller import Patience, Poller
from standby.transfer.rate import RateLimit
from standby.transfer.scout import Scout
from standby.transfer.windows import Windows


@dataclass(frozen=True, slots=True)
class Share:
    """A worker's part of one disk: what it takes from `todo`, and what it has done."""

    copy: DiskCopy
    todo: Windows
    tally: Tally


class Worker:
    """Copies shares over connections of its own; shares with others only what is thread-safe."""

    def __init__(
        self, shares: Sequence[Share], buffers: int, limit: RateLimit | None, patience: Patience
    ) -> None:
        """`buffers` is how many requests' data may be in memory."""
        self._shares = shares
        self._buffers = buffers
        self._limit = limit
        self._patience = patience

    def run(self) -> None:
        """Copy; the targets are flushed when it returns. Raises as `copy_disks` does."""
        buffers = [bytearray(REQUEST) for _ in range(self._buffers)]
        for share in self._shares:
            self._copy(share, buffers)

    def _copy(self, share: Share, buffers: Buffers) -> None:
        copy, patience = share.copy, self._patience
        with ExitStack() as opened:
            source = open_source(opened, copy.disk, copy.source, copy.scope, patience)
            size = source.data.size()
            target = open_target(opened, copy.disk, copy.target, size, patience)
            connections = [*source.connections(), target]
            scout = Scout(source, share.todo)
            means = (buffers, self._limit)
            lane = Lane(scout, (source.data, target), copy.zeroes, means, share.tally)
            Poller(connections, patience).until(lane.finished, lane.pump)
            for connection in connections:
                connection.leave()
