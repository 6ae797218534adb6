"""Reading the log of every write and flush that QEMU's blklogwrites filter keeps.

The format is that of the kernel's dm-log-writes target: a super block in the first sector, then
entries, each a header in a sector of its own followed by the data written.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAGIC = 0x6A736677736872
FLUSH = 1
DISCARD = 4
_SUPER = struct.Struct("<QQQI")  # magic, version, number of entries, bytes of a sector
_ENTRY = struct.Struct("<QQQQ")  # sector, number of sectors, flags, bytes of inline data


@dataclass(frozen=True, slots=True)
class Entry:
    """One write, discard or flush. Bytes; `data_at` and `end` are places in the log."""

    offset: int
    length: int
    flags: int
    data_at: int
    end: int

    @property
    def is_flush(self) -> bool:
        """Whether everything before it was on stable storage when it had ended."""
        return bool(self.flags & FLUSH)


def read_log(path: Path) -> list[Entry]:
    """Return all entries, in their order; raises ValueError when this is no such log."""
    with path.open("rb") as log:
        magic, version, number, sector = _SUPER.unpack(log.read(_SUPER.size))
        if (magic, version) != (MAGIC, 1):
            raise ValueError(f"{path} is no log of writes")
        entries, at = [], sector
        for _ in range(number):
            log.seek(at)
            start, count, flags, _ = _ENTRY.unpack(log.read(_ENTRY.size))
            data = 0 if flags & DISCARD else count * sector
            end = at + sector + data
            entries.append(Entry(start * sector, count * sector, flags, at + sector, end))
            at = end
        return entries


def replay(log: Path, entries: Sequence[Entry], image: Path) -> None:
    """Do to an image what these entries did. What is discarded reads as it did before."""
    with log.open("rb") as source, image.open("r+b") as target:
        for entry in entries:
            if entry.length and not entry.flags & DISCARD:
                source.seek(entry.data_at)
                target.seek(entry.offset)
                target.write(source.read(entry.length))
