"""One disk's way in: the scout's runs are read, and handed on in parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from standby.model.digest import BLOCK, blocks_of
from standby.model.extent import Extent, ExtentKind
from standby.transfer.buffers import Buffer, Loan
from standby.transfer.cable import Cable
from standby.transfer.connection import Done
from standby.transfer.digests import ZERO, Digester
from standby.transfer.rate import Limit
from standby.transfer.table import SPAN, Table

# Bytes of a buffer, and of a write: each write costs a qcow2 target an update of its tables.
REQUEST = 2 * 1024 * 1024
# Bytes of a read: a server makes a fresh buffer for each, which is cheapest when it is small.
_READ = 512 * 1024
# QEMU's server works on 16 requests of a connection at a time; all disks share the buffers.
BUFFERS = 16
# Connections to read a disk by of which little is sent; 4 to 16 were tried.
READERS = 8
_ZEROES_IN_FLIGHT = 16
# A server that cannot zero efficiently writes: this much is done before a stall is suspected.
_LONGEST_ZERO = 128 * 1024 * 1024


class Pool:
    """The buffers of one call: what bounds its memory. Lanes share them evenly.

    Without shares a disk on slow storage would in time hold every buffer.
    """

    def __init__(self, users: int) -> None:
        self._loan = Loan()
        self._made = 0
        self._free: list[Buffer] = []
        self._users = users
        self.share = _share(users)

    @property
    def scarce(self) -> bool:
        """Tell whether there are too few for each user to have one."""
        return self._users > BUFFERS

    def take(self, held: int) -> Buffer | None:
        """Return a buffer, or None when none is free or `held` is the user's share already."""
        if held >= self.share:
            return None
        if self._free:
            return self._free.pop()  # the last that was used: it is in the core's cache
        if self._made == BUFFERS:
            return None
        self._made += 1
        return self._loan.take(REQUEST)

    def give_back(self, buffer: Buffer) -> None:
        """Take a buffer back."""
        self._free.append(buffer)

    def close(self) -> None:
        """Take back what is still in use; its connections will not move again."""
        self._loan.end()

    def leave(self) -> None:
        """Note that a user needs no more buffers, so that the others' shares grow."""
        self._users = max(self._users - 1, 1)
        self.share = _share(self._users)


