"""Finding out, a window at a time, what a copy has to move."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import nbd

from standby.errors import TransferFailed
from standby.model.extent import Extent, ExtentKind
from standby.model.spoilt import Range, gaps, joined, overlap, total
from standby.transfer.blocks import BlockRanges, runs, spans
from standby.transfer.connection import Connection, Statuses

MIB = 1024 * 1024
# Windows bound the memory: a tracker's window holds at most 16,384 separate changed ranges
# and an allocation answer at 4 KiB granularity 65,536 extents.
_CHANGES_WINDOW = 2048 * MIB
_ALLOCATION_WINDOW = 256 * MIB
# Asking about 64 MiB costs a qcow2 source one page of metadata, less than another round trip.
_GAP = 64 * MIB
_ENOUGH_RUNS = 256  # more are asked for when fewer wait
# NBD, meta context qemu:dirty-bitmap: bit 0 is set where something was written.
_DIRTY = 1
# NBD, meta context qemu:allocation-depth: 0 is unallocated, 1 the top file, more lies below.
_OWN = 1


def is_dirty(flags: int) -> bool:
    """Tell whether a tracker marked it."""
    return bool(flags & _DIRTY)


def is_own_layer(depth: int) -> bool:
    """Tell whether the image's top file holds it."""
    return depth == _OWN


class Scout:
    """Streams the runs of one disk, in order, with bounded memory.

    The tracker and the allocation are asked on separate connections: a server answers for
    every context a connection has, and the allocation of a whole disk is costly to tell
    (it reads all of an image's metadata) while most of a disk has not changed.
    """

    def __init__(
        self,
        size: int,
        allocation: Connection,
        changes: Connection | None,
        changed: Callable[[int], bool] = is_dirty,
        also: Sequence[Range] = (),
    ) -> None:
        """`size` in bytes; without `changes` everything counts as changed.

        `changed` tells it from the flags of the context of `changes`; ranges of `also` count as
        changed whatever it says.
        """
        self._size = size
        self._allocation = allocation
        self._changes = changes
        self._changed = changed
        self._also = also
        self._cursor = 0  # everything before it is in _spans or further on
        self._spans: deque[list[Range]] = deque()
        self._asking = False
        self.runs: deque[Extent] = deque()

    def exhausted(self) -> bool:
        """Tell whether every run has been handed out."""
        return self._cursor >= self._size and not (self._spans or self._asking or self.runs)

    def pump(self) -> None:
        """Ask for more when little is left."""
        while not self._asking and len(self.runs) < _ENOUGH_RUNS:
            if self._spans:
                self._look_into(self._spans.popleft())
            elif self._cursor < self._size:
                self._next_window()
            else:
                return

    def _next_window(self) -> None:
        start = self._cursor
        if self._changes is None:
            self._cursor = min(start + _ALLOCATION_WINDOW, self._size)
            self._spans.append([(start, self._cursor)])
            return
        self._cursor = min(start + _CHANGES_WINDOW, self._size)
        window = (start, self._cursor)
        self._walk(self._changes, window, self._changed, lambda marked: self._found(marked, window))

    def _found(self, marked: list[Range], window: Range) -> None:
        wanted = joined([*marked, *overlap(self._also, [window])]) if self._also else marked
        self._spans.extend(spans(wanted, _GAP, _ALLOCATION_WINDOW))

    def _look_into(self, span: list[Range]) -> None:
        if not self._allocation.has_context():
            self.runs.extend(Extent(start, end - start, ExtentKind.DATA) for start, end in span)
            return
        whole = (span[0][0], span[-1][1])
        self._walk(
            self._allocation, whole, _is_data, lambda data: self.runs.extend(runs(span, data))
        )

    def _walk(
        self,
        connection: Connection,
        window: Range,
        marked: Callable[[int], bool],
        found: Callable[[list[Range]], None],
    ) -> None:
        def filled(ranges: list[Range]) -> None:
            self._asking = False
            found(ranges)

        self._asking = True
        _Walk(connection, window, marked, BlockRanges(self._size), filled).ask()


class UnchangedScout(Scout):
    """Streams the runs of what a tracker did *not* mark.

    A block of which only a part was marked counts as changed; `changed_bytes` counts them.
    """

    changed_bytes = 0

    def _found(self, marked: list[Range], window: Range) -> None:
        self.changed_bytes += total(marked)
        super()._found(gaps(marked, *window), window)


class _Walk:
    """Asks about one window, again and again, until the answers cover it."""

    def __init__(
        self,
        connection: Connection,
        window: Range,
        marked: Callable[[int], bool],
        blocks: BlockRanges,
        filled: Callable[[list[Range]], None],
    ) -> None:
        self._connection = connection
        self._covered, self._end = window
        self._marked = marked
        self._blocks = blocks
        self._filled = filled

    def ask(self) -> None:
        self._connection.statuses(self._covered, self._end - self._covered, self._answered)

    def _answered(self, statuses: Statuses) -> None:
        before = self._covered
        for length, flags in zip(statuses[::2], statuses[1::2], strict=True):
            after = min(self._covered + length, self._end)
            if after > self._covered and self._marked(flags):
                self._blocks.mark(self._covered, after)
            self._covered = after
        if self._covered == before:
            raise TransferFailed(
                self._connection.where, f"an empty block status at {before}", "at least one extent"
            )
        if self._covered < self._end:
            self.ask()
        else:
            self._filled(self._blocks.ranges())


def _is_data(flags: int) -> bool:
    # A hole that is not said to read as zeroes may hold anything.
    return not flags & nbd.STATE_ZERO
