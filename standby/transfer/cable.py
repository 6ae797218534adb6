"""Several connections to one export, read as one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Protocol

from standby.transfer.connection import Connection, Done


class Place(Protocol):
    """Where what is read of a range of the disk goes."""

    def view(self, start: int, length: int) -> memoryview:
        """Return the bytes for `length` bytes of the disk from `start`."""


class Cable:
    """Connections to one export that take reads in turns.

    The kernel's buffer of a UNIX socket holds less than half of a read. On one connection the
    server waits whenever we do anything else than reading it, such as taking digests; on as many
    as there are reads in flight it can always go on somewhere.
    """

    def __init__(self, first: Connection, more: Sequence[Connection] = ()) -> None:
        """All are ready; `more` lead to where `first` does."""
        self._longest = first.longest()  # bytes of one read
        self._turns = cycle((first, *more))
        self.lines = 1 + len(more)

    def read(self, place: Place, offset: int, length: int, done: Done) -> None:
        """Fill the place of a range of the disk; `done` is called once."""
        if length <= self._longest:
            next(self._turns).read(place.view(offset, length), offset, done)
        else:
            self._read_in_pieces(place, offset, length, done)

    def _read_in_pieces(self, place: Place, offset: int, length: int, done: Done) -> None:
        begins = range(offset, offset + length, self._longest)
        left = len(begins)

        def arrived() -> None:
            nonlocal left
            left -= 1
            if not left:
                done()

        for begin in begins:
            piece = min(self._longest, offset + length - begin)
            next(self._turns).read(place.view(begin, piece), begin, arrived)
