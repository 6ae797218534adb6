"""Taking a standby away for good: its domain, then its directory."""

from __future__ import annotations

from typing import Final

import libvirt

from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.target.domain.dormant import undefine
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


def undefine_domain(connection: libvirt.virConnect, name_or_uuid: str) -> None:
    """Undefine an inactive domain with all that libvirt keeps for it; its disks stay."""
    with libvirt_calls(f"domain {name_or_uuid}"):
        undefine(connection, _lookup(connection, name_or_uuid))


def remove_directory(host: Host, directory: StandbyDirectory, generation: int) -> tuple[str, ...]:
    """Remove a standby's directory; return the names in it that are not ours and stay."""
    argv = ("sh", "-c", _REMOVE, "standby-remove", directory.path, str(generation))
    return tuple(host.run(argv, timeout=_REMOVE_S).text.splitlines())


def _lookup(connection: libvirt.virConnect, name_or_uuid: str) -> libvirt.virDomain:
    try:
        return connection.lookupByUUIDString(name_or_uuid)
    except libvirt.libvirtError:
        return connection.lookupByName(name_or_uuid)
