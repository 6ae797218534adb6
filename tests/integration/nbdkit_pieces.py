"""An nbdkit plugin: a disk of 64 GiB in more than a million pieces, made up as it is read.

2 GiB of it alternate between data and holes every 2 KiB, the next 2 GiB every block of
64 KiB; the rest is one hole.
"""

from __future__ import annotations

import nbdkit

API_VERSION = 2
GIB = 1 << 30
PATTERN = bytes(range(1, 256)) * 8192
HOLE = nbdkit.EXTENT_HOLE | nbdkit.EXTENT_ZERO

Piece = tuple[int, int, int]  # offset, length, kind


def open(_readonly: object) -> int:  # noqa: A001 - the name nbdkit calls
    return 1


def get_size(_handle: int) -> int:
    return 64 * GIB


def pread(_handle: int, buffer: bytearray, _offset: int, _flags: int) -> None:
    buffer[:] = PATTERN[: len(buffer)]


def can_extents(_handle: int) -> bool:
    return True


def extents(_handle: int, count: int, offset: int, _flags: int) -> list[Piece]:
    found = []
    end = offset + count
    while offset < end:
        found.append(_piece(offset))
        offset += found[-1][1]
    return found


def _piece(offset: int) -> Piece:
    if offset >= 4 * GIB:
        return offset, 64 * GIB - offset, HOLE
    step = 2048 if offset < 2 * GIB else 65536
    return offset, step - offset % step, HOLE if offset // step % 2 else 0
