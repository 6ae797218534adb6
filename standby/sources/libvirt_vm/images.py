"""Images of a VM that is off: their sizes and persistent bitmaps, by qemu-img."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from standby.errors import CommandFailed
from standby.host.interface import Host
from standby.model.disk import ImageFormat, SourceDisk
from standby.model.observation import TrackedCheckpoint, TrackedDisk
from standby.sources.libvirt_vm import programs

_COMMAND_S: Final = 60.0
_TOO_OLD: Final = "0.10"  # as qemu-img names the version of qcow2 that has no bitmaps
_SUCCESS_OR_FAILURE: Final = frozenset({0, 1})


@dataclass(frozen=True, slots=True)
class Bitmap:
    """A persistent bitmap. `whole` is False when it may have missed writes."""

    name: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """An image that another stands on, and the bitmaps in it."""

    path: str
    bitmaps: tuple[Bitmap, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a qcow2 image tells of itself. `inode`: of its file, which keeps it when renamed.

    `below` are the images that it stands on, the nearest first, if they were looked into.
    """

    keeps_bitmaps: bool
    inode: int
    bitmaps: tuple[Bitmap, ...]
    below: tuple[Layer, ...] = ()

    def why_lost(self, bitmap: Bitmap) -> str | None:
        """Say why one of its bitmaps does not tell all that changed; None when it does.

        A snapshot of a running VM goes on with a bitmap of the same name in the new image, and
        what changed before stays counted in the old one. libvirt adds them up for a VM that runs.
        """
        if not bitmap.whole:
            return f"bitmap {bitmap.name} missed writes"
        if any(bitmap.name == other.name for layer in self.below for other in layer.bitmaps):
            return f"bitmap {bitmap.name} goes through a snapshot: only a running VM adds it up"
        return None


Headers = Mapping[str, Header]  # by the names of disks; none of raw ones


def headers_of(host: Host, disks: Iterable[SourceDisk], *, chains: bool) -> Headers:
    """Look into images, which may be in use; with `chains` also into those that they stand on."""
    qcow2 = [disk for disk in disks if disk.image_format is ImageFormat.QCOW2]
    if not qcow2:
        return {}
    option = "--backing-chain" if chains else ""
    paths = (disk.path for disk in qcow2)
    argv = ("sh", "-c", programs.READ_IMAGES, "standby-images", option, *paths)
    answers = _documents(host.run(argv, timeout=_COMMAND_S).text)
    return {disk.name: _header(next(answers), next(answers)) for disk in qcow2}


def with_versions(disks: Iterable[SourceDisk], headers: Headers) -> tuple[SourceDisk, ...]:
    """Return the disks, knowing which images they are, and which are too old to keep bitmaps."""
    known = tuple(_known(disk, headers.get(disk.name)) for disk in disks)
    images = Counter(disk.image for disk in known)
    return tuple(_told_apart(disk) if images[disk.image] > 1 else disk for disk in known)


def _known(disk: SourceDisk, header: Header | None) -> SourceDisk:
    if header is None:
        # A raw image has no bitmaps to be mistaken about: its path tells which disk it was.
        return replace(disk, image=disk.path)
    # A file keeps its inode when it is renamed; that of a device is made anew at each boot.
    image = disk.path if disk.on_block_device else f"inode {header.inode}"
    return replace(disk, keeps_bitmaps=header.keeps_bitmaps, image=image)


def _told_apart(disk: SourceDisk) -> SourceDisk:
    """Return a disk whose image's inode is that of another's too, on another file system."""
    return replace(disk, image=f"{disk.image}, {disk.path}") if disk.image else disk


def tracked_in_images(headers: Headers, owner: str) -> tuple[TrackedCheckpoint, ...]:
    """Return what the images themselves know of our checkpoints, oldest first.

    While the VM runs, every bitmap that was there at its start counts as in use and what was
    begun since then is not in the images yet: then only the names are of use.
    """
    found: dict[str, list[TrackedDisk]] = {}
    for disk, header in headers.items():
        for bitmap in header.bitmaps:
            if bitmap.name.startswith(owner):
                tracked = TrackedDisk(disk, header.why_lost(bitmap))
                found.setdefault(bitmap.name, []).append(tracked)
    return tuple(TrackedCheckpoint(name, tuple(found[name])) for name in sorted(found))


def stamps_of(host: Host, disks: Sequence[SourceDisk]) -> tuple[str, ...]:
    """Return of each disk what changes when anybody writes to its image file."""
    argv = ("sh", "-c", programs.STAMP_IMAGES, "standby-stamps", *(disk.path for disk in disks))
    return tuple(host.run(argv, timeout=_COMMAND_S).text.splitlines())


def begin_bitmaps(
    host: Host, disks: Sequence[SourceDisk], stamps: Sequence[str], name: str
) -> None:
    """Begin a persistent bitmap in every image that can keep one; nobody may have them open.

    Raises CommandFailed, with the status programs.WRITTEN when an image was written to since its
    stamp was taken.
    """
    kept = ("yes" if disk.trackable else "no" for disk in disks)
    triples = zip((disk.path for disk in disks), stamps, kept, strict=True)
    words = (word for triple in triples for word in triple)
    argv = ("sh", "-c", programs.BEGIN_BITMAPS, "standby-bitmaps", name, *words)
    host.run(argv, timeout=_COMMAND_S)


def remove_bitmaps(host: Host, disks: Sequence[SourceDisk], names: Sequence[str]) -> None:
    """Remove our bitmaps from images that nobody has open, and from those that they stand on.

    An image in use keeps them.
    """
    paths = {disk.name: disk.path for disk in disks}
    for disk, header in headers_of(host, disks, chains=True).items():
        for layer in (Layer(paths[disk], header.bitmaps), *header.below):
            for name in {bitmap.name for bitmap in layer.bitmaps}.intersection(names):
                _remove(host, layer.path, name)


def _documents(text: str) -> Iterator[Any]:
    """Read JSON documents that follow each other."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        yield document


def _header(file: Mapping[str, Any], info: Any) -> Header:  # noqa: ANN401 - qemu-img's JSON
    top, *below = info if isinstance(info, list) else [info]
    return Header(
        _specific(top).get("compat") != _TOO_OLD,
        int(file["inode"]),
        _bitmaps(top),
        tuple(Layer(info["filename"], _bitmaps(info)) for info in below),
    )


def _specific(info: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = info.get("format-specific", {}).get("data", {})
    return found


def _bitmaps(info: Mapping[str, Any]) -> tuple[Bitmap, ...]:
    found = _specific(info).get("bitmaps", [])
    return tuple(Bitmap(it["name"], _counts(it["flags"])) for it in found)


def _counts(flags: Sequence[str]) -> bool:
    """Tell whether a bitmap counted every write up to now, and will go on to."""
    return "in-use" not in flags and "auto" in flags


def _remove(host: Host, path: str, name: str) -> None:
    argv = ("qemu-img", "bitmap", "--remove", "-f", "qcow2", path, name)
    done = host.run(argv, timeout=_COMMAND_S, accept=_SUCCESS_OR_FAILURE)
    if done.status and "lock" not in done.stderr:
        raise CommandFailed(
            path, done.stderr.strip(), "a bitmap removed", argv=argv, status=done.status
        )
