"""Runs on the lab's manager host: forks a manager, or a command line, for every test that connects.

Importing everything takes a second; a fork of a process that did so takes milliseconds. Each
is a process of its own, with connections of its own, and can be killed like any other: the test
gets its pidfd. Arguments: the socket to listen on.
"""

from __future__ import annotations

import atexit
import logging
import os
import pkgutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from multiprocessing import reduction
from multiprocessing.connection import Connection, Listener
from typing import IO

from support_messages import Ended, Failed, Manage, Order, Reached, Stop, StopAt, Use, Used

from standby import app
from standby.__main__ import main as command_line
from standby.app.replicate import run
from standby.app.session import Session, WallClock
from standby.cli.verbs import VERBS
from standby.cycle.report import Phase
from standby.errors import StandbyError
from standby.model.plan import Copying, CycleRequest


class ShiftedClock(WallClock):
    """The manager's clock, wrong by some seconds."""

    def __init__(self, shift: float) -> None:
        self._shift = timedelta(seconds=shift)

    def now(self) -> datetime:
        return super().now() + self._shift


class Events(logging.Handler):
    """Counts what a cycle goes through and stops where it was told to."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.DEBUG)
        self._connection = connection
        self._stop: StopAt | None = None
        self.counts = dict.fromkeys(Stop, 0)

    def expect(self, stop: StopAt | None) -> None:
        """Begin to count anew, and to look out for `stop`."""
        self._stop = stop
        self.counts = dict.fromkeys(Stop, 0)

    def handle(self, record: logging.LogRecord) -> bool:
        """Look at one line of the log. Without the handler's lock: other threads go on."""
        if record.name == "standby.cycle" and "begins" in str(record.msg):
            _, phase, *_ = record.args or ()
            self._happened(Stop.PHASE, Phase(phase))
        elif record.name == "standby.host.outcome" and "status" in str(record.msg):
            self._happened(Stop.COMMAND)
        elif "frozen:" in str(record.msg) and "not" not in str(record.msg):
            self._happened(Stop.FROZEN)
        return True

    def progress(self, _what: str, _done: int, _total: int) -> None:
        """Hear of progress."""
        self._happened(Stop.PROGRESS)

    def _happened(self, what: Stop, phase: Phase | None = None) -> None:
        self.counts[what] += 1
        at = self._stop
        if at is None or at.what is not what or at.phase is not phase:
            return
        if phase is None and at.count != self.counts[what]:
            return
        self._connection.send(Reached(at, self.counts[Stop.PROGRESS]))
        self._stop = self._connection.recv()


def serve(connection: Connection) -> None:
    """Be what the test asks for."""
    match connection.recv():
        case Manage():
            manage(connection)
        case Use() as use:
            obey(connection, use)


def obey(connection: Connection, use: Use) -> None:
    """Be the command line, once, and tell how it went."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        pid = os.fork()
        if not pid:
            _become(use, output, errors)
        reduction.send_handle(connection, os.pidfd_open(pid), 0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.send(Used(status, _all_of(output), _all_of(errors)))


def _become(use: Use, output: IO[bytes], errors: IO[bytes]) -> None:
    """Do what Python does from its first line to its last; never returns."""
    os.environ.update(use.environment)
    os.dup2(output.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    sys.argv = ["standby", *use.words]
    status: object = 1
    try:
        command_line()
        status = 0
    except SystemExit as end:
        status = end.code or 0
    except BaseException:  # what Python itself would print; the process ends below
        traceback.print_exc()
        raise
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def manage(connection: Connection) -> None:
    """Be one manager: run the cycles that are ordered until the test hangs up."""
    events = Events(connection)
    for name in ("standby.cycle", "standby.host.outcome", "standby.sources"):
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).addHandler(events)
    reduction.send_handle(connection, os.pidfd_open(os.getpid()), 0)
    order = connection.recv()
    with Session(order.root, progress=events.progress) as session:
        while order is not None:
            connection.send(_obey(session, order, events))
            order = connection.recv()


def _obey(session: Session, order: Order, events: Events) -> Ended | Failed:
    events.expect(order.stop)
    session.clock = ShiftedClock(order.clock_shift)
    try:
        profile = session.profile(order.profile)
        copying = Copying.EVERYTHING if order.full_copy else Copying.AS_NEEDED
        report = run(session, profile, CycleRequest(copying))
    except StandbyError as error:
        return Failed(error)
    return Ended(report, events.counts[Stop.COMMAND])


def _in_child(work: Callable[[], None]) -> None:
    if os.fork():
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        work()
        status = 0
    except (EOFError, ConnectionError):
        status = 0  # the test hung up
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(status)


def load_everything() -> None:
    """Import what any command may load when it is used."""
    for name, verb in VERBS.items():
        verb.load(name)
    for module in pkgutil.iter_modules(app.__path__, "standby.app."):
        import_module(module.name)


def main(socket: str) -> None:
    """Listen for ever."""
    load_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with Listener(socket, "AF_UNIX") as listener:
        while True:
            with listener.accept() as connection:
                _in_child(lambda connection=connection: serve(connection))


if __name__ == "__main__":
    main(sys.argv[1])
