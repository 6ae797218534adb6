"""Several connections to one export, read as one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from standby.transfer.connection import Connection, Done


class Cable:
    """Connections to one export that take reads in turns.

    The kernel's buffer of a UNIX socket holds less than half of a read. On one connection the
    server waits whenever we do anything else than reading it, such as taking digests; on as many
    as there are reads in flight it can always go on somewhere.
    """

    def __init__(self, first: Connection, more: Sequence[Connection] = ()) -> None:
        """All are ready; `more` lead to where `first` does."""
        self._first = first
        self._turns = cycle((first, *more))
        self.lines = 1 + len(more)

    def longest(self) -> int:
        """Return how many bytes one read may carry."""
        return self._first.longest()

    def read(self, buffer: memoryview, offset: int, done: Done) -> None:
        """Fill `buffer` from `offset`."""
        next(self._turns).read(buffer, offset, done)
