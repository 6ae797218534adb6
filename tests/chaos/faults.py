"""How each fault is done to the lab, and how it is mended afterwards."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from support import Protection
from support_traces import checkpoints

from lab import Lab
from lab.errors import NotUp
from lab.waiting import wait_until
from tests.chaos.scenario import Fault

_DAY_S = 86400.0
CLOCK_SHIFTS = {Fault.CLOCK_BACK: -_DAY_S, Fault.CLOCK_AHEAD: _DAY_S}


def strike(fault: Fault, protection: Protection) -> None:
    """Do it. What has ended by itself already is not struck."""
    deed = _DEEDS.get(fault)
    if deed is not None:
        deed(protection)


def mend(protection: Protection) -> None:
    """Bring everything back that a fault took, as an administrator would."""
    mend_hosts(protection.lab)
    if protection.guest.state() != "running":
        protection.guest.start()


def mend_hosts(lab: Lab) -> None:
    """Bring both hosts and their services back."""
    for host in ("source", "kvm"):
        try:
            lab.entrance(host)
        except NotUp:
            lab.start(host)
        lab.restore(host)
        lab.throttle(host, None)
        lab.unfill(host)
        for service in ("libvirtd", "sshd"):
            if not _serves(lab, host, service):
                lab.restart_service(host, service)


def _serves(lab: Lab, host: str, service: str) -> bool:
    return lab.run(host, ["pgrep", "-x", service]).returncode == 0


def _kill_all(lab: Lab, host: str, wanted: Callable[[str], bool]) -> None:
    for pid, line in processes_of(lab, host):
        if wanted(line):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def processes_of(lab: Lab, host: str) -> list[tuple[int, str]]:
    """Return pid and command line of every process of a host."""
    space = Path(f"/proc/{lab.entrance(host).init.pid}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "ns/pid").readlink() == space:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                found.append((int(entry.name), " ".join(w.decode(errors="replace") for w in words)))
    return found


def _storage_daemon(protection: Protection) -> None:
    _kill_all(protection.lab, "kvm", lambda line: line.startswith("qemu-storage-daemon"))


def _ssh(protection: Protection) -> None:
    _kill_all(protection.lab, "manager", lambda line: line.startswith("ssh "))


def _guest(protection: Protection) -> None:
    mine = f"guest={protection.guest.name},"
    _kill_all(protection.lab, "source", lambda line: mine in line)
    wait_until(lambda: protection.guest.state() == "shut off", "end of the guest", 20)


def _delete_checkpoint(protection: Protection) -> None:
    for name in checkpoints(protection):
        # A backup job that runs keeps its own.
        protection.lab.run("source", ["virsh", "checkpoint-delete", protection.guest.name, name])


def _remove_bitmaps(protection: Protection) -> None:
    for node in _qmp(protection, "query-named-block-nodes").get("return", ()):
        for bitmap in node.get("dirty-bitmaps", ()):
            if bitmap.get("name", "").startswith("standby-"):
                names = {"node": node["node-name"], "name": bitmap["name"]}
                _qmp(protection, "block-dirty-bitmap-remove", **names)


def _qmp(protection: Protection, execute: str, **arguments: str) -> dict[str, list[dict]]:
    request = json.dumps({"execute": execute, "arguments": arguments})
    argv = ["virsh", "qemu-monitor-command", protection.guest.name, request]
    answer: dict[str, list[dict]] = json.loads(
        protection.lab.run("source", argv).stdout.strip() or "{}"
    )
    return answer


_DEEDS: dict[Fault, Callable[[Protection], None]] = {
    Fault.STORAGE_DAEMON: _storage_daemon,
    Fault.SSH: _ssh,
    Fault.SSHD_SOURCE: lambda p: p.lab.kill_service("source", "sshd"),
    Fault.SSHD_KVM: lambda p: p.lab.kill_service("kvm", "sshd"),
    Fault.LIBVIRT_SOURCE: lambda p: p.lab.kill_service("source", "libvirtd"),
    Fault.LIBVIRT_KVM: lambda p: p.lab.kill_service("kvm", "libvirtd"),
    Fault.GUEST: _guest,
    Fault.FULL: lambda p: p.lab.fill("kvm"),
    Fault.CHECKPOINT: _delete_checkpoint,
    Fault.BITMAP: _remove_bitmaps,
    Fault.SLOW_LINK: lambda p: p.lab.throttle("kvm", "40mbit"),
    Fault.CUT_LINK: lambda p: p.lab.cut("kvm"),
    Fault.CUT_LINK_SOURCE: lambda p: p.lab.cut("source"),
    Fault.CRASH_SOURCE: lambda p: p.lab.crash("source"),
    Fault.CRASH_KVM: lambda p: p.lab.crash("kvm"),
}
