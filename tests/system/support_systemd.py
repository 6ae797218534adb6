"""The service as the unit of contrib/systemd runs it, under a real systemd on the lab's manager.

systemd is the first process of namespaces of its own and knows no unit but ours. The package is
there as one would install it: /usr/bin/standby, /etc/standby, a user of its own with its own key.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support import Protection

from lab import Lab
from lab.entering import PATH, HostProcess
from lab.layout import CHECKOUT
from lab.processes import ProcessRecord, children
from lab.waiting import wait_until

HERE = Path(__file__).resolve().parent / "systemd"
SYSTEMD = Path("/lib/systemd/systemd")
UNIT = CHECKOUT / "contrib/systemd/standby.service"
GIVEN = Path("/run/systemd-under-test")
GROUP = "operators"
MEMBER = "olga"  # of the group that may ask the daemon
STRANGER = "nobody"
UP_WITHIN_S = 30.0
_TARGETS = (
    *("idle", "sysinit", "basic", "shutdown", "umount", "multi-user"),
    *("network-online", "time-sync"),
)


@dataclass
class Systemd:
    """A systemd that runs, and the service under it."""

    process: HostProcess
    directory: Path  # what it was given
    init: ProcessRecord | None = None  # systemd, as this machine sees it

    @property
    def pid(self) -> int:
        """Return its pid, once it runs."""
        assert self.init is not None
        return self.init.pid

    def run(
        self, *words: str, user: str = "root", limit: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command beside the service."""
        enter = ["nsenter", "--target", str(self.pid), "--all", "--wd=/"]
        become = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}"]
        become += [] if user == "root" else ["--init-groups"]
        env = ["env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", "TERM=dumb"]
        return subprocess.run(
            [*enter, *become, *env, *words],
            capture_output=True, text=True, check=False, timeout=limit, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def does(self, *words: str, user: str = "root", limit: float = 60.0) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.run(*words, user=user, limit=limit)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.said}"
        return done.stdout

    def ctl(self, *words: str, limit: float = 60.0) -> str:
        """Run systemctl, which must succeed."""
        return self.does("systemctl", *words, limit=limit).strip()

    def shows(self, name: str) -> str:
        """Return a property of the service."""
        return self.ctl("show", "standby", "--property", name, "--value")

    @property
    def said(self) -> str:
        """The service's log."""
        done = self.run("cat", "/var/log/standby.log")
        return done.stdout

    @property
    def main_pid(self) -> int:
        """The daemon's process, as this machine sees it."""
        inner = self.shows("MainPID")
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                status = (entry / "status").read_text() if entry.name.isdigit() else ""
                nspid = next(
                    (it for it in status.splitlines() if it.startswith("NSpid:")), ""
                ).split()
                ours = (entry / "ns/pid").readlink() == Path(f"/proc/{self.pid}/ns/pid").readlink()
                if nspid and nspid[-1] == inner and ours:
                    return int(entry.name)
        raise AssertionError(f"process {inner} is not there")

    def protect(self, protection: Protection, **sections: object) -> None:
        """Give the service a profile of a machine."""
        profile = yaml.safe_load(protection.profile_file.read_text())
        text = yaml.safe_dump({**profile, **sections})
        target = f"/etc/standby/profiles/{protection.name}.yaml"
        self.does("sh", "-c", 'printf %s "$1" > "$2.new"; mv "$2.new" "$2"', "sh", text, target)

    def close(self) -> None:
        """End it and all that it runs."""
        if self.init is not None:
            self.init.kill()
        else:
            self.process.kill()
        self.process.wait(20)


@contextmanager
def under_systemd(
    lab: Lab, directory: Path, *overrides: str, host: str = "manager"
) -> Iterator[Systemd]:
    """Start systemd on a host. `overrides` are lines of a drop-in's section [Service]."""
    units = directory / "units"
    _write_units(units, overrides)
    _write_configuration(lab, directory, host)
    seen = lab.path(host, GIVEN)  # not every host sees our temporary directories
    shutil.copytree(directory, seen)
    argv = ["unshare", "--mount", "sh", str(HERE / "boot.sh"), str(GIVEN), str(CHECKOUT)]
    with (directory / "systemd.log").open("w") as log:
        process = HostProcess(lab.entrance(host), argv, stdout=log, stderr=log)
    made = Systemd(process, directory)
    try:
        wait_until(lambda: _is_up(made), "systemd", UP_WITHIN_S)
        yield made
    finally:
        made.close()
        shutil.rmtree(seen)


def _is_up(made: Systemd) -> bool:
    if made.process.poll() is not None:
        said = (made.directory / "systemd.log").read_text()
        # Such as in a container: without control groups of version 2 or without namespaces.
        if said.startswith(("mount:", "unshare:")):
            pytest.skip(f"systemd cannot be run here: {said}")
        raise AssertionError(said)
    made.init = made.init or _find(made.process.pid)
    return (
        made.init is not None and made.run("systemctl", "is-active", "idle.target").returncode == 0
    )


def _find(pid: int) -> ProcessRecord | None:
    """Return the systemd among the descendants of a process."""
    with suppress(OSError):
        if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
            return ProcessRecord.of(pid)
    return next((found for child in children(pid) if (found := _find(child))), None)


def _write_units(units: Path, overrides: Sequence[str]) -> None:
    units.mkdir()
    for name in _TARGETS:
        text = f"[Unit]\nDescription={name}\nDefaultDependencies=no\n"
        (units / f"{name}.target").write_text(text)
    shutil.copy(UNIT, units / UNIT.name)
    drop_in = units / f"{UNIT.name}.d"
    drop_in.mkdir()
    lines = ["[Service]", "StandardError=append:/var/log/standby.log", *overrides]
    (drop_in / "test.conf").write_text("\n".join(lines) + "\n")


def local_override() -> list[str]:
    """Return the drop-in that the unit itself gives for a manager that is such a host as well."""
    _, _, text = UNIT.read_text().partition("systemctl edit standby\n#   [Service]\n")
    override, _, _ = text.partition("#\n")
    return [line.removeprefix("#").strip() for line in override.splitlines()]


def _write_configuration(lab: Lab, directory: Path, here: str) -> None:
    """Write what /etc/standby will hold."""
    root = directory / "standby"
    for folder in ("hosts", "profiles", "keys"):
        (root / folder).mkdir(parents=True)
    ssh = lab.home / ".ssh"
    shutil.copy(ssh / "id_ed25519", root / "keys/id")
    shutil.copy(ssh / "known_hosts", root / "known_hosts")
    for host in ("source", "kvm"):
        by_ssh = {
            "address": f"root@{host}",
            "identity_file": "/etc/standby/keys/id",
            "known_hosts": "/etc/standby/known_hosts",
        }
        settings = {"address": "local"} if host == here else by_ssh
        (root / f"hosts/{host}.yaml").write_text(yaml.safe_dump(settings))
    daemon = {"socket_group": GROUP, "stop_limit": "8s"}
    (root / "manager.yaml").write_text(yaml.safe_dump({"daemon": daemon}))
