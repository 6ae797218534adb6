"""The new point's deltas while they are written, before publication."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from standby.host.interface import Host
from standby.host.storage_daemon import DaemonSettings, Export, StorageDaemon, storage_daemon
from standby.model.extent import NbdEndpoint
from standby.model.plan import CyclePlan, DiskPlan
from standby.target import layout, programs
from standby.target.layout import StandbyDirectory
from standby.target.qcow2 import Allocation, NewImage

# Preallocating a large disk takes as long as the file system needs for it.
_CREATE_S: Final = 1800.0
PIDFILE: Final = f"{layout.RUN}/cycle-incoming.pid"


@dataclass(frozen=True, slots=True)
class IncomingDisk:
    """A disk of the new point while it is written."""

    plan: DiskPlan
    file: str  # the delta's name once it is published
    endpoint: NbdEndpoint


class Incoming:
    """The deltas being written, served by a storage daemon."""

    def __init__(
        self,
        host: Host,
        directory: StandbyDirectory,
        daemon: StorageDaemon,
        disks: tuple[IncomingDisk, ...],
    ) -> None:
        self._host = host
        self._directory = directory
        self._daemon = daemon
        self.disks = disks

    def require_alive(self) -> None:
        """Raise TransferFailed, with its last words, when the storage daemon is gone."""
        self._daemon.require_alive()

    def close(self) -> None:
        """End the storage daemon; afterwards the files are complete, though not yet published."""
        self._daemon.close()

    def stored(self) -> dict[str, int]:
        """Return the allocated bytes of each disk's delta."""
        paths = [self._directory / layout.incoming_name(disk.file) for disk in self.disks]
        lines = self._host.run(("stat", "-c", "%b", "--", *paths), timeout=60.0).text.split()
        sizes = (int(blocks) * 512 for blocks in lines)  # %b counts blocks of 512 bytes
        return dict(zip((disk.plan.disk.name for disk in self.disks), sizes, strict=True))


@contextmanager
def serve_incoming(
    host: Host, directory: StandbyDirectory, plan: CyclePlan, allocation: Allocation
) -> Generator[Incoming]:
    """Create the deltas and serve them for writing."""
    disks = plan.capture.disks
    images = [_image(disk, allocation) for disk in disks]
    words = [word for image in images for word in image.words]
    create = ("sh", "-c", programs.CREATE_IMAGES, "standby-create", directory.path, *words)
    host.run(create, timeout=_CREATE_S)
    names = [disk.disk.name for disk in disks]
    settings = DaemonSettings(
        pidfile=directory / PIDFILE,
        blockdevs=tuple(
            _node(name, directory / image.file) for name, image in zip(names, images, strict=True)
        ),
        exports=tuple(Export(f"disk-{name}", name, writable=True) for name in names),
    )
    with storage_daemon(host, settings) as daemon, daemon.endpoints(names) as endpoints:
        incoming = tuple(
            IncomingDisk(disk, layout.delta_name(disk.disk.name, disk.number), endpoint)
            for disk, endpoint in zip(disks, endpoints, strict=True)
        )
        yield Incoming(host, directory, daemon, incoming)


def _image(plan: DiskPlan, allocation: Allocation) -> NewImage:
    file = layout.incoming_name(layout.delta_name(plan.disk.name, plan.number))
    if plan.below is None:
        return NewImage(file, None, plan.disk.size, allocation)
    return NewImage(file, layout.backing_reference(plan.below), plan.disk.size)


def _node(name: str, path: str) -> dict[str, object]:
    # Backing files are opened as the headers say: a write of part of a cluster needs them.
    return {
        "driver": "qcow2",
        "node-name": f"disk-{name}",
        "file": {"driver": "file", "filename": path},
    }
