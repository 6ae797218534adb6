"""The lab as benchmarks use it: guests, profiles, and a warm manager on one of its hosts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from bench.run import CHECKOUT, MEMORY, place
from lab import BlockGuest, Lab
from lab.entering import HostProcess

MIB = 1 << 20
GIB = 1 << 30
STORAGE = Path("/srv/standby")
PYTHON = str(CHECKOUT / ".venv/bin/python")
_STORAGE_BYTES = 24 * GIB
_numbers = count(1)


@dataclass
class Site:
    """A lab, and on one of its hosts a manager. On `kvm` all is local; on `manager`, over SSH."""

    lab: Lab
    where: str
    root: Path  # of the configuration, as that host sees it
    _process: HostProcess | None = None

    def guest(self, *sizes: int, host: str = "kvm") -> BlockGuest:
        """Start a guest without a system, its disks of `sizes` bytes."""
        guest = self.lab.block_guest(f"bench{next(_numbers)}", *sizes, host=host)
        guest.start()
        return guest

    def protect(self, guest: BlockGuest, *, limit: int = 22) -> str:
        """Write a profile; return its name."""
        name = f"{guest.name}-{next(_numbers)}"
        source = {
            "type": "libvirt",
            "host": "local" if self.where == guest.host else str(guest.host),
            "domain": guest.name,
            "consistency": "crash",
        }
        target = {"host": "local" if self.where == "kvm" else "kvm", "storage": str(STORAGE)}
        profile = {"source": source, "target": target, "boot_points": {"limit": limit}}
        self._file(name).write_text(yaml.safe_dump(profile))
        return name

    def order(self, *words: object) -> dict[str, Any]:
        """Let the warm manager do something; return what it answers."""
        process = self._warm()
        answer = ""
        if process.stdin and process.stdout:
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the manager failed at {words}")
        told: dict[str, Any] = json.loads(answer)
        return told

    def cycle(self, profile: str) -> dict[str, Any]:
        """Run one cycle by the warm manager."""
        return self.order("cycle", profile)

    def forget(self, profile: str, guest: BlockGuest) -> None:
        """Remove a standby, its checkpoints and its profile, as if it had never been."""
        self.forget_standby(profile, guest)
        self._file(profile).unlink()

    def forget_standby(self, profile: str, guest: BlockGuest) -> None:
        """Remove a standby and its checkpoints: the next cycle is a first one."""
        self.lab.run("kvm", ["virsh", "undefine", "--nvram", f"{profile}-standby"])
        self.lab.exec("kvm", ["rm", "-rf", str(STORAGE / f"{profile}-standby")])
        self.forget_checkpoints(guest)

    def forget_checkpoints(self, guest: BlockGuest) -> None:
        """Remove all checkpoints of a guest."""
        for name in self.lab.virsh(guest.host, "checkpoint-list", "--name", guest.name).split():
            self.lab.virsh(guest.host, "checkpoint-delete", guest.name, name)

    @property
    def state(self) -> Path:
        """Where the daemon and those who ask it have their state, as the manager's host sees it."""
        return self.root.with_name("state")

    @contextmanager
    def serving(self) -> Iterator[Path]:
        """Run `standby serve`; yield its log."""
        kept = self.lab.home / "daemon.log"
        environment = {"PYTHONPATH": str(CHECKOUT), "STANDBY_STATE": str(self.state)}
        argv = [PYTHON, "-m", "standby", "--config", str(self.root), "serve"]
        entrance = self.lab.entrance(self.where, env=environment)
        with kept.open("w") as log:
            daemon = HostProcess(entrance, argv, stdout=log, stderr=log)
        try:
            yield kept
            if daemon.poll() is not None:
                raise RuntimeError(kept.read_text()[-4000:])
        finally:
            daemon.terminate()
            daemon.wait()

    def close(self) -> None:
        """End the manager."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _file(self, profile: str) -> Path:
        return self.lab.path(self.where, self.root / f"profiles/{profile}.yaml")

    def _warm(self) -> HostProcess:
        if self._process is None:
            entrance = self.lab.entrance(self.where, env={"PYTHONPATH": str(CHECKOUT)})
            argv = [PYTHON, "-m", "bench.driver", str(self.root)]
            self._process = HostProcess(entrance, argv, stdin=subprocess.PIPE, stderr=None)
        return self._process


@contextmanager
def site(where: str) -> Iterator[Site]:
    """Build a lab with a manager on host `where`; all of it ends with the context."""
    lab = Lab(f"b{os.getpid()}")
    lab.up(storage_bytes=_STORAGE_BYTES, with_parent=os.getpid())
    if place() == MEMORY:
        for host in ("source", "kvm"):
            lab.exec(host, ["mount", "-t", "tmpfs", "tmpfs", str(lab.storage(host))])
    root = lab.home / "standby" if where == "manager" else Path("/root/standby")
    seen = lab.path(where, root)
    for folder in ("hosts", "profiles"):
        (seen / folder).mkdir(parents=True, exist_ok=True)
    for host in ("source", "kvm"):
        (seen / f"hosts/{host}.yaml").write_text(f"address: root@{host}\n")
    made = Site(lab, where, root)
    try:
        yield made
    finally:
        made.close()
        lab.down()
