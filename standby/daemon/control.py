"""The control socket: who may connect may ask. Each connection has a thread and asks once."""

from __future__ import annotations

import logging
import os
import pwd
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from standby.app.control import LONGEST_LINE, Answer, Ask, Refused, line_of, message_of
from standby.daemon.instance import group_number
from standby.errors import FixProfile, StandbyError

log = logging.getLogger("standby.daemon")

_MODE: Final = 0o660
_ASKS_WITHIN_S: Final = 10.0
_READS_WITHIN_S: Final = 30.0
_AT_ONCE: Final = 64
_AGAIN_S: Final = 1.0  # such as when too many files are open
_CREDENTIALS: Final = struct.Struct("3i")  # process, user, group: unix(7), SO_PEERCRED


class Desk(Protocol):
    """Answers what is asked."""

    def answer(self, ask: Ask, who: str) -> Iterator[Answer]:
        """Yield what is to be said, until all of it is. Raises StandbyError."""


class ControlServer:
    """Listens at a UNIX socket. A context: leaving it removes the socket."""

    def __init__(self, path: Path, group: str | None, desk: Desk) -> None:
        self._path = path
        self._desk = desk
        self._closed = threading.Event()
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._listening = _bound(path, group)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="control", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError as error:
                if self._closed.wait(_AGAIN_S):
                    return
                log.warning("nobody can ask for a moment: %s", error)
                continue
            if not self._places.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(
                target=self._serve, args=(connection,), name="asked", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._converse(connection)
        except OSError as error:
            log.debug("whoever asked is gone: %s", error)
        finally:
            self._places.release()

    def _converse(self, connection: socket.socket) -> None:
        connection.settimeout(_ASKS_WITHIN_S)
        who = _peer(connection)
        try:
            with connection.makefile("rb") as lines:
                ask = message_of(lines.readline(LONGEST_LINE))
            connection.settimeout(_READS_WITHIN_S)
            for answer in self._desk.answer(ask, who):
                connection.sendall(line_of(answer))
        except StandbyError as error:
            connection.sendall(line_of(Refused.of(error)))


def _bound(path: Path, group: str | None) -> socket.socket:
    """Bind the socket; who finds it can connect, and mode and group are as they should be.

    So it gets its name at last, having had one of the same length: addresses have a limit.
    """
    soon = path.with_name(path.name[:-1] + "_")
    for old in (path, soon):
        old.unlink(missing_ok=True)  # a killed daemon's: the lock says that there is no other
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        made.bind(str(soon))
    except OSError as error:
        made.close()
        raise FixProfile(
            str(path),
            f"cannot be listened at: {error.strerror or error}",
            "a path of at most 107 bytes, in a directory of ours",
            "name another: state_directory in manager.yaml, or $STANDBY_STATE",
        ) from error
    finally:
        os.umask(before)
    if group is not None:
        os.chown(soon, -1, group_number(group))
    soon.chmod(_MODE)
    made.listen(_AT_ONCE)
    soon.rename(path)
    return made


def _peer(connection: socket.socket) -> str:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    process, user, _group = _CREDENTIALS.unpack(raw)
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return f"{name} (process {process})"
