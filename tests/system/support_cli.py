"""The command line on the lab's manager host, as a person or a script uses it."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import MIB, Protection
from support_manager import ManagerHost

from lab import Lab
from lab.entering import HostProcess
from lab.layout import CHECKOUT
from lab.waiting import wait_until
from standby.cycle.report import Outcome
from standby.errors import ExitStatus

PYTHON = CHECKOUT / ".venv/bin/python"
ENVIRONMENT = {"PYTHONPATH": str(CHECKOUT)}
TERMINAL = {"TERM": "xterm", "COLUMNS": "100"}
SAYS_WITHIN_S = 30.0


@dataclass(frozen=True)
class CommandLine:
    """`standby` on the manager with one configuration root."""

    managers: ManagerHost
    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def lab(self) -> Lab:
        """Where all this happens."""
        return self.managers.lab

    @property
    def env(self) -> dict[str, str]:
        """The environment it gets."""
        return {**ENVIRONMENT, **self.environment}

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run it to its end, with no terminal; it must end with this status."""
        return _expect(self._used(words), status)

    def run_when_free(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Try again while a run of the same machine is under way, as a script does."""
        tries: list[subprocess.CompletedProcess[str]] = []

        def free() -> bool:
            tries.append(self._used(words))
            return tries[-1].returncode != ExitStatus.TRY_LATER.value

        wait_until(free, "the end of the other run", 60, 0.2)
        return _expect(tries[-1], status)

    def _used(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        argv = self.argv(words)
        used = self.managers.use(argv[argv.index("standby") + 1 :], self.env)
        return subprocess.CompletedProcess(argv, used.status, used.output, used.errors)

    def json(self, *words: str) -> Any:
        """Run it with --json and return what it printed."""
        return json.loads(self.run(*words, "--json").stdout)

    def fails(self, *words: str, status: int) -> str:
        """Run what must fail with this status; return what it said, in one line."""
        done = self.run(*words, status=status)
        last = done.stderr.splitlines()[-1]
        assert last.startswith("standby: "), done.stderr
        return last.removeprefix("standby: ")

    @contextmanager
    def started(self, *words: str) -> Iterator[HostProcess]:
        """Start it in a pipe; it is killed when the context is left."""
        with self.lab.popen("manager", self.argv(words), env=self.env) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def on_terminal(self, *words: str) -> Iterator[Terminal]:
        """Start it on a terminal of 100 columns; it is killed when the context is left."""
        ours, theirs = pty.openpty()
        entrance = self.lab.entrance("manager", env={**self.env, **TERMINAL})
        # Only a terminal that is the session's own turns keys into signals.
        argv = ["setsid", "--ctty", "--wait", *self.argv(words)]
        with HostProcess(entrance, argv, stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            try:
                yield Terminal(ours, process)
            finally:
                process.kill()
                os.close(ours)

    def argv(self, words: Sequence[str]) -> list[str]:
        """Return the command line of one use."""
        return [str(PYTHON), "-m", "standby", "--config", str(self.root), *words]


def _expect(
    done: subprocess.CompletedProcess[str], status: int
) -> subprocess.CompletedProcess[str]:
    assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def cycles(protection: Protection, count: int, first: int = 1) -> list[str]:
    """Write something else before each cycle; return the names of the points made."""
    made = []
    for number in range(first, first + count):
        protection.guest.write(number * MIB, MIB // 2, 0x10 + number)
        report = protection.cycle()
        assert report.outcome is Outcome.PUBLISHED
        made.append(str(report.point))
    return made


@dataclass
class Terminal:
    """A terminal that somebody sits at."""

    descriptor: int
    process: HostProcess
    seen: str = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.descriptor, text.encode())

    def await_text(self, text: str) -> None:
        """Read until `text` was shown."""
        deadline = time.monotonic() + SAYS_WITHIN_S
        while text not in self.seen:
            assert self._read(deadline - time.monotonic()), f"no {text!r} in: {self.seen}"

    def end(self) -> int:
        """Read to the end, and return the exit status."""
        deadline = time.monotonic() + SAYS_WITHIN_S
        while self._read(deadline - time.monotonic()):
            pass
        return self.process.wait(SAYS_WITHIN_S)

    def _read(self, limit: float) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], max(limit, 0))
        try:
            told = os.read(self.descriptor, 65536) if ready else b""
        except OSError:  # the other side is closed
            return False
        self.seen += told.decode(errors="replace")
        return bool(told)
