"""Images of others on the KVM host that a first copy begins from.

They are read only: what is taken of them is a copy. Not a reflink and not an overlay, since a
boot point must not depend on a file that its owner may change or delete, and since raw images and
those with snapshots, bitmaps or clusters of other sizes become like all others by this.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

from standby.errors import CommandFailed, GrantAccess, StandbyError, TryLater, UseOtherImage
from standby.host.interface import Host
from standby.host.storage_daemon import (
    DaemonSettings,
    Export,
    refused_lock,
    storage_daemon,
)
from standby.model.digest import table_bytes
from standby.model.disk import ImageFormat
from standby.model.extent import NbdEndpoint
from standby.model.manifest import Manifest
from standby.model.plan import DiskPlan
from standby.model.seed import ImageFound, SeedOrigin
from standby.target import layout, programs
from standby.target.layout import StandbyDirectory
from standby.target.nodes import Access, Caching, image_node
from standby.target.qcow2 import DIGESTS_CLUSTER, Allocation, NewImage
from standby.target.writer import Writer

_LOOK_S: Final = 120.0
_COPY_S: Final = 86400.0  # one terabyte at 12 MB/s
_STATUS_ABSENT: Final = 66  # EX_NOINPUT of sysexits.h
_STATUS_DENIED: Final = 77  # EX_NOPERM
_FLATTEN: Final = "make a copy that stands alone: qemu-img convert -O qcow2 IMAGE COPY"

# Arguments: path. Prints what qemu-img says about an image, without opening what it stands on.
# Without -U: the locks of a running machine are respected.
_PROBE: Final = """
[ -f "$1" ] || [ -b "$1" ] || exit 66
[ -r "$1" ] || exit 77
qemu-img info --output=json -- "$1"
"""


def find_image(host: Host, path: str) -> ImageFound:
    """Look at an image. Raises UseOtherImage, GrantAccess; TryLater while a machine uses it."""
    subject = f"image {path} on {host.name}"
    try:
        text = host.run(("sh", "-c", _PROBE, "standby-probe", path), timeout=_LOOK_S).text
    except CommandFailed as error:
        raise _why(error, subject) from error
    found = json.loads(text)
    if found["format"] not in {it.value for it in ImageFormat}:
        raise UseOtherImage(subject, f"its format is {found['format']}", "qcow2 or raw", _FLATTEN)
    data = found.get("format-specific", {}).get("data", {})
    if "backing-filename" in found or "data-file" in data or found.get("encrypted"):
        # A raw disk of a guest can claim to be such an image, and to stand on any file.
        raise UseOtherImage(
            subject, "it needs another file, or a key", "one that stands alone", _FLATTEN
        )
    return ImageFound(
        path, ImageFormat(found["format"]), found["virtual-size"], found["actual-size"]
    )


def own_image(directory: StandbyDirectory, manifest: Manifest, file: str) -> ImageFound:
    """Describe a delta of the newest boot point as an image: all that its disk holds there."""
    deltas = manifest.newest.deltas if manifest.newest else ()
    delta = next((it for it in deltas if it.file == file), None)
    if delta is None:
        raise UseOtherImage(f"image {file}", "of no boot point", "a disk of the newest boot point")
    chain = (it for point in manifest.points if (it := point.delta_of(delta.disk)))
    stored = min(sum(it.stored for it in chain), delta.size)
    return ImageFound(directory / file, ImageFormat.QCOW2, delta.size, stored)


@contextmanager
def copied_image(
    writer: Writer, plan: DiskPlan, image: ImageFound, allocation: Allocation
) -> Generator[tuple[NbdEndpoint, NbdEndpoint]]:
    """Copy an image into incoming/; yield where the copy is read and its table written.

    When the context is left without an error, both are the files of an unfinished first copy.
    Raises Overtaken, and what `find_image` raises.
    """
    seed = layout.SeedFile(
        writer.generation, SeedOrigin.IMAGE, plan.disk.size, plan.disk.name, plan.number
    )
    made = tuple(f"{name}.new" for name in (seed.image, seed.digests))
    try:
        _copy(writer, plan, image, allocation, made)
        with _served(writer, plan.disk.name, made) as endpoints:
            yield endpoints
        pairs = zip(made, (seed.image, seed.digests), strict=True)
        words = [word for pair in pairs for word in pair]
        writer.run(programs.NAME_SEEDS, "standby-seeds", *words, timeout=_COPY_S)
    except BaseException:
        with suppress(StandbyError):  # the next cycle removes it as debris
            writer.drop(made)
        raise


def _copy(
    writer: Writer,
    plan: DiskPlan,
    image: ImageFound,
    allocation: Allocation,
    made: tuple[str, ...],
) -> None:
    copy = NewImage(made[0], None, plan.disk.size, allocation)
    table = NewImage(made[1], None, table_bytes(plan.disk.size), cluster=DIGESTS_CLUSTER)
    file, _, options, size = copy.words
    words = (image.path, image.image_format.value, file, options, size)
    try:
        writer.run(programs.COPY_IMAGE, "standby-copy", *words, timeout=_COPY_S)
    except CommandFailed as error:
        raise _why(error, f"image {image.path} on {writer.host.name}") from error
    writer.run(programs.CREATE_IMAGES, "standby-create", *table.words, timeout=_LOOK_S)


@contextmanager
def _served(
    writer: Writer, disk: str, made: tuple[str, ...]
) -> Generator[tuple[NbdEndpoint, NbdEndpoint]]:
    names = (disk, f"{disk}.digests")
    image, table = (writer.directory / file for file in made)
    nodes = (
        image_node(f"node-{names[0]}", image, Access.READ, Caching.NONE),
        image_node(f"node-{names[1]}", table),
    )
    settings = DaemonSettings(
        pidfile=writer.directory / layout.cycle_pidfile("image", writer.generation),
        blockdevs=nodes,
        exports=tuple(Export(f"node-{name}", name, writable=name != disk) for name in names),
    )
    with (
        storage_daemon(writer.host, settings) as daemon,
        daemon.endpoints(names) as (read, digests),
    ):
        yield read, digests


def _why(error: CommandFailed, subject: str) -> StandbyError:
    if error.status == _STATUS_ABSENT:
        return UseOtherImage(subject, "no such file", "a disk image", "mend target.seed_from")
    if error.status == _STATUS_DENIED:
        return GrantAccess(subject, "cannot be read", "an image that our login may read")
    if refused_lock(error):
        return TryLater(
            subject, "a machine has it open", "an image that nobody writes to", "shut that down"
        )
    return UseOtherImage(subject, f"cannot be read: {error.stderr.strip()}", "qcow2 or raw")
