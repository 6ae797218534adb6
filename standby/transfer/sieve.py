"""Deciding what becomes of each block: sent, zeroed, or left as it is.

Every block passes here once, whole and aligned (but for the end of the disk).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import nbd

from standby.model.digest import BLOCK
from standby.model.extent import Extent, ExtentKind
from standby.transfer.digests import ZERO, each


def by_content(start: int, buffer: memoryview) -> Iterator[Extent]:
    """Split what was read from `start` into runs of data and of zeroes.

    Sources store zeroes as data too (preallocated, or written by the guest); found here,
    they cost no bandwidth and no space.
    """
    shared = nbd.Buffer.from_buffer(buffer)
    length = len(buffer)
    zeroes = (shared.is_zero(at, min(BLOCK, length - at)) for at in range(0, length, BLOCK))
    return _runs(start, length, map(_kind, zeroes))


def by_digests(start: int, length: int, digests: bytes, known: bytes | None) -> Iterator[Extent]:
    """Split a part of the disk into runs of data and of zeroes by its blocks' digests.

    Blocks that are `known` to be there are in none of them; if None, nothing is known.
    """
    if digests == known:
        return iter(())
    if ZERO not in digests and (known is None or known == bytes(len(known))):
        return iter((Extent(start, length, ExtentKind.DATA),))  # as all of most first copies
    found = each(digests)
    if known is None:
        return _runs(start, length, (_kind(digest == ZERO) for digest in found))
    pairs = zip(found, each(known), strict=True)
    return _runs(start, length, (None if new == old else _kind(new == ZERO) for new, old in pairs))


def mendable(start: int, length: int, digests: bytes, known: bytes) -> Iterator[Extent]:
    """Split a part into the runs that are as their known digests say, none of them of zeroes.

    An entry of zeroes is no evidence: a table that lost entries says the same of what holds data,
    and zeroes to match it are found anywhere.
    """
    pairs = zip(each(digests), each(known), strict=True)
    kinds = (ExtentKind.DATA if old == new != ZERO else None for new, old in pairs)
    return _runs(start, length, kinds)


def _kind(zero: bool) -> ExtentKind:  # noqa: FBT001 - the answer it is about
    return ExtentKind.ZERO if zero else ExtentKind.DATA


def _runs(start: int, length: int, kinds: Iterable[ExtentKind | None]) -> Iterator[Extent]:
    """Join the neighbours among a range's blocks; the last ends with the range."""
    end = start + length
    for kind, blocks in groupby(kinds):
        size = min(sum(BLOCK for _ in blocks), end - start)
        if kind is not None:
            yield Extent(start, size, kind)
        start += size
