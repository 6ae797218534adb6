"""Ranges of whole blocks, made of block-status answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

# The block that digests are kept for, that a dirty bitmap marks and that a qcow2 cluster
# holds by default. Everything the engine decides, it decides for whole blocks.
from standby.model.digest import BLOCK
from standby.model.extent import Extent, ExtentKind
from standby.model.spoilt import Range


class BlockRanges:
    """Ranges of the blocks that anything in was marked: sorted, disjoint, merged.

    Rounding outward here is what lets contexts of any granularity be combined, and keeps
    the memory for a window of a disk bounded whatever the server's granularity is.
    """

    def __init__(self, limit: int) -> None:
        """Nothing is rounded beyond `limit`, the end of the disk in bytes."""
        self._limit = limit
        self._ranges: list[Range] = []

    def mark(self, start: int, end: int) -> None:
        """Mark the blocks that bytes from `start` up to `end` touch; `start` never falls."""
        first = start - start % BLOCK
        last = min(end + -end % BLOCK, self._limit)
        if self._ranges and first <= self._ranges[-1][1]:
            first, previous = self._ranges.pop()
            last = max(last, previous)
        self._ranges.append((first, last))

    def ranges(self) -> list[Range]:
        """Return what was marked."""
        return self._ranges


def runs(changed: Sequence[Range], data: Sequence[Range]) -> Iterator[Extent]:
    """Say what each changed range holds: data where `data` says so, else zeroes.

    Both sorted and disjoint. What changed and is zero now is a change, never skipped.
    """
    position = 0
    for start, end in changed:
        while position < len(data) and data[position][1] <= start:
            position += 1
        yield from _runs_within(start, end, data, position)


def _runs_within(start: int, end: int, data: Sequence[Range], position: int) -> Iterator[Extent]:
    while start < end:
        first, last = data[position] if position < len(data) else (end, end)
        if first > start:
            yield Extent(start, min(first, end) - start, ExtentKind.ZERO)
        if first < end:
            begin = max(first, start)
            yield Extent(begin, min(last, end) - begin, ExtentKind.DATA)
        start, position = last, position + 1


def spans(changed: Iterable[Range], gap: int, longest: int) -> Iterator[list[Range]]:
    """Group changed ranges that lie within `gap` bytes, into spans of at most `longest`.

    One block-status request about a span costs less than one about each of its ranges.
    Longer ranges are cut; `longest` is a multiple of the block.
    """
    span: list[Range] = []
    for start, end in _cut(changed, longest):
        if span and (start - span[-1][1] > gap or end - span[0][0] > longest):
            yield span
            span = []
        span.append((start, end))
    if span:
        yield span


def _cut(ranges: Iterable[Range], longest: int) -> Iterator[Range]:
    for start, end in ranges:
        for begin in range(start, end, longest):
            yield begin, min(begin + longest, end)
