"""qemu-storage-daemon on a host: images in, NBD exports and a QMP monitor out.

The daemon is a held command: it ends when it is closed, when the connection dies and when the
manager does. Its sockets lie in a directory of mode 0700 of their own.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from standby.errors import CommandFailed, TransferFailed
from standby.host.gentle import gentle
from standby.host.interface import Held, Host
from standby.host.qmp import QmpSession
from standby.model.extent import NbdEndpoint
from standby.model.priority import NO_PRIORITY, Priority

# Seconds without a heartbeat after which the daemon ends: longer than a manager needs to notice
# a cut link by itself (see interface.DEFAULT_HEARTBEAT_S).
SILENCE_S: Final = 30
START_S: Final = 60.0
# /tmp and not a directory of the store: a UNIX socket's path is limited to 108 bytes.
_SOCKETS: Final = "/tmp/standby-"  # noqa: S108 - made with mode 0700 and a random name

# The daemon takes a buffer for each request and frees it. By glibc's defaults buffers of 1 MiB go
# back to the kernel each time and come anew, as pages to be cleared: 30 % of its work in a seed.
ALLOCATOR: Final = ("MALLOC_MMAP_THRESHOLD_=67108864", "MALLOC_TRIM_THRESHOLD_=268435456")

# What QEMU says when a file cannot be opened with O_DIRECT (util/osdep.c, block/file-posix.c).
_NO_DIRECT_IO: Final = ("does not support O_DIRECT", "O_DIRECT alignment")

# Arguments: seconds of silence allowed, pidfile, socket directory, then the daemon's command.
# Prints "ready" once the daemon has written its pidfile, which it does when its sockets accept;
# ends it when the manager is gone. A daemon that outlives even this shell is found by its
# pidfile at the start of the next cycle.
_HOLD: Final = """
silence=$1; pidfile=$2; sockets=$3; shift 3
umask 077
rm -f "$pidfile"
mkdir "$sockets" || exit 73
printf '%s' "$sockets" > "${pidfile%.pid}.sockets" || exit 73
"$@" </dev/null >&2 &
child=$!
finish() {
  trap '' TERM HUP INT
  kill -TERM "$child" 2>/dev/null
  for _ in $(seq 400); do kill -0 "$child" 2>/dev/null || break; sleep 0.02; done
  kill -KILL "$child" 2>/dev/null; wait "$child"
  rm -rf "$sockets" "${pidfile%.pid}.sockets"
  rm -f "$pidfile"
}
trap finish EXIT
trap 'exit 143' TERM HUP INT
for _ in $(seq 3000); do
  [ -s "$pidfile" ] && break
  kill -0 "$child" 2>/dev/null || { wait "$child"; exit 70; }
  sleep 0.01
done
echo ready
while read -r -t "$silence" _; do kill -0 "$child" 2>/dev/null || exit 0; done
"""


@dataclass(frozen=True, slots=True)
class Export:
    """One NBD export: a node, its name, and the bitmaps it offers as dirty contexts."""

    node: str
    name: str
    writable: bool
    bitmaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """What a daemon serves. `pidfile` is an absolute path on the host."""

    pidfile: str
    blockdevs: tuple[Mapping[str, object], ...]
    exports: tuple[Export, ...] = ()
    priority: Priority = NO_PRIORITY


class StorageDaemon:
    """A running daemon. Its exports are reached through `endpoint`."""

    def __init__(self, host: Host, held: Held, sockets: str) -> None:
        self._host = host
        self._held = held
        self._sockets = sockets

    @contextmanager
    def endpoint(self, export: str) -> Generator[NbdEndpoint]:
        """Yield where one export is reached from here."""
        with self.endpoints((export,)) as (endpoint,):
            yield endpoint

    @contextmanager
    def endpoints(self, exports: Sequence[str]) -> Generator[tuple[NbdEndpoint, ...]]:
        """Yield where these exports are reached from here: one forwarded socket for all."""
        with self._host.forward(self.nbd_socket) as socket:
            yield tuple(NbdEndpoint(socket, name) for name in exports)

    @property
    def nbd_socket(self) -> str:
        """The NBD server's socket on the host."""
        return f"{self._sockets}/nbd"

    @contextmanager
    def qmp(self) -> Generator[QmpSession]:
        """Yield a monitor session."""
        with (
            self._host.forward(f"{self._sockets}/qmp") as socket,
            QmpSession.connect(
                socket, timeout=START_S, subject=f"storage daemon on {self._host.name}"
            ) as session,
        ):
            yield session

    def close(self) -> None:
        """End the daemon and wait for it. Whoever publishes checks that its pidfile is gone."""
        self._held.close()

    def require_alive(self) -> None:
        """Raise TransferFailed with its last words when it is gone."""
        if not self._held.alive:
            raise TransferFailed(
                f"storage daemon on {self._host.name}", f"ended: {self._held.last_words.strip()}"
            )


