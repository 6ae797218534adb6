"""Images of a VM that is off: their sizes and persistent bitmaps, by qemu-img."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from standby.errors import CommandFailed
from standby.host.interface import Host
from standby.model.disk import SourceDisk
from standby.model.observation import TrackedCheckpoint, TrackedDisk

_COMMAND_S: Final = 60.0
_SUCCESS_OR_FAILURE: Final = frozenset({0, 1})


@dataclass(frozen=True, slots=True)
class Bitmap:
    """A persistent bitmap. `whole` is False when QEMU died while it was in use."""

    name: str
    whole: bool


def bitmaps_of(host: Host, disk: SourceDisk) -> tuple[Bitmap, ...]:
    """Return the persistent bitmaps of one image; none for a raw one."""
    if not disk.trackable:
        return ()
    argv = ("qemu-img", "info", "-U", "--output=json", "-f", "qcow2", "--", disk.path)
    answer = json.loads(host.run(argv, timeout=_COMMAND_S).text)
    records = answer.get("format-specific", {}).get("data", {}).get("bitmaps", [])
    return tuple(Bitmap(r["name"], "in-use" not in r["flags"]) for r in records)


def tracked_in_images(
    host: Host, disks: Sequence[SourceDisk], owner: str
) -> tuple[TrackedCheckpoint, ...]:
    """Return what the images themselves know of our checkpoints, oldest first."""
    found: dict[str, list[TrackedDisk]] = {}
    for disk in disks:
        for bitmap in bitmaps_of(host, disk):
            if bitmap.name.startswith(owner):
                lost = None if bitmap.whole else f"bitmap {bitmap.name} was in use in a crash"
                found.setdefault(bitmap.name, []).append(TrackedDisk(disk.name, lost))
    return tuple(TrackedCheckpoint(name, tuple(found[name])) for name in sorted(found))


def add_bitmap(host: Host, path: str, name: str) -> None:
    """Begin a persistent bitmap in an image that nobody has open."""
    host.run(("qemu-img", "bitmap", "--add", "-f", "qcow2", path, name), timeout=_COMMAND_S)


def remove_bitmaps(host: Host, disks: Iterable[SourceDisk], names: Sequence[str]) -> None:
    """Remove our bitmaps from images that nobody has open. An image in use keeps them."""
    for disk in disks:
        present = {bitmap.name for bitmap in bitmaps_of(host, disk)}
        for name in present.intersection(names):
            _remove(host, disk.path, name)


def _remove(host: Host, path: str, name: str) -> None:
    argv = ("qemu-img", "bitmap", "--remove", "-f", "qcow2", path, name)
    done = host.run(argv, timeout=_COMMAND_S, accept=_SUCCESS_OR_FAILURE)
    if done.status and "lock" not in done.stderr:
        raise CommandFailed(
            path, done.stderr.strip(), "a bitmap removed", argv=argv, status=done.status
        )
