"""The connections of one call: opened together, waited for together, closed whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from standby.model.extent import NbdEndpoint
from standby.transfer.cable import Cable
from standby.transfer.connection import Connection, Role
from standby.transfer.poller import Patience, Poller


class Lines:
    """To be used as a context: leaving it closes every connection at once."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._opened = ExitStack()
        self._lines: list[Connection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def also_close(self, close: Callable[[], None]) -> None:
        """Call `close` too when the connections are closed."""
        self._opened.callback(close)

    def open(
        self, disk: str, role: Role, endpoint: NbdEndpoint, context: str | None = None
    ) -> Connection:
        """Start to connect."""
        return self._keep(Connection(disk, role, endpoint, context))

    def cable(self, first: Connection, width: int) -> Cable:
        """Start to connect up to `width` lines in all to where `first`, which is ready, leads."""
        more = width - 1 if first.takes_many() else 0
        return Cable(first, [self._keep(first.another()) for _ in range(more)])

    def _keep(self, line: Connection) -> Connection:
        self._opened.callback(line.close)
        self._lines.append(line)
        return line

    def poller(self) -> Poller:
        """Wait until all that were opened are ready; return what moves bytes on them.

        Raises as the poller does.
        """
        poller = Poller(tuple(self._lines), self._patience)
        poller.until_ready()
        return poller

    def leave(self) -> None:
        """Tell the servers that we go."""
        for line in self._lines:
            line.leave()