def _share(users: int) -> int:
    """Return how many buffers each may have at a time."""
    return max(BUFFERS // users, 1)


@dataclass(slots=True)
class Part:
    """A range of the disk on its way; one without a buffer reads as zeroes.

    `digested` holds the digests of its blocks, read by read, if they were asked for. `waiting`
    counts what has to happen before it can go on or be released.
    """

    start: int
    length: int
    buffer: Buffer | None
    digested: list[bytes] = field(default_factory=list)
    waiting: int = 0

    @property
    def digests(self) -> bytes:
        """The digests of its blocks, as a table should have them, when all of it has arrived."""
        return b"".join(self.digested)

    def view(self, start: int, length: int) -> memoryview:
        """Return the piece of its buffer that holds `length` bytes of the disk from `start`."""
        if self.buffer is None:
            return memoryview(b"")
        return self.buffer.view(start - self.start, length)

    def filled(self, start: int, length: int) -> memoryview:
        """Return as `view`, with zeroes for what lies behind what was read."""
        excess = start + length - self.start - self.length
        if excess > 0 and self.buffer is not None:
            self.buffer[self.length : self.length + excess] = bytes(excess)
        return self.view(start, length)


@dataclass(frozen=True, slots=True)
class Ledger:
    """How digests are made, and the table where those of the disk stand, if there is one."""

    digest: Digester
    table: Table | None = None


class Runs(Protocol):
    """What is to be read, in order; a scout is one."""

    runs: deque[Extent]

    def pump(self) -> None:
        """Find more, if there are few."""

    def exhausted(self) -> bool:
        """Tell whether every run was taken."""


class Sink(Protocol):
    """What becomes of the parts."""

    def receive(self, part: Part) -> None:
        """Take a part whose data, and digests if there is a table, are there; release it."""


class Feed:
    """Reads one disk in order; nothing here waits."""

    def __init__(
        self,
        scout: Runs,
        source: Cable,
        pool: Pool,
        ledger: Ledger | None,
        limit: Limit | None,
    ) -> None:
        """`limit` is of what is read."""
        self._scout = scout
        self._source = source
        self._pool = pool
        self._digest = ledger.digest if ledger is not None else None
        self._table = ledger.table if ledger is not None else None
        self._limit = limit
        # Where little is sent each read is a part, and each connection has one: what is in flight
        # stays small enough for the core's cache, and the server never waits for us.
        self._longest_part = REQUEST if source.lines == 1 else _READ
        self._most = BUFFERS if source.lines == 1 else source.lines
        self._run: Extent | None = None
        self._position = 0  # where what is left of the run begins
        self._batches = 0  # parts that hold a buffer
        self._unread = 0  # those of them that have not arrived yet
        self._zeroes = 0
        self._beginning = False
        self.released_bytes = 0

    def exhausted(self) -> bool:
        """Tell whether every part was handed on and released."""
        return (
            self._run is None and not self._batches and not self._zeroes and self._scout.exhausted()
        )

    def pump(self, sink: Sink) -> float | None:
        """Start what can start; return the seconds the rate limit asks for, if any."""
        self._scout.pump()
        pause = self._begin_more(sink)
        if self._table is not None and self._run is None and self._scout.exhausted():
            self._table.pass_all()
        return pause

    def _begin_more(self, sink: Sink) -> float | None:
        self._beginning = True  # what arrives meanwhile must not come here again
        pause = self._begin_all(sink)
        self._beginning = False
        return pause

    def _begin_all(self, sink: Sink) -> float | None:
        while self._unread < self._most and (run := self._next_run()) and not self._crowded():
            part = self._part(run)
            if not isinstance(part, Part):
                return part
            self._position += part.length
            if self._position == run.end:
                self._run = None
            self._begin(part, sink)
        return None

    def release(self, part: Part) -> None:
        """Give up a part that is done with."""
        if part.buffer is None:
            self._zeroes -= 1
        else:
            self._batches -= 1
            self._pool.give_back(part.buffer)
        self.released_bytes += part.length
        if self._table is not None:
            self._table.let_go(part.start)

    def _next_run(self) -> Extent | None:
        if self._run is None and self._scout.runs:
            self._run = self._scout.runs.popleft()
            self._position = self._run.start
        return self._run

    def _crowded(self) -> bool:
        return self._table is not None and self._table.full()

    def _part(self, run: Extent) -> Part | float | None:
        """Take a run's next part: None when there is no room, or the seconds to wait."""
        start = self._position
        longest = min(run.end - start, SPAN - start % SPAN)  # its digests stand in one sheet
        if run.kind is ExtentKind.ZERO:
            if self._zeroes >= _ZEROES_IN_FLIGHT:
                return None
            length = min(longest, _LONGEST_ZERO)
            return Part(start, length, None, [ZERO * blocks_of(length)])
        buffer = self._pool.take(self._batches)
        if buffer is None:
            return None
        length = min(longest, self._longest_batch())
        pause = self._limit.wait_before(length) if self._limit is not None else 0.0
        if pause:
            self._pool.give_back(buffer)
            return pause
        return Part(start, length, buffer)

    def _longest_batch(self) -> int:
        if self._limit is None:
            return self._longest_part
        return min(max(self._limit.piece // BLOCK, 1) * BLOCK, self._longest_part)

    def _begin(self, part: Part, sink: Sink) -> None:
        """Fetch the data and the digests of a part side by side."""

        def arrived() -> None:
            part.waiting -= 1
            if not part.waiting:
                self._unread -= 0 if part.buffer is None else 1
                sink.receive(part)
                # At once, so that the server has work while the next part is digested; but not
                # where somebody else waits for his turn at a buffer.
                if not self._beginning and not self._pool.scarce:
                    self._begin_more(sink)

        part.waiting = 1  # nothing is received before all is asked for
        if part.buffer is None:
            self._zeroes += 1
        else:
            self._batches += 1
            self._unread += 1
            self._read(part, arrived)
        if self._table is not None:
            part.waiting += 1
            self._table.hold(part.start, part.length, arrived)
        arrived()

    def _read(self, part: Part, arrived: Done) -> None:
        digest = self._digest
        for offset, length in parts(part.start, part.length, _READ):
            part.waiting += 1
            done = arrived
            if digest is not None:
                done = partial(_enter, part, len(part.digested), digest, (offset, length), arrived)
                part.digested.append(b"")
            self._source.read(part, offset, length, done)


def _enter(part: Part, number: int, digest: Digester, read: tuple[int, int], arrived: Done) -> None:
    """Digest what a part's read of that number brought, while it is in the core's cache."""
    part.digested[number] = digest(part.view(*read))
    arrived()


def parts(start: int, length: int, longest: int) -> Iterator[tuple[int, int]]:
    """Cut a range into pieces of at most `longest` bytes: where, and how long."""
    for offset in range(0, length, longest):
        yield start + offset, min(longest, length - offset)
