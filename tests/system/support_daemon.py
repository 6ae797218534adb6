"""`standby serve` on the lab's manager: started, stopped, killed and asked by tests."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from support import Protection
from support_cli import CommandLine
from support_manager import ManagerHost

from lab.entering import HostProcess
from lab.waiting import wait_until
from standby.app.client import DaemonClient, find_daemon
from standby.app.control import socket_path
from standby.app.live import Live

UP_WITHIN_S = 60.0
ENDS_WITHIN_S = 60.0


@dataclass
class Served:
    """A daemon with a configuration and a state directory of its own."""

    managers: ManagerHost
    root: Path
    state: Path
    log: Path
    process: HostProcess | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def cli(self) -> CommandLine:
        """The command line with the same configuration and state."""
        return CommandLine(self.managers, self.root, {"STANDBY_STATE": str(self.state)})

    @property
    def said(self) -> str:
        """Its log."""
        return self.log.read_text() if self.log.exists() else ""

    def protect(self, protection: Protection, **sections: object) -> None:
        """Give the daemon a profile of a machine, beside that of the tests' managers."""
        profile = yaml.safe_load(protection.profile_file.read_text())
        file = self.root / f"profiles/{protection.name}.yaml"
        file.with_suffix(".new").write_text(yaml.safe_dump({**profile, **sections}))
        file.with_suffix(".new").rename(file)

    def forget(self, protection: Protection) -> None:
        """Take the profile away."""
        (self.root / f"profiles/{protection.name}.yaml").unlink()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        argv = self.cli.argv(["serve"])
        entrance = self.managers.lab.entrance("manager", env=self.cli.env)
        with self.log.open("a") as log:
            self.process = HostProcess(entrance, argv, stdout=subprocess.DEVNULL, stderr=log)
        wait_until(self._answers, "the daemon", UP_WITHIN_S)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said
        return find_daemon(self.state, self.root) is not None

    def live(self) -> Live:
        """What it does now. Its socket is a file that the test sees as well."""
        return DaemonClient(socket_path(self.state)).live(everything=True)

    def kill(self) -> None:
        """End it without a warning."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(ENDS_WITHIN_S)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; return its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(ENDS_WITHIN_S)

    def close(self) -> None:
        """End it, however it is."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(ENDS_WITHIN_S)


@contextmanager
def served(managers: ManagerHost, place: Path) -> Iterator[Served]:
    """Make the configuration of a daemon that knows both hosts and no profile; end it at last."""
    root, state = place / "configuration", place / "state"
    (root / "profiles").mkdir(parents=True)
    (root / "hosts").mkdir()
    for file in (managers.root / "hosts").iterdir():
        (root / "hosts" / file.name).write_text(file.read_text())
    daemon = Served(managers, root, state, place / "daemon.log")
    yield daemon
    daemon.close()


def grows(protection: Protection, by: int = 1, limit: float = 60.0) -> None:
    """Write to the machine until so many more boot points were made by themselves."""
    begun = len(protection.points)

    def more() -> bool:
        number = len(protection.points)
        protection.guest.write(number << 20, 1 << 16, 0x10 + number % 200)
        return number >= begun + by

    wait_until(more, f"{by} more boot points of {protection.name}", limit, 0.3)
