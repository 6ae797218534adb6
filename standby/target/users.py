"""Who stands on which file of a store. Pure: from the headers of its images."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import User
from standby.target import layout
from standby.target.qcow2 import HEADER_BYTES, parse_header

_END = b"\0\0"
_ENTRY = re.compile(rb"(\d+) (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Images:
    """Every image of a store and what it stands on; paths relative to the store.

    `sizes` are virtual, in bytes, of those that are qcow2.
    """

    stands_on: Mapping[str, str | None]
    sizes: Mapping[str, int] = field(default_factory=dict)

    def on(self, file: str) -> tuple[str, ...]:
        """Return the images that stand directly on `file`."""
        return tuple(sorted(image for image, base in self.stands_on.items() if base == file))


def parse_images(printed: bytes, directory: str) -> Images | None:
    """Parse what programs.READ_HEADERS printed of a store in `directory`.

    None when a file came, went or changed its length while it was read. Raises RepairStore for
    a damaged header.
    """
    found: dict[str, str | None] = {}
    sizes: dict[str, int] = {}
    rest = printed
    while rest:
        block = _block(rest)
        if block is None:
            return None
        starts, rest = block
        for image, start in starts.items():
            header = parse_header(start, image)
            backing = header.backing if header else None
            found[image] = _resolved(image, backing, directory) if backing else None
            if header:
                sizes[image] = header.size
    return Images(found, sizes)


def _block(printed: bytes) -> tuple[Mapping[str, bytes], bytes] | None:
    """Read what one run of the inner program printed; return the files' starts, and the rest."""
    before, _, rest = printed.partition(_END)
    files = _lengths(before)
    content = rest[: sum((files or {}).values())]
    after, _, rest = rest[len(content) :].partition(_END)
    if files is None or files != _lengths(after):
        return None
    places = itertools.accumulate(files.values(), initial=0)
    starts = {
        name: content[place : place + length]
        for (name, length), place in zip(files.items(), places, strict=False)
    }
    return starts, rest


def _lengths(listed: bytes) -> dict[str, int] | None:
    """Return how much of each file was printed; None when this is no list."""
    entries = [_ENTRY.fullmatch(entry) for entry in listed.split(b"\0")]
    if not all(entries):
        return None
    return {_name(entry[2]): min(int(entry[1]), HEADER_BYTES) for entry in entries if entry}


def _name(printed: bytes) -> str:
    """Return a path as programs.OBSERVE prints it."""
    name = printed.removeprefix(b"./").replace(b"\n", b"\1")
    return name.decode("utf-8", "surrogateescape")


def unexpected_users(images: Images, manifest: Manifest, head: str) -> tuple[User, ...]:
    """Return the images that stand on boot points, besides the chain and the head `head`."""
    return tuple(_unexpected(images, manifest, head))


def point_of_file(manifest: Manifest, file: str) -> PointName | None:
    """Return the point that a delta file belongs to."""
    return next((p.name for p in manifest.points if any(d.file == file for d in p.deltas)), None)


def _unexpected(images: Images, manifest: Manifest, head: str) -> Iterator[User]:
    ours = manifest.files()
    for image, base in sorted(images.stands_on.items()):
        if image in ours or base is None or (head and posixpath.dirname(image) == head):
            continue
        if layout.is_head(posixpath.dirname(image)):
            continue  # a head that was replaced; whether somebody runs or ran it is asked of QEMU
        if image.startswith(f"{layout.DELTAS}/") and layout.delta_number(image):
            continue  # debris of an interrupted cycle or merge; the next cycle drops it
        yield User(image, point_of_file(manifest, base))


def _resolved(image: str, backing: str, directory: str) -> str:
    """Return what an image stands on, relative to the store where it lies in it."""
    below = posixpath.normpath(posixpath.join(directory, posixpath.dirname(image), backing))
    return below.removeprefix(f"{posixpath.normpath(directory)}/")
