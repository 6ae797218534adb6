"""An nbdkit plugin: a disk of `gib=…` with little on it, in the places that cost most memory.

256 MiB are data; up to 64 GiB follows one block in each 16 MiB, which is what a page of a table
of digests stands for; then one in each 256 MiB. The rest is holes.
"""

from __future__ import annotations

import nbdkit

API_VERSION = 2
KIB, MIB, GIB = (1 << shift for shift in (10, 20, 30))
BLOCK = 64 * KIB
HOLE = nbdkit.EXTENT_HOLE | nbdkit.EXTENT_ZERO
PATTERN = bytes(range(1, 256)) * 8192

Piece = tuple[int, int, int]  # offset, length, kind


_settings: dict[str, str] = {}


def config(key: str, value: str) -> None:
    _settings[key] = value


def open(_readonly: object) -> int:  # noqa: A001 - the name nbdkit calls
    return 1


def get_size(_handle: int) -> int:
    return int(_settings["gib"]) * GIB


def pread(_handle: int, buffer: bytearray, offset: int, _flags: int) -> None:
    buffer[:] = PATTERN[offset // BLOCK % 255 :][: len(buffer)]


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
    if offset < 256 * MIB:
        return offset, 256 * MIB - offset, 0
    step = 16 * MIB if offset < 64 * GIB else 256 * MIB
    within = offset % step
    return (offset, BLOCK - within, 0) if within < BLOCK else (offset, step - within, HOLE)
