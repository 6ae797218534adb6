"""Whether the tables of digests themselves can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from standby.host.interface import Host
from standby.target import programs
from standby.target.layout import StandbyDirectory
from standby.target.users import Images, parse_images

_CHECK_S: Final = 1800.0


def broken_tables(
    host: Host, directory: StandbyDirectory, files: Sequence[str]
) -> Mapping[str, str]:
    """Return which of these tables are no whole qcow2 images, and what is wrong with each.

    Each is looked at alone, whatever it stands on. Wrong digests in a whole table are not found
    here: they show as damaged blocks.
    """
    argv = ("bash", "-c", programs.CHECK_TABLES, "standby-tables", directory.path, *files)
    lines = host.run(argv, timeout=_CHECK_S).text.splitlines()
    return {file: what for file, _, what in (line.partition(" ") for line in lines)}


def images_of(host: Host, directory: StandbyDirectory) -> Images:
    """Return what every image of a standby stands on, tables among them. Raises RepairStore."""
    argv = ("sh", "-c", programs.READ_HEADERS, "standby-headers", directory.path)
    return parse_images(host.run(argv, timeout=_CHECK_S).text, directory.path)
