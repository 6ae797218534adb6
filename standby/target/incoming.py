"""The new point's deltas while they are written, before publication."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from standby.host.storage_daemon import DaemonSettings, Export, StorageDaemon, storage_daemon
from standby.model.digest import table_bytes
from standby.model.extent import NbdEndpoint
from standby.model.plan import CyclePlan, DiskPlan
from standby.model.point import Way, digests_beside
from standby.target import layout, programs
from standby.target.qcow2 import DIGESTS_CLUSTER, Allocation, NewImage
from standby.target.writer import Writer

# Preallocating a large disk takes as long as the file system needs for it.
_CREATE_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class IncomingDisk:
    """A disk of the new point while it is written.

    `digests` is served as a disk of its own: 16 bytes for each block of 64 KiB. Before a digest
    is written it reads as that of the newest boot point, since it stands on that one's.
    """

    plan: DiskPlan
    file: str  # the delta's name once it is published
    endpoint: NbdEndpoint
    digests: NbdEndpoint


class Incoming:
    """The deltas being written, served by a storage daemon."""

    def __init__(
        self, writer: Writer, daemon: StorageDaemon, disks: tuple[IncomingDisk, ...]
    ) -> None:
        self._writer = writer
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
        writer = self._writer
        names = (layout.incoming_name(disk.file, writer.generation) for disk in self.disks)
        paths = [writer.directory / name for name in names]
        lines = writer.host.run(("stat", "-c", "%b", "--", *paths), timeout=60.0).text.split()
        sizes = (int(blocks) * 512 for blocks in lines)  # %b counts blocks of 512 bytes
        return dict(zip((disk.plan.disk.name for disk in self.disks), sizes, strict=True))


@contextmanager
def serve_incoming(writer: Writer, plan: CyclePlan, allocation: Allocation) -> Generator[Incoming]:
    """Create the deltas and serve them for writing. Raises Overtaken."""
    planned = plan.capture.disks
    images = [i for disk in planned for i in _images(disk, allocation, writer.generation)]
    words = [word for image in images for word in image.words]
    writer.run(programs.CREATE_IMAGES, "standby-create", *words, timeout=_CREATE_S)
    names = [name for disk in planned for name in _exports(disk)]
    paths = [writer.directory / image.file for image in images]
    settings = DaemonSettings(
        pidfile=writer.directory / layout.cycle_pidfile("incoming", writer.generation),
        blockdevs=tuple(_node(name, path) for name, path in zip(names, paths, strict=True)),
        exports=tuple(Export(f"node-{name}", name, writable=True) for name in names),
    )
    with storage_daemon(writer.host, settings) as daemon, daemon.endpoints(names) as endpoints:
        reached = dict(zip(names, endpoints, strict=True))
        disks = tuple(_incoming(disk, reached) for disk in planned)
        yield Incoming(writer, daemon, disks)


def incoming_files(plan: CyclePlan) -> tuple[str, ...]:
    """Return the names, once published, of every file that a cycle writes."""
    files = (layout.delta_name(disk.disk.name, disk.number) for disk in plan.capture.disks)
    return tuple(name for file in files for name in (file, digests_beside(file)))


def _incoming(disk: DiskPlan, reached: Mapping[str, NbdEndpoint]) -> IncomingDisk:
    data, digests = _exports(disk)
    file = layout.delta_name(disk.disk.name, disk.number)
    return IncomingDisk(disk, file, reached[data], reached[digests])


def _exports(disk: DiskPlan) -> tuple[str, str]:
    return disk.disk.name, f"{disk.disk.name}.digests"


def _images(plan: DiskPlan, allocation: Allocation, generation: int) -> tuple[NewImage, NewImage]:
    file = layout.delta_name(plan.disk.name, plan.number)
    below = plan.below
    # A whole copy writes every entry, and may be there since the tables below are lost.
    whole = plan.way is Way.SEED
    return (
        NewImage(
            layout.incoming_name(file, generation),
            layout.backing_reference(below) if below else None,
            plan.disk.size,
            allocation,
        ),
        NewImage(
            layout.incoming_name(digests_beside(file), generation),
            layout.backing_reference(digests_beside(below)) if below and not whole else None,
            table_bytes(plan.disk.size),
            cluster=DIGESTS_CLUSTER,
        ),
    )


def _node(name: str, path: str) -> dict[str, object]:
    # Backing files are opened as the headers say: a write of part of a cluster needs them.
    return {
        "driver": "qcow2",
        "node-name": f"node-{name}",
        "file": {"driver": "file", "filename": path},
    }
