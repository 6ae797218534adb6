"""Finding out, a window at a time, what a copy has to move."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import nbd

from standby.errors import TransferFailed
from standby.model.extent import Extent, ExtentKind
from standby.transfer.blocks import BlockRanges, Range, runs, spans
from standby.transfer.connection import ALLOCATION, Connection, Statuses
from standby.transfer.ends import Source
from standby.transfer.job import Changed, Scope
from standby.transfer.windows import MIB, Windows

# Windows bound the memory: a tracker's holds at most 16,384 separate changed ranges, and an
# allocation answer at 4 KiB granularity 65,536 extents.
_CHANGES_WINDOW = 2048 * MIB
_ALLOCATION_WINDOW = 256 * MIB
# Asking about 64 MiB costs a qcow2 source one page of metadata, less than another round trip.
_GAP = 64 * MIB
_ENOUGH_RUNS = 256  # more are asked for when fewer wait
# NBD, meta context qemu:dirty-bitmap: bit 0 is set where something was written.
_DIRTY = 1


def windows(size: int, scope: Scope) -> Windows:
    """Return the windows in which scouts look at a disk of `size` bytes."""
    return Windows(size, _CHANGES_WINDOW if isinstance(scope, Changed) else _ALLOCATION_WINDOW)


class Scout:
    """Streams the runs of one disk, with bounded memory.

    The tracker and the allocation are asked one after the other, the allocation only where
    something changed: to tell it for a whole disk a server reads all of an image's metadata.
    """

    def __init__(self, source: Source, todo: Windows) -> None:
        """Scouts that share `todo` share the disk between them."""
        self._source = source
        self._size = source.data.size()
        self._todo = todo
        self._spans: deque[list[Range]] = deque()
        self._asking = False
        self._all_taken = False
        self.runs: deque[Extent] = deque()

    def exhausted(self) -> bool:
        """Tell whether every run of every window that this scout took is handed out."""
        return self._all_taken and not (self._spans or self._asking or self.runs)

    def pump(self) -> None:
        """Ask for more when little is left."""
        while not self._asking and len(self.runs) < _ENOUGH_RUNS:
            if self._spans:
                self._look_into(self._spans.popleft())
            elif (window := self._todo.take()) is None:
                self._all_taken = True
                return
            else:
                self._look_at(window)

    def _look_at(self, window: Range) -> None:
        changes, scope = self._source.changes, self._source.scope
        if changes is None or not isinstance(scope, Changed):
            self._spans.append([window])
            return
        self._walk(_Question(changes, scope.context, _is_dirty), window, self._found_changes)

    def _found_changes(self, changed: list[Range]) -> None:
        self._spans.extend(spans(changed, _GAP, _ALLOCATION_WINDOW))

    def _look_into(self, span: list[Range]) -> None:
        if not self._source.data.has_context(ALLOCATION):
            self.runs.extend(Extent(start, end - start, ExtentKind.DATA) for start, end in span)
            return
        whole = (span[0][0], span[-1][1])
        question = _Question(self._source.data, ALLOCATION, _is_data)
        self._walk(question, whole, lambda data: self.runs.extend(runs(span, data)))

    def _walk(
        self, question: _Question, window: Range, found: Callable[[list[Range]], None]
    ) -> None:
        def filled(ranges: list[Range]) -> None:
            self._asking = False
            found(ranges)

        self._asking = True
        _Walk(question, window, BlockRanges(self._size), filled).ask()


@dataclass(frozen=True, slots=True)
class _Question:
    """Whom to ask which context, and which flags in the answer mark a range."""

    connection: Connection
    context: str
    marks: Callable[[int], bool]


class _Walk:
    """Asks about one window, again and again, until the answers cover it."""

    def __init__(
        self,
        question: _Question,
        window: Range,
        blocks: BlockRanges,
        filled: Callable[[list[Range]], None],
    ) -> None:
        self._question = question
        self._covered, self._end = window
        self._blocks = blocks
        self._filled = filled

    def ask(self) -> None:
        asked = self._question
        length = self._end - self._covered
        asked.connection.statuses(asked.context, self._covered, length, self._answered)

    def _answered(self, statuses: Statuses) -> None:
        before = self._covered
        for length, flags in zip(statuses[::2], statuses[1::2], strict=True):
            after = min(self._covered + length, self._end)
            if after > self._covered and self._question.marks(flags):
                self._blocks.mark(self._covered, after)
            self._covered = after
        if self._covered == before:
            raise TransferFailed(
                self._question.connection.where,
                f"an empty block status at {before}",
                "at least one extent",
            )
        if self._covered < self._end:
            self.ask()
        else:
            self._filled(self._blocks.ranges())


def _is_dirty(flags: int) -> bool:
    return bool(flags & _DIRTY)


def _is_data(flags: int) -> bool:
    # A hole that is not said to read as zeroes may hold anything.
    return not flags & nbd.STATE_ZERO
