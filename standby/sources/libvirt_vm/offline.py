"""Capture of a VM that is off: its images and their persistent bitmaps, read where they lie.

A storage daemon on the source host opens them read-only and takes no lock, so that the VM can be
started at any moment; the capture is then discarded, since its blocks may be of two moments.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import libvirt

from standby.errors import CaptureLost, CommandFailed, StandbyError
from standby.host.interface import Host
from standby.host.libvirt import Life, libvirt_calls, lifecycle
from standby.host.storage_daemon import (
    DaemonSettings,
    Export,
    StorageDaemon,
    refused_lock,
    storage_daemon,
)
from standby.model.extent import NbdEndpoint
from standby.model.machine import MachineDefinition
from standby.model.plan import CapturePlan, DiskPlan
from standby.model.point import Consistency, Way
from standby.sources.libvirt_vm import images, programs
from standby.sources.libvirt_vm.captured import CapturedDisk

_PIDFILE: Final = "/tmp/standby-source-{name}.pid"  # noqa: S108 - the daemon's program makes it anew


@dataclass(frozen=True, slots=True)
class OfflineCapture:
    """The images of a VM that is off, as long as it stays off."""

    host: Host
    domain: libvirt.virDomain
    plan: CapturePlan
    stamps: Sequence[str]  # of the plan's disks, before they were read
    daemon: StorageDaemon
    started: threading.Event
    disks: Sequence[CapturedDisk]
    definition: MachineDefinition
    consistency: Consistency

    def seal(self) -> str | None:
        """Begin bitmaps that count from this moment; return their name, None if none can.

        Only now, when a point is to be published: making a bitmap locks the image against a
        start of the VM for some milliseconds, and a cycle that finds nothing changed must not.
        While the VM is off it makes no difference when they begin.
        """
        disks = [disk.disk for disk in self.plan.disks]
        try:
            images.begin_bitmaps(self.host, disks, self.stamps, self.plan.checkpoint)
        except CommandFailed as error:
            raise self._why_not(error) from error
        self.require_alive()
        marked = any(disk.trackable for disk in disks)
        return self.plan.checkpoint if marked else None

    def _why_not(self, error: CommandFailed) -> StandbyError:
        if error.status == programs.WRITTEN:
            return CaptureLost(
                f"capture of {self.domain.name()}",
                f"{error.stderr.strip()} was written to while it was read",
                "images that nobody changes until they are read",
                "run again when whoever works on them is done",
            )
        if refused_lock(error):
            return CaptureLost(self.plan.checkpoint, "the VM was started meanwhile")
        return error

    def require_alive(self) -> None:
        """Raise CaptureLost when the VM was started since the capture began."""
        self.daemon.require_alive()
        with libvirt_calls("domain"):
            active = self.domain.isActive()
        if active or self.started.is_set():
            raise CaptureLost(
                f"capture of {self.domain.name()}",
                "the VM was started meanwhile",
                "a VM that stays off until its images are read",
                "run again: a running VM is captured too",
            )


@contextmanager
def offline_capture(
    host: Host,
    connection: libvirt.virConnect,
    domain: libvirt.virDomain,
    plan: CapturePlan,
    definition: MachineDefinition,
) -> Generator[OfflineCapture]:
    """Serve the images of a VM that is off, read-only.

    What was shut down in order is consistent in itself, so every consistency is reached.
    """
    started = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(lifecycle(connection, domain, lambda life: _note(life, started)))
        stamps = images.stamps_of(host, [disk.disk for disk in plan.disks])
        _require_history(host, domain, plan)
        settings = _settings(plan)
        daemon = stack.enter_context(storage_daemon(host, settings))
        names = [disk.disk.name for disk in plan.disks]
        endpoints = stack.enter_context(daemon.endpoints(names))
        disks = tuple(
            _captured(disk, plan, at) for disk, at in zip(plan.disks, endpoints, strict=True)
        )
        reached = plan.consistency if _was_shut_down(domain) else Consistency.CRASH
        capture = OfflineCapture(
            host, domain, plan, stamps, daemon, started, disks, definition, reached
        )
        capture.require_alive()
        yield capture


def _require_history(host: Host, domain: libvirt.virDomain, plan: CapturePlan) -> None:
    """Raise CaptureLost when a bitmap does not tell all that changed.

    It did when the capture was planned: the VM ran then, which is another way to look.
    """
    disks = [disk.disk for disk in plan.disks if disk.way is Way.INCREMENTAL]
    if plan.since is None or not disks:
        return
    tracked = images.tracked_in_images(images.headers_of(host, disks, chains=True), plan.since)
    known = {it.disk: it.lost for checkpoint in tracked for it in checkpoint.disks}
    for disk in disks:
        if lost := known.get(disk.name, f"no bitmap {plan.since}"):
            raise CaptureLost(
                f"disk {disk.name} of {domain.name()}",
                lost,
                f"a bitmap that counted everything since {plan.since}",
                "run again: the VM was shut off meanwhile",
            )


def _note(life: Life, started: threading.Event) -> None:
    if life is Life.STARTED:
        started.set()


def _was_shut_down(domain: libvirt.virDomain) -> bool:
    """Tell whether the guest itself ended, rather than its power; unknown counts as power."""
    with libvirt_calls("domain"):
        state, reason = domain.state()
    shut_down = libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN
    return bool(state == libvirt.VIR_DOMAIN_SHUTOFF and reason == shut_down)


def _settings(plan: CapturePlan) -> DaemonSettings:
    return DaemonSettings(
        pidfile=_PIDFILE.format(name=plan.checkpoint),
        blockdevs=tuple(_node(disk) for disk in plan.disks),
        exports=tuple(_export(disk, plan.since) for disk in plan.disks),
    )


def _export(disk: DiskPlan, since: str | None) -> Export:
    bitmaps = (since,) if since and disk.way is Way.INCREMENTAL else ()
    return Export(f"disk-{disk.disk.name}", disk.disk.name, writable=False, bitmaps=bitmaps)


def _node(disk: DiskPlan) -> dict[str, object]:
    return {
        "driver": disk.disk.image_format.value,
        "node-name": f"disk-{disk.disk.name}",
        "read-only": True,
        "force-share": True,
        "file": {
            "driver": "host_device" if disk.disk.on_block_device else "file",
            "filename": disk.disk.path,
            "read-only": True,
            "force-share": True,
        },
    }


def _captured(disk: DiskPlan, plan: CapturePlan, endpoint: NbdEndpoint) -> CapturedDisk:
    incremental = disk.way is Way.INCREMENTAL
    return CapturedDisk(
        disk.disk, endpoint, f"qemu:dirty-bitmap:{plan.since}" if incremental else None
    )
