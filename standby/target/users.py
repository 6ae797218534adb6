"""Who stands on which file of a store. Pure: from the headers of its images."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import User
from standby.target import layout
from standby.target.qcow2 import parse_header


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


def parse_images(text: str, directory: str) -> Images:
    """Parse what programs.READ_HEADERS printed of a store in `directory`.

    Raises RepairStore for a damaged header.
    """
    found: dict[str, str | None] = {}
    sizes: dict[str, int] = {}
    for line in filter(None, text.split("\n")):
        image, _, encoded = line.rpartition(" ")
        header = parse_header(base64.b64decode(encoded), image)
        backing = header.backing if header else None
        found[image] = _resolved(image, backing, directory) if backing else None
        if header:
            sizes[image] = header.size
    return Images(found, sizes)


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
        if image.startswith(f"{layout.HEADS}/"):
            continue  # a head that was replaced; the next cycle drops it
        if image.startswith(f"{layout.DELTAS}/") and layout.delta_number(image):
            continue  # debris of an interrupted cycle or merge; the next cycle drops it
        yield User(image, point_of_file(manifest, base))


def _resolved(image: str, backing: str, directory: str) -> str:
    """Return what an image stands on, relative to the store where it lies in it."""
    below = posixpath.normpath(posixpath.join(directory, posixpath.dirname(image), backing))
    return below.removeprefix(f"{posixpath.normpath(directory)}/")
