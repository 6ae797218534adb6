"""The new point's deltas while they are written, before publication."""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from standby.errors import TransferFailed
from standby.host.storage_daemon import DaemonSettings, Export, StorageDaemon, storage_daemon
from standby.model.digest import table_bytes
from standby.model.extent import NbdEndpoint
from standby.model.plan import CyclePlan, DiskPlan
from standby.model.point import Way, digests_beside
from standby.target import layout, programs
from standby.target.nodes import Caching, image_node
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
        files = (files_of(disk.plan, writer.generation) for disk in self.disks)
        paths = [writer.directory / file.image for file in files]
        lines = writer.host.run(("stat", "-c", "%b", "--", *paths), timeout=60.0).text.split()
        sizes = (int(blocks) * 512 for blocks in lines)  # %b counts blocks of 512 bytes
        return dict(zip((disk.plan.disk.name for disk in self.disks), sizes, strict=True))


@contextmanager
def serve_incoming(writer: Writer, plan: CyclePlan, allocation: Allocation) -> Generator[Incoming]:
    """Create the deltas and serve them for writing. Raises Overtaken."""
    planned = plan.capture.disks
    _make(writer, planned, allocation)
    names = [name for disk in planned for name in _exports(disk)]
    settings = DaemonSettings(
        pidfile=writer.directory / layout.cycle_pidfile("incoming", writer.generation),
        blockdevs=tuple(node for disk in planned for node in _nodes(writer, disk)),
        exports=tuple(Export(f"node-{name}", name, writable=True) for name in names),
    )
    with storage_daemon(writer.host, settings) as daemon, daemon.endpoints(names) as endpoints:
        reached = dict(zip(names, endpoints, strict=True))
        disks = tuple(_incoming(disk, reached) for disk in planned)
        yield Incoming(writer, daemon, disks)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one disk that a cycle writes, by their names before publication."""

    image: str
    digests: str
    published: str  # the image's name then

    @property
    def moves(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """What publication moves where."""
        return (self.image, self.published), (self.digests, digests_beside(self.published))


def files_of(disk: DiskPlan, generation: int) -> Files:
    """Name the files of a disk while they are written.

    Those of a first copy or a resync have names by which a later cycle can go on with them.
    """
    published = layout.delta_name(disk.disk.name, disk.number)
    origin = disk.kept_as
    if origin is None:
        return _unnamed(disk, generation)
    below = layout.delta_number(disk.below) if disk.below else 0
    seed = layout.SeedFile(generation, origin, disk.disk.size, disk.disk.name, disk.number, below)
    return Files(seed.image, seed.digests, published)


def useless_files(plan: CyclePlan, generation: int, error: BaseException) -> tuple[str, ...]:
    """Return what a cycle that failed with `error` must not leave behind.

    Some copies go on later; but one that filled the storage stands in the way of all others.
    """
    disks = plan.capture.disks
    files = [_unnamed(disk, generation) for disk in disks]
    if isinstance(error, TransferFailed) and error.errno == errno.ENOSPC:
        files += [files_of(disk, generation) for disk in disks]
    return tuple(name for file in files for name in (file.image, file.digests))


def _unnamed(disk: DiskPlan, generation: int) -> Files:
    file = layout.delta_name(disk.disk.name, disk.number)
    image = layout.incoming_name(file, generation)
    return Files(image, layout.incoming_name(digests_beside(file), generation), file)


def _make(writer: Writer, disks: Sequence[DiskPlan], allocation: Allocation) -> None:
    """Make new images, and take over those of copies that go on."""
    new = [disk for disk in disks if disk.continues is None]
    images = [image for disk in new for image in _images(disk, allocation, writer.generation)]
    words = [word for image in images for word in image.words]
    if words:
        writer.run(programs.CREATE_IMAGES, "standby-create", *words, timeout=_CREATE_S)
    moves = [move for disk in disks for move in _to_seed_names(disk, writer.generation)]
    if moves:
        words = [word for move in moves for word in move]
        writer.run(programs.NAME_SEEDS, "standby-seeds", *words, timeout=_CREATE_S)


def _to_seed_names(disk: DiskPlan, generation: int) -> tuple[tuple[str, str], ...]:
    if disk.kept_as is None:
        return ()
    made, named = _unnamed(disk, generation), files_of(disk, generation)
    before = disk.continues.files if disk.continues else (made.image, made.digests)
    return tuple(zip(before, (named.image, named.digests), strict=True))


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


def _nodes(writer: Writer, disk: DiskPlan) -> Iterator[Mapping[str, object]]:
    """Describe a disk and its digests, which are written in small pieces."""
    (data, digests), files = _exports(disk), files_of(disk, writer.generation)
    yield image_node(f"node-{data}", writer.directory / files.image, caching=Caching.NONE)
    yield image_node(f"node-{digests}", writer.directory / files.digests)
