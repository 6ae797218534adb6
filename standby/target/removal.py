"""Taking a standby's directory away for good."""

from __future__ import annotations

from typing import Final

from standby.host.interface import Host
from standby.target.layout import StandbyDirectory

_REMOVE_S: Final = 1800.0  # freeing large files takes long on some file systems

# Arguments: directory, generation expected. Removes what is ours, the manifest after all that it
# described, and then the directory; prints what somebody else put there, which keeps it.
_REMOVE: Final = """
set -eu
cd "$1"; generation=$2
current=$(sed -n 's/^ *"generation": \\([0-9]*\\),$/\\1/p' standby.json | head -n 1)
[ "$current" = "$generation" ] || exit 76
rm -rf -- deltas heads head head.new incoming points kept run RUNBOOK.txt recover
rm -f -- standby.json.new publish.lock lock.holder standby.json lock
cd /
rmdir -- "$1" 2>/dev/null || ls -A -- "$1"
"""


def remove_directory(host: Host, directory: StandbyDirectory, generation: int) -> tuple[str, ...]:
    """Remove a standby's directory; return the names in it that are not ours and stay."""
    argv = ("sh", "-c", _REMOVE, "standby-remove", directory.path, str(generation))
    return tuple(host.run(argv, timeout=_REMOVE_S).text.splitlines())
