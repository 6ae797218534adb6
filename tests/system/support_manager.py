"""Managers on the lab's manager host: started, stopped, frozen and killed by tests."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from multiprocessing import reduction
from multiprocessing.connection import Client, Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from support_messages import Answer, Ended, Failed, Manage, Order, Reached, StopAt, Use, Used

from lab import Lab
from lab.entering import HostProcess
from lab.layout import CHECKOUT
from lab.waiting import wait_until
from standby.cycle.report import CycleReport
from standby.errors import TryLater

HERE = Path(__file__).resolve().parent
PYTHON = CHECKOUT / ".venv/bin/python"
LIMIT = 120.0
"""Seconds that a cycle of a test may take; they take one or two."""


class Manager:
    """One manager process. Killed when its context is left."""

    def __init__(self, connection: Connection, root: Path, log: Path) -> None:
        self._connection = connection
        self._root = root
        self._log = log
        connection.send(Manage())
        self._handle = reduction.recv_handle(connection)
        self.clock_shift = 0.0  # seconds
        self.commands = 0  # on hosts, in the last cycle that ended well
        self.told = 0  # progress, until the cycle stopped as it was told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, profile: str, *, full_copy: bool = False) -> CycleReport:
        """Run one cycle to its end; raises what it raised."""
        self.begin(profile, full_copy=full_copy)
        return self.finish()

    def begin(self, profile: str, *, full_copy: bool = False, stop: StopAt | None = None) -> None:
        """Let a cycle begin."""
        self._connection.send(Order(self._root, profile, full_copy, stop, self.clock_shift))

    def finish(self, limit: float = LIMIT) -> CycleReport:
        """Wait for the end of the cycle, within `limit` seconds; raises what it raised."""
        answer = self._answer(limit)
        if isinstance(answer, Failed):
            raise answer.error
        assert isinstance(answer, Ended), answer
        self.commands = answer.commands
        return answer.report

    def reaches(self, limit: float = LIMIT) -> bool:
        """Wait until the cycle stands where it was told to stop; False when it ended before."""
        answer = self._answer(limit)
        if isinstance(answer, Failed):
            raise answer.error
        if isinstance(answer, Reached):
            self.told = answer.told
            return True
        return False

    def go_on(self, stop: StopAt | None = None) -> None:
        """Let a cycle go on that stopped as it was told, perhaps to another stop."""
        self._connection.send(stop)

    def kill_after(self, seconds: float) -> None:
        """Let it work for so long, or until its cycle has ended; then kill it."""
        self.works_for(seconds)
        self.kill()

    def works_for(self, seconds: float) -> None:
        """Wait so long, or until its cycle has ended."""
        self._connection.poll(seconds)

    def kill(self) -> None:
        """End the manager with SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.close()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        signal.pidfd_send_signal(self._handle, number)

    def close(self) -> None:
        """Hang up and wait for its end; it is killed if it does not end by itself."""
        if self._connection.closed:
            return
        self._connection.close()
        try:
            wait_until(self._gone, "end of a manager", 15, 0.01)
        except BaseException:
            self.signal(signal.SIGKILL)
            raise
        finally:
            os.close(self._handle)

    def _gone(self) -> bool:
        try:
            signal.pidfd_send_signal(self._handle, 0)
        except ProcessLookupError:
            return True
        return False

    def _answer(self, limit: float) -> Answer:
        if not self._connection.poll(limit):
            self.signal(signal.SIGABRT)  # it tells where it stands, and ends
            late = TimeoutError(f"no answer of the manager within {limit:g} s")
            self._connection.poll(5)
            late.add_note(self._log.read_text()[-16000:])
            raise late
        try:
            answer: Answer = self._connection.recv()
        except EOFError as error:
            error.add_note(self._log.read_text()[-4000:])
            raise
        return answer


class ManagerHost:
    """Gives managers to tests. `root` is the configuration root of all of them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.root = lab.home / "standby"
        self._socket = lab.home / "m.sock"
        self._log = lab.home / "managers.log"
        self._warm: Manager | None = None
        for folder in ("hosts", "profiles"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for host in ("source", "kvm"):
            (self.root / f"hosts/{host}.yaml").write_text(f"address: root@{host}\n")
        self._server = self._serve()

    def manager(self) -> Manager:
        """Start a manager."""
        return Manager(Client(str(self._socket), "AF_UNIX"), self.root, self._log)

    def use(self, words: Sequence[str], environment: Mapping[str, str]) -> Used:
        """Use the command line; it is killed when it takes too long."""
        with Client(str(self._socket), "AF_UNIX") as connection:
            connection.send(Use(tuple(words), environment))
            handle = reduction.recv_handle(connection)
            try:
                if not connection.poll(LIMIT):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                used: Used = connection.recv()
            finally:
                os.close(handle)
        return used

    def run(self, profile: str, *, full_copy: bool = False) -> CycleReport:
        """Run one cycle by a manager that lives on, its connections warm."""
        if self._warm is None:
            self._warm = self.manager()
        try:
            return self._warm.run(profile, full_copy=full_copy)
        except (EOFError, ConnectionError, TimeoutError):
            self.cool_down()
            raise

    def cool_down(self) -> None:
        """End the manager that `run` keeps: its connections may be dead."""
        if self._warm is not None:
            warm, self._warm = self._warm, None
            warm.close()

    def run_when_free(
        self, profile: str, *, full_copy: bool = False, within: float = 45.0
    ) -> CycleReport:
        """Run a cycle by a fresh manager, as soon as the lock of a dead one is free.

        It tries again, as a daemon does, whenever it is told to; for `within` seconds.
        """
        deadline = time.monotonic() + within
        while True:
            with self.manager() as manager:
                try:
                    return manager.run(profile, full_copy=full_copy)
                except TryLater:
                    if time.monotonic() > deadline:
                        raise

    def close(self) -> None:
        """End everything."""
        self.cool_down()
        self._server.kill()
        self._server.wait()

    def _serve(self) -> HostProcess:
        self._socket.unlink(missing_ok=True)
        entrance = self.lab.entrance("manager", env={"PYTHONPATH": f"{CHECKOUT}:{HERE}"})
        argv = [str(PYTHON), "-X", "faulthandler", str(HERE / "support_server.py")]
        with self._log.open("w") as log:
            server = HostProcess(
                entrance, [*argv, str(self._socket)], stdout=subprocess.DEVNULL, stderr=log
            )
        wait_until(
            lambda: self._socket.exists() or server.poll() is not None, "the managers' server", 60
        )
        if server.poll() is not None:
            raise RuntimeError(self._log.read_text())
        return server
