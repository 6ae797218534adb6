"""Damage to a standby's store: what a lying storage would do to it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from support import Protection, run

BLOCK = 64 << 10
DIGEST = 16


def flip(protection: Protection, file: str, offset: int, mask: int = 1) -> None:
    """Flip a bit of what an image of the store itself holds at `offset`."""
    image = protection.store / file
    place = _place_of(image, offset)
    with image.open("r+b") as raw:
        raw.seek(place)
        (byte,) = raw.read(1)
        raw.seek(place)
        raw.write(bytes([byte ^ mask]))


def make_unreadable(protection: Protection, file: str, block: int) -> None:
    """Let an image's own metadata lead nowhere for a block: QEMU answers with EIO."""
    with (protection.store / file).open("r+b") as image:
        image.seek(40)  # l1_table_offset, of the qcow2 specification
        (table,) = struct.unpack(">Q", image.read(8))
        image.seek(table)
        (entry,) = struct.unpack(">Q", image.read(8))
        place = (entry & 0x00FFFFFFFFFFFE00) + 8 * block
        image.seek(place)
        (cluster,) = struct.unpack(">Q", image.read(8))
        image.seek(place)
        image.write(struct.pack(">Q", cluster + 512))


def flip_digest(protection: Protection, point: int, block: int) -> None:
    """Flip a bit of the digest of a block, as the first disk's table of a point has it."""
    (delta, *_) = protection.manifest.points[point].deltas
    flip(protection, delta.digests, block * DIGEST)


def file_of(protection: Protection, point: int, disk: str = "vda") -> str:
    """Return a disk's file of the point with this place in the chain."""
    delta = protection.manifest.points[point].delta_of(disk)
    assert delta is not None
    return delta.file


def _place_of(image: Path, offset: int) -> int:
    argv = ("qemu-img", "map", "-U", "-f", "qcow2", "--output=json", str(image))
    for extent in json.loads(run(*argv)):
        if extent["start"] <= offset < extent["start"] + extent["length"]:
            assert extent["depth"] == 0, "another file holds it"
            return int(extent["offset"]) + offset - int(extent["start"])
    raise AssertionError(offset)
