"""Mending a published delta in place, in two steps, either of which may be killed at any moment.

What is healthy is gathered first in a patch, an image of its own among the incoming ones, from
wherever it can be had; meanwhile the delta is open to nobody but readers. Then the patch is
written over the damage. That takes moments, and a block that was half written is still damaged.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from standby.errors import CommandFailed, TryLater
from standby.host.interface import Host
from standby.host.storage_daemon import DaemonSettings, Export, refused_lock, storage_daemon
from standby.model.digest import table_bytes
from standby.model.extent import NbdEndpoint
from standby.model.point import Delta
from standby.target import layout, programs
from standby.target.layout import StandbyDirectory
from standby.target.nodes import Access, image_node
from standby.target.qcow2 import DIGESTS_CLUSTER, NewImage
from standby.target.writer import Writer

_CREATE_S: Final = 120.0
_IMAGE: Final = "image"
_DIGESTS: Final = "digests"
_PATCH: Final = "patch"


@dataclass(frozen=True, slots=True)
class Patching:
    """Where the patch is written to, and the digests of the delta that it is for."""

    patch: NbdEndpoint
    digests: NbdEndpoint


@dataclass(frozen=True, slots=True)
class Applying:
    """Where the delta is written to, what it has to be, and the patch."""

    image: NbdEndpoint
    digests: NbdEndpoint
    patch: NbdEndpoint


@dataclass(frozen=True, slots=True)
class DeltaMending:
    """The mending of one delta. Made by `mending`."""

    writer: Writer
    delta: Delta
    patch: str  # relative to the standby's directory

    @contextmanager
    def gathering(self) -> Generator[Patching]:
        """Serve the patch for writing. Raises TryLater while a merge is at work."""
        nodes = (
            self.node(_PATCH, self.patch),
            self.node(_DIGESTS, self.delta.digests, Access.READ),
        )
        with self.served(nodes, writable=_PATCH) as reached:
            yield Patching(reached[_PATCH], reached[_DIGESTS])

    @contextmanager
    def applying(self) -> Generator[Applying]:
        """Serve the delta for writing. Raises TryLater while anybody has it open."""
        nodes = (
            self.node(_IMAGE, self.delta.file),
            self.node(_DIGESTS, self.delta.digests, Access.READ),
            self.node(_PATCH, self.patch, Access.READ),
        )
        with self.served(nodes, writable=_IMAGE) as reached:
            yield Applying(reached[_IMAGE], reached[_DIGESTS], reached[_PATCH])

    @contextmanager
    def served(
        self, nodes: tuple[Mapping[str, object], ...], writable: str
    ) -> Generator[Mapping[str, NbdEndpoint]]:
        """Serve these nodes, one of them for writing. Raises TryLater where one is in use."""
        writer = self.writer
        names = [str(node["node-name"]) for node in nodes]
        settings = DaemonSettings(
            pidfile=writer.directory / layout.cycle_pidfile("mending", writer.generation),
            blockdevs=nodes,
            exports=tuple(Export(name, name, writable=name == writable) for name in names),
        )
        try:
            with storage_daemon(writer.host, settings) as daemon, daemon.endpoints(names) as ends:
                yield dict(zip(names, ends, strict=True))
        except CommandFailed as error:
            if refused_lock(error):
                raise _in_use(self.delta) from error
            raise

    def node(self, name: str, file: str, access: Access = Access.WRITE) -> Mapping[str, object]:
        """Describe an image; those that it stands on are found by its header, read-only."""
        return image_node(name, self.writer.directory / file, access)


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """A delta's image, and the table that is made of it."""

    image: NbdEndpoint
    digests: NbdEndpoint


@contextmanager
def rebuilding(writer: Writer, delta: Delta) -> Generator[Rebuilding]:
    """Serve a delta with a new, empty table, which takes the old one's place on a good end.

    It stands on nothing, so that it can be made whatever is wrong with those below. Raises
    Overtaken, TryLater while a merge is at work.
    """
    file = layout.incoming_name(delta.digests, writer.generation)
    table = NewImage(file, None, table_bytes(delta.size), cluster=DIGESTS_CLUSTER)
    writer.run(programs.CREATE_IMAGES, "standby-create", *table.words, timeout=_CREATE_S)
    work = DeltaMending(writer, delta, file)
    try:
        nodes = (work.node(_IMAGE, delta.file, Access.READ), work.node(_DIGESTS, file))
        with work.served(nodes, writable=_DIGESTS) as reached:
            yield Rebuilding(reached[_IMAGE], reached[_DIGESTS])
        moved = (file, delta.digests)
        writer.run(programs.REPLACE, "standby-replace", *moved, timeout=_CREATE_S)
    except BaseException:
        writer.drop([file])
        raise


@contextmanager
def mending(writer: Writer, delta: Delta) -> Generator[DeltaMending]:
    """Make the patch of a delta, and remove it when the context is left. Raises Overtaken."""
    patch = layout.incoming_name(f"{delta.file}.patch", writer.generation)
    image = NewImage(patch, None, delta.size)
    writer.run(programs.CREATE_IMAGES, "standby-create", *image.words, timeout=_CREATE_S)
    try:
        yield DeltaMending(writer, delta, patch)
    finally:
        writer.drop([patch])


@contextmanager
def serve_image(
    host: Host, directory: StandbyDirectory, path: str, disk: str, generation: int
) -> Generator[NbdEndpoint]:
    """Serve any image of the KVM host read-only: qcow2 if it is named so, raw otherwise.

    The name decides since content can lie: what a guest wrote must not choose what is opened.
    """
    kind = "qcow2" if path.endswith(".qcow2") else "raw"
    node = {
        "driver": kind,
        "node-name": disk,
        "read-only": True,
        "file": {"driver": "file", "filename": path, "read-only": True},
    }
    pidfile = directory / layout.cycle_pidfile("from", generation)
    settings = DaemonSettings(pidfile, (node,), (Export(disk, disk, writable=False),))
    with storage_daemon(host, settings) as daemon, daemon.endpoint(disk) as endpoint:
        yield endpoint


def _in_use(delta: Delta) -> TryLater:
    return TryLater(
        delta.file,
        "in use: a standby that runs, a mount or a merge stands on it",
        "a file that nobody has open",
        "mend it when that has ended",
    )
