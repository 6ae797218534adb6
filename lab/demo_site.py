"""The place of the demo: a lab, a configuration root of its own, and commands on its hosts."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.demo_screen import Screen
from lab.entering import PATH, HostProcess
from lab.errors import CommandFailed, TimedOut
from lab.lab import Lab
from lab.layout import CHECKOUT, HostName
from lab.linuxguest import LinuxGuest

MACHINE = "web1"
STANDBY = "web1-standby"
LIMIT = 3
"""How many boot points the profile keeps."""
_COMMAND_LIMIT = 120.0
_PROGRAMS = CHECKOUT / ".venv/bin"

CONFIGURATION = CHECKOUT / "lab/configuration"
"""The hosts of the lab and one profile, as a user would write them."""
_LOGIN = f"""\
# Read by login shells of the manager: the command standby is found.
PATH={_PROGRAMS}:$PATH
"""


class Site:
    """Commands on the hosts of the demo's lab, shown as somebody would type them."""

    def __init__(self, lab: Lab, screen: Screen) -> None:
        self.lab = lab
        self.screen = screen

    @property
    def root(self) -> Path:
        """The configuration root: where `standby` on the manager looks by itself."""
        return self.lab.home / ".config/standby"

    @property
    def standby(self) -> LinuxGuest:
        """The standby's domain on the KVM host."""
        return self.lab.guest(HostName.KVM, STANDBY)

    def write_configuration(self) -> None:
        """Write the hosts and the profile, and show them."""
        shutil.copytree(CONFIGURATION, self.root)
        for file in sorted(path for path in self.root.rglob("*.yaml")):
            self.screen.typed("manager#", f"cat ~/.config/standby/{file.relative_to(self.root)}")
            self.screen.output(file.read_text())
        (self.lab.home / ".profile").write_text(_LOGIN)

    def run(self, host: HostName, *words: str) -> None:
        """Run a command on a host, its output for all to see; raises CommandFailed."""
        self.screen.command(f"{host.value}#", words)
        # Away from the terminal virsh does not look for a polkit agent, which the lab has not.
        argv = words if host is HostName.MANAGER else ("setsid", "--wait", *words)
        entrance = self.lab.entrance(host, env=self._environment())
        with HostProcess(entrance, argv, stdout=None, stderr=None) as process:
            try:
                status = process.wait(_COMMAND_LIMIT)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise TimedOut(" ".join(words), _COMMAND_LIMIT) from error
        if status != 0:
            raise CommandFailed(words, status, "see above")

    def ask(self, *words: str) -> Any:  # noqa: ANN401 - JSON of any shape
        """Run a command of `standby` with --json, unseen, and return what it answers."""
        argv = ["standby", *words, "--json"]
        return json.loads(self.lab.exec(HostName.MANAGER, argv, env=self._environment()))

    def manifest(self) -> dict[str, Any]:
        """Read the standby's manifest on the KVM host, as anybody could."""
        file = self._directory() / "standby.json"
        content: dict[str, Any] = json.loads(file.read_text())
        return content

    def kept_heads(self) -> int:
        """Count the heads that were set aside because somebody ran them."""
        return len(list((self._directory() / "kept").glob("*")))

    def stored_bytes(self) -> int:
        """Return the bytes that all the standby's files take on the KVM host."""
        files = [path for path in self._directory().rglob("*") if not path.is_symlink()]
        return sum(path.stat().st_blocks * 512 for path in files if path.is_file())

    def _directory(self) -> Path:
        return self.lab.path(HostName.KVM, self.lab.storage(HostName.KVM) / STANDBY)

    def _environment(self) -> dict[str, str]:
        terminal = os.environ.get("TERM", "dumb") if self.screen.is_terminal else "dumb"
        return {"PATH": f"{_PROGRAMS}:{PATH}", "TERM": terminal}


def commands_to_play_with(name: str) -> Sequence[str]:
    """Return lines that can be pasted into a shell in the checkout."""
    lab = f".venv/bin/python -m lab --name {name}"
    standby = f"{lab} exec manager -- .venv/bin/standby"
    return (
        f"cd {CHECKOUT}",
        f"{standby} points {MACHINE}",
        f"{standby} run {MACHINE}",
        f"{standby} revert {MACHINE} latest~1",
        f"{lab} exec kvm -- virsh start {STANDBY}",
        f"{lab} exec kvm -- virsh destroy {STANDBY}",
        f"{standby} revert {MACHINE} latest",
        f"{standby} show {MACHINE}",
        f"{lab} shell manager",
        f"make lab-down{'' if name == 'demo' else f' NAME={name}'}",
    )
