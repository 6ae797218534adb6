"""Running commands inside a host of the lab."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from lab.errors import CommandFailed, TimedOut
from lab.processes import ProcessRecord, children
from lab.waiting import wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STATE = "/run/standby"
"""Where root's manager on a host keeps what it remembers: not in the machine's own place for it."""
DEFAULT_LIMIT = 120.0
"""Seconds that a command inside a host may take unless the caller says otherwise."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """How to get into one host: its first process, and what a login there would look like."""

    init: ProcessRecord
    home: Path
    user: str = "root"
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def argv(self, command: Sequence[str], cwd: Path | None) -> list[str]:
        """Return the command line that runs `command` inside, with a fresh environment."""
        enter = ["nsenter", "--target", str(self.init.pid), "--net", "--mount", "--pid", "--uts"]
        env = ["env", "--ignore-environment", f"--chdir={cwd or self.home}", *self._environment()]
        return [*enter, *self._become(), *env, *command]

    def _environment(self) -> list[str]:
        basic = {"PATH": PATH, "HOME": str(self.home), "USER": self.user, "LANG": "C.UTF-8"}
        if self.user == "root":
            basic["STANDBY_STATE"] = STATE
        return [f"{name}={value}" for name, value in {**basic, **self.variables}.items()]

    def _become(self) -> list[str]:
        if self.user == "root":
            return []
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]


class HostProcess(subprocess.Popen[str]):
    """A running command inside a host: signals reach the command, not what entered for it."""

    def __init__(
        self,
        entrance: Entrance,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        stdin: int | IO[Any] | None = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = subprocess.PIPE,
        stderr: int | IO[Any] | None = subprocess.PIPE,
    ) -> None:
        self.command = tuple(command)
        argv = entrance.argv(command, cwd)
        super().__init__(
            argv, text=True, errors="replace", stdin=stdin, stdout=stdout, stderr=stderr
        )

    @property
    def inner_pid(self) -> int:
        """Pid of the command itself, as the machine below sees it."""
        wait_until(self._started, "start of the command", 10)
        found = children(self.pid)
        return found[0] if found else self.pid

    def _started(self) -> bool:
        return self.poll() is not None or bool(children(self.pid))

    def send_signal(self, sig: int) -> None:
        """Send a signal to the command inside; kill() and terminate() come here too."""
        if self.poll() is None:
            handle = ProcessRecord.of(self.inner_pid)
            if handle is not None and handle.alive:
                handle.signal(signal.Signals(sig))


def run(
    entrance: Entrance,
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    text: str | None = None,
    limit: float = DEFAULT_LIMIT,
) -> subprocess.CompletedProcess[str]:
    """Run a command inside to its end and return what it said, whatever its status.

    Raises TimedOut, with the command killed, after `limit` seconds.
    """
    stdin = subprocess.DEVNULL if text is None else subprocess.PIPE
    with HostProcess(entrance, command, cwd=cwd, stdin=stdin) as process:
        try:
            out, err = process.communicate(text, timeout=limit)
        except BaseException as error:
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimedOut(" ".join(command), limit) from error
            raise
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def checked(result: subprocess.CompletedProcess[str]) -> str:
    """Return the standard output; raises CommandFailed unless the status is 0."""
    if result.returncode != 0:
        raise CommandFailed(tuple(result.args), result.returncode, result.stderr + result.stdout)
    return result.stdout
