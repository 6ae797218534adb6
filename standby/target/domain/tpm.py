"""Giving the dormant domain's TPM the state that the machine's had."""

from __future__ import annotations

from typing import Final

from standby.host.interface import Host
from standby.model.tpm import TpmVersion, tpm_directory
from standby.target.domain.element import Element

_PLACE_S: Final = 60.0

# Arguments: a state, the directory of the domain's TPM, the file in it. libvirt gives all that is
# there to swtpm's user when the domain starts. What a run has left besides belongs to that run.
_PLACE: Final = """
set -eu
(umask 066; mkdir -p -- "$(dirname -- "$2")")
umask 077
mkdir -p -- "$2"
cp -- "$1" "$2/.new"
sync "$2/.new"
mv -fT -- "$2/.new" "$2/$3"
rm -f -- "$2"/*.volatilestate
sync "$2"
"""

# Arguments: a state of a TPM, where a copy of it goes. A TPM that was never started has none.
_KEEP: Final = """
[ -e "$1" ] || exit 0
umask 077
cp -- "$1" "$2" && sync "$2"
"""


def tpm_version(definition: Element) -> TpmVersion | None:
    """Return the version of a domain's emulated TPM; None without one."""
    for device in definition.walk():
        if device.tag == "tpm" and device.attribute_of("backend", "type") == "emulator":
            return TpmVersion.named(device.attribute_of("backend", "version"))
    return None


def place_state(host: Host, uuid: str, version: TpmVersion, state: str) -> None:
    """Put `state`, a file of the host, where the TPM of the inactive domain `uuid` reads it.

    Raises CommandFailed where we have not the right to.
    """
    argv = ("sh", "-c", _PLACE, "standby-tpm", state, tpm_directory(uuid, version), version.file)
    host.run(argv, timeout=_PLACE_S)


def keep_state(host: Host, uuid: str, version: TpmVersion, file: str) -> None:
    """Copy what the TPM of the inactive domain `uuid` holds to a file of the host.

    Raises CommandFailed where we have not the right to.
    """
    state = f"{tpm_directory(uuid, version)}/{version.file}"
    host.run(("sh", "-c", _KEEP, "standby-tpm", state, file), timeout=_PLACE_S)
