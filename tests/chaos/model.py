"""What the suite knows by itself: raw copies of the source, and what may be sent at most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

BLOCK = 64 << 10


def differing(before: Mapping[str, Path], now: Mapping[str, Path]) -> int:
    """Return the bytes of all blocks that differ; all of a disk that was not there before."""
    return sum(_differing(before.get(name), path) for name, path in now.items())


def _differing(before: Path | None, now: Path) -> int:
    if before is None:
        return now.stat().st_size
    return sum(len(new) for old, new in _pairs(before, now) if old != new)


def _pairs(before: Path, now: Path) -> Iterable[tuple[bytes, bytes]]:
    with before.open("rb") as old, now.open("rb") as new:
        while block := new.read(BLOCK):
            # What lies behind the old end reads as zeroes.
            yield old.read(BLOCK).ljust(len(block), b"\0"), block
