"""Handing out a disk in windows, to whoever has time for the next one."""

from __future__ import annotations

from threading import Lock

from standby.transfer.blocks import Range

MIB = 1024 * 1024
# So many windows at least, that all workers end at about the same time.
_PARTS = 64
_SMALLEST = 64 * MIB


class Windows:
    """The part of a disk that nobody has taken yet. Threads share it."""

    def __init__(self, size: int, largest: int) -> None:
        """Windows of whole blocks, at most `largest` bytes, up to `size`."""
        self._size = size
        part = size // _PARTS
        self._length = min(max(part - part % _SMALLEST, _SMALLEST), largest)
        self._taken = 0
        self._lock = Lock()

    def take(self) -> Range | None:
        """Return the next window, None when all are taken."""
        with self._lock:
            start = self._taken
            end = self._taken = min(start + self._length, self._size)
        return (start, end) if start < end else None
