"""What a cycle may leave nowhere: processes, sockets, scratch files, jobs, checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from support import Protection

from lab import Lab
from lab.errors import CommandFailed
from lab.waiting import wait_until

_OURS = ("standby-", "qemu-storage-daemon")
_LIMIT = 45.0
"""Seconds: what is bound to a dead connection ends when it has been silent for 30."""


def processes(lab: Lab, host: str) -> list[str]:
    """Return the command lines of a host's processes that work for a cycle."""
    return [line for _, line in _processes(lab, host) if any(word in line for word in _OURS)]


def find_process(lab: Lab, host: str, program: str) -> int:
    """Return the pid, as this machine sees it, of the one process of a program on a host.

    `program` is how its command line begins, or the name that a shell program goes by.
    """
    ours = program.startswith("standby-")
    lines = _processes(lab, host)
    found = [
        n for n, line in lines if (f" {program} " in line if ours else line.startswith(program))
    ]
    assert len(found) == 1, found
    return found[0]


def _processes(lab: Lab, host: str) -> Iterator[tuple[int, str]]:
    space = Path(f"/proc/{lab.entrance(host).init.pid}/ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "ns/pid").readlink() == space:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    yield int(entry.name), " ".join(w.decode(errors="replace") for w in words)
            except OSError:
                continue  # it has ended


def expect_no_traces(protection: Protection) -> None:
    """Wait until nothing of a cycle is left on either host, and the source has what it needs."""
    found: list[str] = []

    def none() -> bool:
        found[:] = list(_traces(protection))
        return not found

    try:
        wait_until(none, "end of all traces", _LIMIT, 0.1)
    except BaseException as error:
        error.add_note("\n".join(found))
        raise
    protection.expect_tidy()
    needed = needed_checkpoints(protection)
    assert set(checkpoints(protection)) <= needed
    trackable = [name for name, disk in protection.disks.items() if disk.kind == "qcow2"]
    assert bitmaps(protection) == dict.fromkeys(trackable, needed)


def checkpoints(protection: Protection) -> list[str]:
    """Return the names of our checkpoints, as the source's libvirt knows them."""
    lab, source = protection.lab, str(protection.guest.host)
    names = lab.virsh(source, "checkpoint-list", protection.guest.name, "--name")
    return sorted(name for name in names.split() if name.startswith("standby-"))


def bitmaps(protection: Protection) -> dict[str, set[str]]:
    """Return the names of our bitmaps in each qcow2 disk, wherever they are kept now."""
    running = protection.guest.state() != "shut off"
    find = _running_bitmaps if running else _stored_bitmaps
    disks = {name: disk.path for name, disk in protection.disks.items() if disk.kind == "qcow2"}
    return {
        name: {b for b in find(protection, path) if "standby-" in b} for name, path in disks.items()
    }


def needed_checkpoints(protection: Protection) -> set[str]:
    """Return the checkpoint that the next incremental needs, if the newest point has one."""
    newest = protection.manifest.newest
    return {newest.checkpoint} if newest and newest.checkpoint else set()


def _running_bitmaps(protection: Protection, path: Path) -> list[str]:
    argv = ("qemu-monitor-command", protection.guest.name, '{"execute": "query-named-block-nodes"}')
    nodes = json.loads(protection.lab.virsh(str(protection.guest.host), *argv))["return"]
    qcow2 = [node for node in nodes if node["file"] == str(path) and node["drv"] == "qcow2"]
    return [bitmap["name"] for node in qcow2 for bitmap in node.get("dirty-bitmaps", [])]


def _stored_bitmaps(protection: Protection, path: Path) -> list[str]:
    argv = ["qemu-img", "info", "-U", "--output=json", str(path)]
    info = json.loads(protection.lab.exec(str(protection.guest.host), argv))
    return [bitmap["name"] for bitmap in info["format-specific"]["data"].get("bitmaps", [])]


def _traces(protection: Protection) -> Iterator[str]:
    lab, source = protection.lab, str(protection.guest.host)
    yield from (f"kvm: {line}" for line in processes(lab, "kvm"))
    yield from (f"{source}: {line}" for line in processes(lab, source) if "-standby" not in line)
    for host in {"kvm", source}:
        yield from map(str, lab.path(host, Path("/tmp")).glob("standby-*"))  # noqa: S108
    for disk in protection.disks.values():
        yield from map(str, lab.path(source, disk.path.parent).glob(".standby-*"))
    libvirt = lab.path(source, Path("/var/lib/libvirt/qemu"))
    yield from map(str, libvirt.glob("domain-*/standby-*.sock"))
    if backup_job(protection):
        yield "a backup job"


def backup_job(protection: Protection) -> str:
    """Return the description of the source's backup job, "" when there is none."""
    source = str(protection.guest.host)
    try:
        return protection.lab.virsh(source, "backup-dumpxml", protection.guest.name)
    except CommandFailed:
        return ""
