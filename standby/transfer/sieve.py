"""Deciding what becomes of blocks that were read.

Every block of data passes here once, whole and aligned (but for the end of the disk): the
place to take its digest, or to drop it when nothing in it is new.
"""

from __future__ import annotations

from collections.abc import Iterator

import nbd

from standby.model.extent import Extent, ExtentKind
from standby.transfer.job import BLOCK


def sieve(start: int, buffer: memoryview) -> Iterator[Extent]:
    """Split what was read from `start` into runs of data and of zeroes.

    Sources store zeroes as data too (preallocated, or written by the guest); found here,
    they cost no bandwidth and no space.
    """
    shared = nbd.Buffer.from_buffer(buffer)
    length = len(buffer)
    begin, kind = 0, _kind(shared, 0, length)
    for offset in range(BLOCK, length, BLOCK):
        following = _kind(shared, offset, length)
        if following is not kind:
            yield Extent(start + begin, offset - begin, kind)
            begin, kind = offset, following
    yield Extent(start + begin, length - begin, kind)


def _kind(shared: nbd.Buffer, offset: int, length: int) -> ExtentKind:
    zero = shared.is_zero(offset, min(BLOCK, length - offset))
    return ExtentKind.ZERO if zero else ExtentKind.DATA
