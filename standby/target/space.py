"""Free space of a storage, also before anything of ours is there."""

from __future__ import annotations

from typing import Final

from standby.host.interface import Host
from standby.target.layout import StandbyDirectory

_LOOK_S: Final = 60.0

# Arguments: a directory that need not exist. Prints the free bytes where it would be made.
_AVAILABLE: Final = """
set -eu
d=$1
while [ ! -d "$d" ]; do d=$(dirname -- "$d"); done
df -B1 --output=avail -- "$d" | tail -n 1
"""


def available_below(host: Host, directory: StandbyDirectory) -> int:
    """Return the free bytes of the storage that a standby's directory is or will be on."""
    argv = ("sh", "-c", _AVAILABLE, "standby-available", directory.path)
    return int(host.run(argv, timeout=_LOOK_S).text)
