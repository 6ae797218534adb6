"""Where the old content goes that a running guest overwrites during a capture."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Final

from standby.errors import CommandFailed, FreeSpace, RepairSource
from standby.host.interface import Host
from standby.model.amount import readable
from standby.model.disk import DiskStorage, SourceDisk
from standby.model.observation import ScratchSpace
from standby.sources.libvirt_vm import programs
from standby.sources.libvirt_vm.settings import SourceSettings

_LOOK_S: Final = 30.0
# Besides the reserve: room for the first moments, before the guard's first look.
_HEADROOM: Final = 64 << 20


def scratch_spaces(
    host: Host, disks: Sequence[SourceDisk], settings: SourceSettings
) -> tuple[ScratchSpace, ...]:
    """Return the directories that scratch files would go to, with their free bytes."""
    places = scratch_places(disks, settings)
    if not places:
        return ()
    argv = ("sh", "-c", programs.FREE_SPACE, "standby-df", *places)
    try:
        text = host.run(argv, timeout=_LOOK_S).text
    except CommandFailed as error:
        raise no_directory(host, error) from error
    return spaces_in(places, text.splitlines(), settings)


Places = Mapping[str, Sequence[str]]  # directories of scratch files: the names of their disks


def scratch_places(disks: Sequence[SourceDisk], settings: SourceSettings) -> Places:
    """Return where scratch files go. Raises RepairSource for a bare block device."""
    places: dict[str, list[str]] = {}
    for disk in disks:
        places.setdefault(scratch_directory(disk, settings), []).append(disk.name)
    return places


def spaces_in(
    places: Places, lines: Sequence[str], settings: SourceSettings
) -> tuple[ScratchSpace, ...]:
    """Read what programs.FREE_SPACE printed of these places."""
    return tuple(
        _space(directory, names, line, settings)
        for (directory, names), line in zip(places.items(), lines, strict=True)
    )


def no_directory(host: Host, error: CommandFailed) -> RepairSource:
    """Return the error of a scratch directory that is not there."""
    return RepairSource(
        f"scratch directory on {host.name}",
        error.stderr or error.found,
        "a directory",
        "make it, or name another: source.scratch.directory",
    )


def _space(
    directory: str, names: Sequence[str], line: str, settings: SourceSettings
) -> ScratchSpace:
    available, total = (int(word) for word in line.split())
    reserve = settings.scratch_reserve.of(total)
    return ScratchSpace(directory, tuple(names), available, reserve)


def possible_directories(disks: Sequence[SourceDisk], settings: SourceSettings) -> frozenset[str]:
    """Return the directories in which captures of these disks may have left scratch files."""
    if settings.scratch_directory is not None:
        return frozenset({settings.scratch_directory})
    return frozenset(posixpath.dirname(disk.path) for disk in disks if not disk.on_block_device)


def scratch_directory(disk: SourceDisk, settings: SourceSettings) -> str:
    """Return where one disk's scratch file goes. Raises RepairSource for a bare block device."""
    if settings.scratch_directory is not None:
        return settings.scratch_directory
    if disk.storage is DiskStorage.BLOCK:
        raise RepairSource(
            f"disk {disk.name}",
            f"{disk.path} is a block device: there is no directory beside it",
            "a directory for its scratch file",
            "name one in the profile: source.scratch.directory",
        )
    return posixpath.dirname(disk.path)


def scratch_file(disk: SourceDisk, settings: SourceSettings, capture: str) -> str:
    """Name one disk's scratch file after its capture: it has to be new."""
    return f"{scratch_directory(disk, settings)}/.{capture}-{disk.name}.scratch"


def require_room(spaces: Sequence[ScratchSpace]) -> None:
    """Raise FreeSpace when a capture would have to be given up at once."""
    for space in spaces:
        needed = space.reserve + _HEADROOM
        if space.available < needed:
            raise FreeSpace(
                f"scratch directory {space.directory}",
                f"{readable(space.available)} free",
                f"{readable(needed)}: the reserve and room to begin",
                "free some, or change source.scratch: its directory, or its reserve",
                needed_bytes=needed,
                available_bytes=space.available,
            )
