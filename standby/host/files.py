"""Small files of a host, read and written by commands.

Not by SFTP: one round trip instead of six, the same way with and without SSH, and under sudo.
"""

from __future__ import annotations

from typing import Final

from standby.errors import CommandFailed
from standby.host.interface import Host
from standby.host.outcome import file_failure
from standby.host.privilege import Privilege

_LIMIT_S: Final = 60.0

# Arguments: path, mode. The new content comes on standard input. A rename is durable only when
# file and directory are flushed.
_PUT: Final = """
set -eu
path=$1; directory=$(dirname -- "$path")
umask 077
new=$(mktemp -- "$directory/.new.XXXXXXXX")
trap 'rm -f -- "$new"' EXIT
cat > "$new"
chmod -- "$2" "$new"
sync -- "$new"
mv -fT -- "$new" "$path"
trap - EXIT
sync -- "$directory"
"""


def read_file(host: Host, path: str) -> bytes | None:
    """Return a small file's content, or None when there is no such file."""
    try:
        return host.run(("cat", "--", path), timeout=_LIMIT_S).stdout
    except CommandFailed as error:
        if error.stderr.endswith("No such file or directory"):
            return None
        raise file_failure(error, path) from error


def write_file(host: Host, path: str, data: bytes, mode: int) -> None:
    """Put a small file in place: temporary name, fsync, rename, fsync of the directory."""
    command = ("sh", "-c", _PUT, "put", path, f"{mode:04o}")
    try:
        if data:
            host.run(command, timeout=_LIMIT_S, stdin=data)
        else:
            host.run(command, timeout=_LIMIT_S)
    except CommandFailed as error:
        raise file_failure(error, path) from error


def admit(host: Host, socket: str, privilege: Privilege) -> None:
    """Make the user who logged in the owner of a socket that a command under sudo made."""
    if privilege is Privilege.SUDO:
        give = 'exec chown -- "$SUDO_UID" "$1"'
        host.run(("sh", "-c", give, "admit", socket), timeout=_LIMIT_S)
