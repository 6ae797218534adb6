"""Asking a daemon, where there is one."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from standby.app.control import (
    LONGEST_LINE,
    Answer,
    Ask,
    AskCancel,
    AskLive,
    AskRun,
    Done,
    Refused,
    RunOver,
    line_of,
    message_of,
    socket_path,
)
from standby.app.live import Live
from standby.errors import FixRequest, GrantAccess, ReachHost

log = logging.getLogger(__name__)

_ANSWER_S = 30.0


class DaemonClient:
    """A daemon that listens at a socket; each request has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def live(self, *, everything: bool = False) -> Live:
        """Return what it does. Raises ReachHost when it is gone."""
        with self._asked(AskLive(everything)) as answers:
            found = _said(next(answers, None))
            if isinstance(found, Live):
                return found
            raise _odd(found)

    def run(self, ask: AskRun, told: Callable[[Answer], None]) -> RunOver:
        """Have a run done; `told` hears all that comes before its end. Raises its error."""
        with self._asked(ask, timeout=None) as answers:
            for answer in answers:
                found = _said(answer)
                if isinstance(found, RunOver):
                    return found
                told(found)
        raise ReachHost(str(self._path), "the daemon ended", remedy="see: standby history")

    def cancel(self, run: str) -> str:
        """Have a run stopped; return what was done, for people."""
        return self.do(AskCancel(run))

    def do(self, ask: Ask, timeout: float = _ANSWER_S) -> str:
        """Have something done within `timeout` seconds; return what, for people.

        Raises its error.
        """
        return self.done(ask, timeout).text

    def done(self, ask: Ask, timeout: float = _ANSWER_S) -> Done:
        """Have something done, or promised for the end of a run. Raises its error."""
        with self._asked(ask, timeout) as answers:
            found = _said(next(answers, None))
            if isinstance(found, Done):
                return found
            raise _odd(found)

    @contextmanager
    def _asked(self, ask: Ask, timeout: float | None = _ANSWER_S) -> Generator[Iterator[Answer]]:
        with _connected(self._path) as connection:
            connection.settimeout(timeout)
            try:
                connection.sendall(line_of(ask))
                with connection.makefile("rb") as lines:
                    yield (message_of(line) for line in iter(_reading(lines), b""))
            except OSError as error:
                raise ReachHost(str(self._path), f"the daemon does not answer: {error}") from error


def find_daemon(state: Path, root: Path) -> DaemonClient | None:
    """Return the daemon that runs the profiles of `root`; None when there is none to ask."""
    path = socket_path(state)
    client = DaemonClient(path)
    try:
        live = client.live()
    except ReachHost:
        return None
    except GrantAccess as error:
        log.warning("%s; it is done without the daemon", error)
        return None
    return client if live.root == root.resolve() else None


@contextmanager
def _connected(path: Path) -> Generator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as made:
        made.settimeout(_ANSWER_S)
        try:
            made.connect(str(path))
        except PermissionError as error:
            raise GrantAccess(
                str(path),
                "the daemon may not be asked by this user",
                remedy="join the group that socket_group in manager.yaml names",
            ) from error
        except OSError as error:
            raise ReachHost(str(path), f"no daemon listens: {error.strerror}") from error
        yield made


def _reading(lines: object) -> Callable[[], bytes]:
    read: Callable[[int], bytes] = lines.readline  # type: ignore[attr-defined]
    return lambda: read(LONGEST_LINE)


def _said(answer: Answer | None) -> Answer:
    if answer is None:
        raise ReachHost("the daemon", "ended before it answered", remedy="ask again")
    if isinstance(answer, Refused):
        raise answer.error
    return answer


def _odd(answer: Answer) -> FixRequest:
    return FixRequest("the daemon", f"answered with {type(answer).__name__}")
