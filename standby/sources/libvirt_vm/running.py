"""Capture of a VM that runs or is paused: a pull-mode backup and its checkpoint, atomically."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import libvirt

from standby.errors import (
    AskForResync,
    CaptureLost,
    CommandFailed,
    GrantAccess,
    RepairSource,
    StandbyError,
    TryLater,
)
from standby.host.interface import Held, Host
from standby.host.libvirt import libvirt_calls, translate
from standby.host.rendering import render
from standby.model.disk import SourceDisk
from standby.model.extent import NbdEndpoint
from standby.model.machine import MachineDefinition, PowerState
from standby.model.observation import ScratchSpace
from standby.model.plan import CapturePlan, DiskPlan
from standby.model.point import Consistency, Way
from standby.sources.libvirt_vm import checkpoints, programs
from standby.sources.libvirt_vm.captured import CapturedDisk
from standby.sources.libvirt_vm.consistency import while_frozen
from standby.sources.libvirt_vm.leftovers import mark
from standby.sources.libvirt_vm.scratch import (
    no_directory,
    require_room,
    scratch_file,
    scratch_places,
    spaces_in,
)
from standby.sources.libvirt_vm.settings import SourceSettings

log = logging.getLogger(__name__)

_BITMAP: Final = "standby-changes"
_ENDING_S: Final = 60.0
_ASK_AGAIN_S: Final = 1.0  # the guard may have asked as well: each is work for one monitor
_COMMAND_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class BackupDisk:
    """One disk of a backup's XML: without `scratch` it is left out, without `since` it is full."""

    name: str
    scratch: str | None
    since: str | None


@dataclass(frozen=True, slots=True)
class RunningCapture:
    """A backup job of libvirt, and the guard that watches over it."""

    domain: libvirt.virDomain
    guard: Held
    socket: str
    disks: Sequence[CapturedDisk]
    definition: MachineDefinition
    consistency: Consistency
    checkpoint: str | None

    def seal(self) -> str | None:
        """Return the checkpoint that libvirt made with the backup, at the same instant."""
        return self.checkpoint

    def require_alive(self) -> None:
        """Raise CaptureLost unless the job lived until now: otherwise reads may be of later."""
        if self.guard.alive and job_socket(self.domain) == self.socket:
            return
        words = self.guard.last_words or "its backup job, or the guard that watches it, is gone"
        low = "bytes free" in words
        raise CaptureLost(
            f"capture of {self.domain.name()}",
            f"given up on the source: {words}",
            "a capture that lives until everything is read",
            "free space for scratch files: source.scratch" if low else "run again",
        )


@dataclass(frozen=True, slots=True)
class CaptureFrame:
    """Where and of what a capture is taken. `all_disks` are the names of all its disks."""

    host: Host
    domain: libvirt.virDomain
    settings: SourceSettings
    definition: MachineDefinition
    all_disks: Sequence[str]


@contextmanager
def running_capture(frame: CaptureFrame, plan: CapturePlan) -> Generator[RunningCapture]:
    """Begin a backup job with its checkpoint; leaving the context ends it.

    Raises AskForResync when a bitmap turns out to be broken, TryLater when another backup
    runs, RepairSource when the guest cannot be frozen as asked.
    """
    host, domain = frame.host, frame.domain
    clear_the_way(domain, plan.owner)
    name = f"{mark(plan.owner)}{secrets.token_hex(4)}"
    socket, spaces = _prepare(frame, plan, name)
    require_room(spaces)
    backup, checkpoint = _describe(plan, frame, socket, name)
    wanted = plan.consistency if power_state(domain) is PowerState.RUNNING else Consistency.CRASH
    with ExitStack() as stack:
        # The job is ended before its guard is let go: a guard that sees its input end with the
        # job still there would take us for dead.
        guard = host.hold(_guard(domain, socket, spaces), ready=b"ready", timeout=_COMMAND_S)
        stack.callback(guard.close)
        stack.callback(_end_watched, domain, socket, guard)
        _, reached = while_frozen(
            host, domain, wanted, frame.settings, lambda: _begin(domain, backup, checkpoint, plan)
        )
        host.admit(socket)
        local = stack.enter_context(host.forward(socket))
        disks = tuple(_captured(disk.disk, disk.way, local) for disk in plan.disks)
        kept = plan.checkpoint if checkpoint is not None else None
        yield RunningCapture(domain, guard, socket, disks, frame.definition, reached, kept)


def clear_the_way(domain: libvirt.virDomain, owner: str) -> None:
    """End a backup job that an interrupted run of this standby left; wait until it is gone.

    Raises TryLater when the job is somebody else's, be it another standby of this machine.
    """
    socket = job_socket(domain)
    if socket is None:
        return
    if not socket.rpartition("/")[2].startswith(mark(owner)):
        raise TryLater(
            f"domain {domain.name()}",
            "another backup job runs",
            "one backup job at a time",
            "try again when it is done: virsh domjobinfo",
        )
    log.info("domain %s: ending the backup job of an interrupted run", domain.name())
    _end(domain, socket)