@contextmanager
def storage_daemon(host: Host, settings: DaemonSettings) -> Generator[StorageDaemon]:
    """Run a storage daemon; it has ended when the context is left.

    Raises CommandFailed with the daemon's own words when it cannot open an image.
    """
    sockets = _SOCKETS + secrets.token_hex(8)
    held = _hold(host, settings, sockets)
    daemon = StorageDaemon(host, held, sockets)
    try:
        # sshd forwards as the login user, who has to pass the directory as well.
        for path in (sockets, f"{sockets}/nbd", f"{sockets}/qmp"):
            host.admit(path)
        yield daemon
    finally:
        held.close()


def _hold(host: Host, settings: DaemonSettings, sockets: str) -> Held:
    """Start the daemon; through the page cache where the file system allows nothing else."""
    argv = ("bash", "-c", _HOLD, "standby-daemon", str(SILENCE_S), settings.pidfile, sockets)
    try:
        return host.hold((*argv, *_command(settings, sockets)), ready=b"ready", timeout=START_S)
    except CommandFailed as error:
        if not any(word in error.stderr for word in _NO_DIRECT_IO):
            raise
    buffered = replace(settings, blockdevs=tuple(map(_through_cache, settings.blockdevs)))
    return host.hold((*argv, *_command(buffered, sockets)), ready=b"ready", timeout=START_S)


def _through_cache(node: Mapping[str, object]) -> Mapping[str, object]:
    inner = {key: value for key, value in node.items() if key != "cache"}
    file = inner.get("file")
    return {**inner, "file": _through_cache(file)} if isinstance(file, Mapping) else inner


def refused_lock(error: CommandFailed) -> bool:
    """Tell whether a command failed because another process has the image open."""
    return "Failed to get " in error.stderr and "lock" in error.stderr


def _command(settings: DaemonSettings, sockets: str) -> tuple[str, ...]:
    blockdevs = (("--blockdev", json.dumps(node)) for node in settings.blockdevs)
    exports = (("--export", json.dumps(_export(export))) for export in settings.exports)
    daemon = (
        *("env", *ALLOCATOR, "qemu-storage-daemon"),
        *("--pidfile", settings.pidfile),
        *("--chardev", f"socket,id=qmp,path={sockets}/qmp,server=on,wait=off"),
        *("--monitor", "chardev=qmp"),
        *("--nbd-server", f"addr.type=unix,addr.path={sockets}/nbd,max-connections=0"),
        *(word for pair in blockdevs for word in pair),
        *(word for pair in exports for word in pair),
    )
    return gentle(daemon, settings.priority)


def _export(export: Export) -> Mapping[str, object]:
    return {
        "type": "nbd",
        "id": f"export-{export.name}",
        "node-name": export.node,
        "name": export.name,
        "writable": export.writable,
        "allocation-depth": True,  # told only to who asks: what the top file itself holds
        **({"bitmaps": list(export.bitmaps)} if export.bitmaps else {}),
    }
