"""Capture of a VM that runs or is paused: a pull-mode backup and its checkpoint, atomically."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import libvirt

from standby.errors import AskForFullCopy, CaptureLost, RepairSource, StandbyError, TryLater
from standby.host.interface import Held, Host
from standby.host.libvirt import libvirt_calls, translate
from standby.host.rendering import render
from standby.model.disk import SourceDisk
from standby.model.extent import NbdEndpoint
from standby.model.machine import MachineDefinition, PowerState
from standby.model.plan import CapturePlan
from standby.model.point import Consistency, Way
from standby.sources.libvirt_vm import checkpoints, programs
from standby.sources.libvirt_vm.captured import CapturedDisk
from standby.sources.libvirt_vm.consistency import while_frozen
from standby.sources.libvirt_vm.scratch import scratch_directory, scratch_file
from standby.sources.libvirt_vm.settings import SourceSettings

log = logging.getLogger(__name__)

_BITMAP: Final = "standby-changes"
_ENDING_S: Final = 60.0
_COMMAND_S: Final = 30.0
_OUR_SOCKETS: Final = "standby-"


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

    def require_alive(self) -> None:
        """Raise CaptureLost unless the job lived until now: otherwise reads may be of later."""
        if not self.guard.alive:
            raise CaptureLost(
                f"capture of {self.domain.name()}",
                f"given up on the source: {self.guard.last_words or 'its guard is gone'}",
                "a capture that lives until everything is read",
                "free space for scratch files: source.scratch",
            )
        if job_socket(self.domain) != self.socket:
            raise CaptureLost(
                f"capture of {self.domain.name()}",
                "libvirt ended the backup job",
                "a capture that lives until everything is read",
            )


@contextmanager
def running_capture(
    host: Host,
    domain: libvirt.virDomain,
    plan: CapturePlan,
    settings: SourceSettings,
    definition: MachineDefinition,
    all_disks: Sequence[str],
) -> Generator[RunningCapture]:
    """Begin a backup job with its checkpoint; leaving the context ends it.

    Raises AskForFullCopy when a bitmap turns out to be broken, TryLater when another backup
    runs, RepairSource when the guest cannot be frozen as asked.
    """
    clear_the_way(domain)
    token = secrets.token_hex(4)
    socket = _socket_path(host, domain, token)
    backup, checkpoint = _describe(plan, settings, socket, token, all_disks)
    wanted = plan.consistency if power_state(domain) is PowerState.RUNNING else Consistency.CRASH
    _, reached = while_frozen(
        host, domain, wanted, settings, lambda: _begin(domain, backup, checkpoint, plan)
    )
    try:
        guard = _guard(host, domain, plan, settings, socket)
        try:
            host.admit(socket)
            with host.forward(socket) as local:
                disks = tuple(_captured(disk.disk, disk.way, local) for disk in plan.disks)
                yield RunningCapture(
                    domain, guard, socket, disks, definition, reached, plan.checkpoint
                )
        finally:
            _end(domain, socket)
            guard.close()
    except BaseException:
        _end(domain, socket)
        raise


def clear_the_way(domain: libvirt.virDomain) -> None:
    """End a backup job of ours that an interrupted run left; wait until it is gone.

    Raises TryLater when the job is somebody else's.
    """
    socket = job_socket(domain)
    if socket is None:
        return
    if not socket.rpartition("/")[2].startswith(_OUR_SOCKETS):
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


def _end(domain: libvirt.virDomain, socket: str) -> None:
    """End our job and wait until libvirt has let go of it: ending is asynchronous."""
    deadline = time.monotonic() + _ENDING_S
    with libvirt_calls(f"domain {domain.name()}"):
        if not domain.isActive():
            return
        while job_socket(domain) == socket:
            _abort(domain)
            if time.monotonic() > deadline:
                raise RepairSource(
                    f"domain {domain.name()}",
                    f"its backup job did not end within {_ENDING_S:g} s",
                    "a job that ends",
                    "look at it: virsh domjobinfo; end it: virsh domjobabort",
                )
            time.sleep(0.005)


def _abort(domain: libvirt.virDomain) -> None:
    try:
        domain.abortJob()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:  # none any more
            raise


def _begin(domain: libvirt.virDomain, backup: str, checkpoint: str, plan: CapturePlan) -> None:
    try:
        domain.backupBegin(backup, checkpoint, 0)
    except libvirt.libvirtError as error:
        raise _why_not(error, domain, plan) from error


def _why_not(
    error: libvirt.libvirtError, domain: libvirt.virDomain, plan: CapturePlan
) -> StandbyError:
    if error.get_error_code() == libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT:
        return AskForFullCopy(
            f"domain {domain.name()}",
            error.get_error_message(),
            f"a whole bitmap of checkpoint {plan.since}",
            "copy everything once: standby run PROFILE --full",
        )
    return translate(error, f"domain {domain.name()}")


def _describe(
    plan: CapturePlan, settings: SourceSettings, socket: str, token: str, all_disks: Sequence[str]
) -> tuple[str, str]:
    ways = {disk.disk.name: disk for disk in plan.disks}
    disks = []
    for name in all_disks:
        disk = ways.get(name)
        incremental = disk is not None and disk.way is Way.INCREMENTAL
        disks.append(
            {
                "name": name,
                "scratch": scratch_file(disk.disk, settings, token) if disk else None,
                "since": plan.since if incremental else None,
                "bitmap": _BITMAP,
            }
        )
    trackable = [d.disk.name for d in plan.disks if d.disk.trackable]
    checkpoint = render(
        "checkpoint.xml.j2",
        {
            "name": plan.checkpoint,
            "description": "standby: the next incremental counts from here",
            "created": None,
            "disks": checkpoints.disks_xml(trackable, all_disks),
            "domain": None,
        },
    )
    return render("backup.xml.j2", {"socket": socket, "disks": disks}), checkpoint


def _captured(disk: SourceDisk, way: Way, socket: str) -> CapturedDisk:
    changes = f"qemu:dirty-bitmap:{_BITMAP}" if way is Way.INCREMENTAL else None
    return CapturedDisk(disk, NbdEndpoint(socket, disk.name), changes)


def _guard(
    host: Host, domain: libvirt.virDomain, plan: CapturePlan, settings: SourceSettings, socket: str
) -> Held:
    places = {scratch_directory(disk.disk, settings) for disk in plan.disks}
    argv = (
        *("bash", "-c", programs.GUARD_CAPTURE, "standby-guard"),
        *(domain.UUIDString(), socket, str(settings.scratch_reserve), *sorted(places)),
    )
    return host.hold(argv, ready=b"ready", timeout=_COMMAND_S)


def _socket_path(host: Host, domain: libvirt.virDomain, token: str) -> str:
    argv = ("sh", "-c", programs.SOCKET_PATH, "standby-socket", str(domain.ID()), token)
    return host.run(argv, timeout=_COMMAND_S).text.strip()


def power_state(domain: libvirt.virDomain) -> PowerState:
    """Return what the VM does."""
    with libvirt_calls("domain"):
        state, _ = domain.state()
    if state in {libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PMSUSPENDED}:
        return PowerState.PAUSED
    off = {libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_NOSTATE}
    return PowerState.OFF if state in off else PowerState.RUNNING