def job_socket(domain: libvirt.virDomain) -> str | None:
    """Return the NBD socket of the backup job that runs, "" when it has another transport."""
    try:
        xml = domain.backupGetXMLDesc(0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_BACKUP:
            return None
        raise translate(error, f"domain {domain.name()}") from error
    return checkpoints.socket_of_backup(xml)


def _end_watched(domain: libvirt.virDomain, socket: str, guard: Held) -> None:
    _end(domain, socket)
    guard.say("over")  # or it would ask libvirt whether there is a job to end


def _end(domain: libvirt.virDomain, socket: str) -> None:
    """End our job and wait until libvirt has let go of it: ending is asynchronous."""
    now = ask = time.monotonic()
    deadline = now + _ENDING_S
    with libvirt_calls(f"domain {domain.name()}"):
        if not domain.isActive():
            return
        while job_socket(domain) == socket:
            if now >= ask:
                _abort(domain)
                ask = now + _ASK_AGAIN_S
            if now > deadline:
                raise RepairSource(
                    f"domain {domain.name()}",
                    f"its backup job did not end within {_ENDING_S:g} s",
                    "a job that ends",
                    "look at it: virsh domjobinfo; end it: virsh domjobabort",
                )
            time.sleep(0.005)
            now = time.monotonic()


def _abort(domain: libvirt.virDomain) -> None:
    try:
        domain.abortJob()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:  # none any more
            raise


def _begin(
    domain: libvirt.virDomain, backup: str, checkpoint: str | None, plan: CapturePlan
) -> None:
    try:
        domain.backupBegin(backup, checkpoint, 0)
    except libvirt.libvirtError as error:
        raise _why_not(error, domain, plan) from error


def _why_not(
    error: libvirt.libvirtError, domain: libvirt.virDomain, plan: CapturePlan
) -> StandbyError:
    if error.get_error_code() == libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT:
        return AskForResync(
            f"domain {domain.name()}",
            error.get_error_message(),
            f"a whole bitmap of checkpoint {plan.since}",
            "send what differs: standby resync PROFILE",
        )
    if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_CHECKPOINT:
        # A bitmap begun while the VM was off is made known to libvirt by the look that precedes
        # a capture; a VM that was started after that look is seen as it is by the next.
        return CaptureLost(
            f"domain {domain.name()}",
            error.get_error_message(),
            f"checkpoint {plan.since}, as a moment ago",
            "run again: the VM was started meanwhile, or somebody deleted the checkpoint",
        )
    return translate(error, f"domain {domain.name()}")


def _describe(
    plan: CapturePlan, frame: CaptureFrame, socket: str, capture: str
) -> tuple[str, str | None]:
    """Return the XML of the backup, and of its checkpoint unless no disk can keep a bitmap."""
    planned = {disk.disk.name: disk for disk in plan.disks}
    disks = [
        _backup_disk(name, planned.get(name), plan.since, frame.settings, capture)
        for name in frame.all_disks
    ]
    backup = render("backup.xml.j2", {"socket": socket, "bitmap": _BITMAP, "disks": disks})
    trackable = [d.disk.name for d in plan.disks if d.disk.trackable]
    if not trackable:
        return backup, None
    return backup, checkpoints.describe(plan.checkpoint, trackable, frame.all_disks)


def _backup_disk(
    name: str, plan: DiskPlan | None, since: str | None, settings: SourceSettings, capture: str
) -> BackupDisk:
    if plan is None:
        return BackupDisk(name, None, None)
    incremental = plan.way is Way.INCREMENTAL
    return BackupDisk(
        name, scratch_file(plan.disk, settings, capture), since if incremental else None
    )


def _captured(disk: SourceDisk, way: Way, socket: str) -> CapturedDisk:
    changes = f"qemu:dirty-bitmap:{_BITMAP}" if way is Way.INCREMENTAL else None
    return CapturedDisk(disk, NbdEndpoint(socket, disk.name), changes)


def _guard(
    domain: libvirt.virDomain, socket: str, spaces: Sequence[ScratchSpace]
) -> tuple[str, ...]:
    places = (word for s in spaces for word in (s.directory, str(s.reserve)))
    return (
        *("bash", "-c", programs.GUARD_CAPTURE, "standby-guard"),
        *(domain.UUIDString(), socket, *places),
    )


def _prepare(
    frame: CaptureFrame, plan: CapturePlan, name: str
) -> tuple[str, tuple[ScratchSpace, ...]]:
    """Clear away what dead captures left; return where the socket goes, and the scratch space."""
    host, domain = frame.host, frame.domain
    places = scratch_places([disk.disk for disk in plan.disks], frame.settings)
    argv = (
        *("sh", "-c", programs.PREPARE_CAPTURE, "standby-prepare"),
        *(mark(plan.owner), str(domain.ID()), name, *places),
    )
    try:
        socket, *lines = host.run(argv, timeout=_COMMAND_S).text.splitlines()
    except CommandFailed as error:
        raise unprepared(error, host, domain) from error
    return socket, spaces_in(places, lines, frame.settings)


def unprepared(error: CommandFailed, host: Host, domain: libvirt.virDomain) -> StandbyError:
    """Return why a capture could not be prepared."""
    if error.status == programs.NO_DIRECTORY:
        if power_state(domain) is PowerState.OFF:
            return CaptureLost(
                f"domain {domain.name()}",
                "the VM was shut off meanwhile",
                "a VM that stays as it is until its capture has begun",
                "run again: a VM that is off is captured too",
            )
        return GrantAccess(
            f"domain {domain.name()} on {host.name}",
            "its private directory below /var/lib/libvirt/qemu is not to be seen",
            "a user who may look there",
            "reach the host as root, or with sudo: true in its file",
        )
    return no_directory(host, error)


def power_state(domain: libvirt.virDomain) -> PowerState:
    """Return what the VM does. One that crashed and is preserved stands still, its images open."""
    with libvirt_calls("domain"):
        state, _ = domain.state()
        preserved = state == libvirt.VIR_DOMAIN_CRASHED and domain.isActive()
    if state in {libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PMSUSPENDED} or preserved:
        return PowerState.PAUSED
    off = {libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_NOSTATE}
    return PowerState.OFF if state in off else PowerState.RUNNING
