"""QMP for callers that are not asynchronous, over qemu.qmp."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from qemu.qmp import ConnectError, ExecuteError, Message, QMPClient, QMPError, Runstate

from standby.errors import CommandFailed, CommandTimedOut, ReachHost
from standby.host.event_loop import BackgroundLoop

Json = Any
"""A JSON value; the type checker does not know QMP's schema."""

Value = TypeVar("Value")

_log = logging.getLogger(__name__)
_LOOP: Final = BackgroundLoop()

_CLOSE_S: Final = 5.0
_PAUSE_S: Final = 0.25


@dataclass(eq=False)
class QmpRefused(CommandFailed):
    """QEMU answered a command with an error; `argv` is its name, `stderr` the description.

    `error_class` as QEMU's schema names it: GenericError, CommandNotFound, DeviceNotFound, …
    """

    error_class: str = ""


class QmpSession:
    """One QMP connection. After CommandTimedOut of `execute` it can only be closed."""

    def __init__(self, client: QMPClient, subject: str) -> None:
        self._client = client
        self._subject = subject

    @classmethod
    def connect(cls, path: str, *, timeout: float, subject: str = "QMP") -> QmpSession:
        """Connect to the monitor at a local UNIX socket, within `timeout` seconds.

        `subject` names it in errors. Raise ReachHost when nobody answers.
        """
        session = cls(_LOOP.call(_make_client(subject)), subject)
        try:
            _LOOP.call(asyncio.wait_for(session._client.connect(path), timeout))
        except (ConnectError, TimeoutError) as error:
            session.close()
            found = f"no QMP answer within {timeout:g} s: {error}"
            raise ReachHost(subject, found, f"a monitor at {path}") from error
        return session

    def execute(
        self,
        command: str,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout: float = 30.0,
    ) -> Json:
        """Execute a command and return its value.

        Raise QmpRefused when QEMU answers with an error, CommandTimedOut when it does not
        answer within `timeout` seconds, ReachHost when the connection is lost.
        """
        _log.debug("%s: %s %s", self._subject, command, arguments or "")
        given = dict(arguments) if arguments else None
        try:
            answer = _LOOP.call(asyncio.wait_for(self._client.execute(command, given), timeout))
        except ExecuteError as error:
            raise _refusal(self._subject, command, error) from error
        except TimeoutError as error:
            raise self._late(f"answer to {command}", timeout) from error
        except (QMPError, OSError, EOFError) as error:
            raise self._lost(error) from error
        _log.debug("%s: %s: %s", self._subject, command, answer)
        return answer

    def wait_event(self, names: Collection[str], *, timeout: float) -> Mapping[str, Json]:
        """Return the next event of one of these names, dropping others that came before it.

        Raise CommandTimedOut after `timeout` seconds, ReachHost when the connection is lost.
        """
        try:
            event = _LOOP.call(asyncio.wait_for(_next_event(self._client, names), timeout))
        except TimeoutError as error:
            raise self._late(" or ".join(sorted(names)), timeout) from error
        if event is None:
            raise self._lost(None)
        _log.debug("%s: event %s", self._subject, event)
        return dict(event)

    def poll(
        self,
        probe: Callable[[], Value | None],
        names: Collection[str],
        *,
        timeout: float,
        what: str,
    ) -> Value:
        """Call `probe` after every event of one of these names, and now and then, for a value.

        `what` says in errors what is waited for. Raise CommandTimedOut after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (value := probe()) is None:
            if time.monotonic() > deadline:
                raise self._late(what, timeout)
            self.pause(names)
        return value

    def pause(self, names: Collection[str]) -> None:
        """Wait for an event of one of these names, but not for long."""
        with suppress(CommandTimedOut):
            self.wait_event(names, timeout=_PAUSE_S)

    def close(self) -> None:
        """Disconnect; what runs at the other end goes on."""
        with suppress(QMPError, OSError, EOFError):
            _LOOP.call(asyncio.wait_for(self._client.disconnect(), _CLOSE_S))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _late(self, what: str, timeout: float) -> CommandTimedOut:
        return CommandTimedOut(self._subject, f"no {what} within {timeout:g} s")

    def _lost(self, error: BaseException | None) -> ReachHost:
        found = f"QMP connection lost{f': {error}' if error else ''}"
        return ReachHost(self._subject, found, "a monitor that answers")


def _refusal(subject: str, command: str, error: ExecuteError) -> QmpRefused:
    answer = error.error.error
    return QmpRefused(
        subject,
        f"{command}: {answer.desc}",
        argv=(command,),
        stderr=answer.desc,
        error_class=answer.class_,
    )


async def _make_client(name: str) -> QMPClient:
    # In the loop's thread: a client makes queues that belong to the running loop.
    return QMPClient(name)


async def _next_event(client: QMPClient, names: Collection[str]) -> Message | None:
    """Return the next event of one of these names; None when the connection is lost."""
    while (event := await _any_event(client)) is not None:
        if event["event"] in names:
            return event
    return None


async def _any_event(client: QMPClient) -> Message | None:
    if client.runstate is not Runstate.RUNNING and client.events.empty():
        return None
    coming = asyncio.ensure_future(client.events.get())
    leaving = asyncio.ensure_future(client.runstate_changed())
    try:
        await asyncio.wait((coming, leaving), return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        coming.cancel()
        leaving.cancel()
