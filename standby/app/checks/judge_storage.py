"""What the facts of a storage mean. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from standby.app.checks.finding import About, Finding, Fix, Topic
from standby.app.checks.host_facts import HostFacts
from standby.app.checks.libvirt_facts import Owner
from standby.app.checks.storage_facts import Step, StorageFacts, Trial
from standby.errors import UseOtherStorage
from standby.model.amount import readable
from standby.target.filesystems import Promise, nfs_version, promise_of, require_promises

SLOW_FLUSH_MS: Final = 500
_FORGETFUL: Final = frozenset({"tmpfs", "ramfs", "overlayfs"})
_FUSE: Final = frozenset({"fuseblk", "fuse", "fusectl"})
# A standby with its points takes dozens of files, not thousands.
_FEW_INODES: Final = 1000
_OTHER: Final = Fix("name another storage in the profile: target.storage")


@dataclass(frozen=True, slots=True)
class Room:
    """What the next cycle needs of the storage. Bytes; `reserve` stays free besides."""

    needed: int
    reserve: int
    purpose: str  # what is to be written
    whole: int  # of all disks, as large as the machine sees them


def judge_type(facts: StorageFacts, host: HostFacts) -> Iterator[Finding]:
    """Say what the file system's type promises."""
    about = About(host.name, Topic.STORAGE)
    where = f"{facts.path} ({facts.filesystem}, mounted on {facts.mount or 'an unknown place'})"
    if facts.obstacle:
        yield about.problem(f"{facts.obstacle} is in the way: it is no directory", _OTHER)
        return
    try:
        require_promises(facts.filesystem, facts.path, ",".join(facts.options))
    except UseOtherStorage as error:
        yield about.error(error)
        return
    if promise_of(facts.filesystem) is Promise.KEPT_BY_SERVER:
        yield _nfs(about, facts)
    elif facts.filesystem in _FORGETFUL:
        yield about.warning(f"{where} does not outlive a restart of the host", _OTHER)
    elif facts.filesystem in _FUSE:
        yield about.warning(f"{where}: what it promises is its program's choice", _OTHER)
    elif facts.read_only:
        yield about.problem(f"{where} is read-only", _remount(host, facts))
    else:
        yield about.ok(where)


def _remount(host: HostFacts, facts: StorageFacts) -> Fix:
    words = "if it was not an error of the disk that made it so (look at dmesg)"
    return Fix(words, f"{host.sudo}mount -o remount,rw {facts.mount}", host.name)


def _nfs(about: About, facts: StorageFacts) -> Finding:
    version = nfs_version(",".join(facts.options))
    return about.note(
        f"{facts.path} is NFS {version}: {Promise.KEPT_BY_SERVER.value}",
        Fix("look at the server's /etc/exports: no async"),
    )


def judge_trial(facts: StorageFacts, trial: Trial, host: HostFacts) -> Iterator[Finding]:
    """Say what became of trying it."""
    about = About(host.name, Topic.STORAGE)
    if trial.refused:
        yield about.problem(_refused(facts, trial), _grant(about, facts, trial, host))
        return
    for broken in trial.broken:
        yield about.problem(f"{facts.path}: {broken}", _OTHER)
    if trial.broken:
        return
    held = f"locks, renames and flushes work, a flush in {trial.flush} ms"
    if trial.flush > SLOW_FLUSH_MS:
        yield about.warning(f"{held}: slow; every publication waits for several")
    else:
        there = "" if facts.exists else f"; {facts.path} will be made"
        yield about.ok(f"{held}{there}")


def _refused(facts: StorageFacts, trial: Trial) -> str:
    verb = "be written to" if facts.exists else f"be made in {facts.below}"
    return f"{facts.path} cannot {verb}: {trial.refused}"


def _grant(about: About, facts: StorageFacts, trial: Trial, host: HostFacts) -> Fix:
    if "Read-only file system" in trial.refused:
        return _remount(host, facts)
    if "No space left" in trial.refused:
        return Fix(f"free some space or inodes on {facts.mount}")
    if "Permission denied" not in trial.refused or host.is_root:
        return _OTHER
    if facts.exists:
        return about.run_here(f"sudo chown {host.login} {facts.path}")
    return about.run_here(f"sudo install -d -o {host.login} -m 0711 {facts.path}")


def judge_way(facts: StorageFacts, host: HostFacts, qemu: Owner | None) -> Iterator[Finding]:
    """Say whether the user that VMs run as can reach what is stored there."""
    if qemu is None:
        return
    for step in facts.steps:
        if not step.lets_in(qemu.uid, qemu.gid):
            yield _closed(host, step, qemu)
            return


def _closed(host: HostFacts, step: Step, qemu: Owner) -> Finding:
    about = About(host.name, Topic.STORAGE)
    fix = about.run_here(f"{host.sudo}chmod o+x {step.path}")
    found = f"VMs run as user {qemu.uid}, who may not enter {step.path} ({step.mode})"
    if step.has_acl:
        return about.note(f"{found}, unless its ACL lets him", fix)
    return about.problem(f"{found}: the standby would not start", fix)


def judge_space(host: str, facts: StorageFacts, room: Room) -> Iterator[Finding]:
    """Compare free space with what is needed."""
    about = About(host, Topic.SPACE)
    wanted = room.needed + room.reserve
    told = (
        f"{readable(facts.available)} of {readable(facts.total)} free in {facts.below},"
        f" {readable(wanted)} needed for {room.purpose}"
    )
    if facts.available < wanted:
        short = readable(wanted - facts.available)
        yield about.problem(told, Fix(f"free {short} there, or {_OTHER.words}"))
    elif facts.available < room.whole:
        yield about.note(f"{told}; the disks themselves have {readable(room.whole)}")
    else:
        yield about.ok(told)
    if facts.inodes is not None and facts.inodes < _FEW_INODES:
        yield about.warning(f"only {facts.inodes} inodes free in {facts.below}")
