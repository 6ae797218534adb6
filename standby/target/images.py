"""Whether images themselves can be read: tables of digests, and deltas before they are mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from standby.host.interface import Host
from standby.target import programs
from standby.target.layout import StandbyDirectory

_CHECK_S: Final = 1800.0


def broken_images(
    host: Host, directory: StandbyDirectory, files: Sequence[str]
) -> Mapping[str, str]:
    """Return which of these files are no whole qcow2 images, and what is wrong with each.

    Each is looked at alone, whatever it stands on. Wrong content is not found here: it
    shows as damaged blocks.
    """
    argv = ("bash", "-c", programs.CHECK_IMAGES, "standby-images", directory.path, *files)
    lines = host.run(argv, timeout=_CHECK_S).text.splitlines()
    return {file: what for file, _, what in (line.partition(" ") for line in lines)}
