"""A boot point served read-only, for somebody who wants one file out of it.

The daemon takes QEMU's ordinary locks, so that no merge can write below what is being read, and
its pidfile tells planners which point it stands on.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from standby.errors import CommandFailed, StandbyError, TryLater
from standby.host.interface import Host
from standby.host.storage_daemon import (
    DaemonSettings,
    Export,
    StorageDaemon,
    refused_lock,
    storage_daemon,
)
from standby.model.names import PointName
from standby.model.point import Delta
from standby.target import layout
from standby.target.layout import StandbyDirectory

_TOKEN_BYTES: Final = 4


@contextmanager
def serve_point(
    host: Host, directory: StandbyDirectory, point: PointName, deltas: Sequence[Delta]
) -> Generator[StorageDaemon]:
    """Serve these disks of a point, each under its own name, until the context is left.

    Raises TryLater while a merge writes into one of their files.
    """
    pidfile = directory / layout.mount_pidfile(point, secrets.token_hex(_TOKEN_BYTES))
    nodes = tuple(_node(directory, delta) for delta in deltas)
    exports = tuple(Export(delta.disk, delta.disk, writable=False) for delta in deltas)
    with ExitStack() as stack:
        daemon = storage_daemon(host, DaemonSettings(pidfile, nodes, exports))
        try:
            serving = stack.enter_context(daemon)
        except CommandFailed as error:
            raise _why(error, point) from error
        yield serving


def _node(directory: StandbyDirectory, delta: Delta) -> Mapping[str, object]:
    """Describe a disk's youngest file; QEMU finds those below by their headers."""
    return {
        "driver": "qcow2",
        "node-name": delta.disk,
        "read-only": True,
        "file": {"driver": "file", "filename": directory / delta.file},
    }


def _why(error: CommandFailed, point: PointName) -> StandbyError:
    if not refused_lock(error):
        return error
    return TryLater(
        f"boot point {point}",
        "a merge is writing into a file that it stands on",
        "files that nobody writes to",
        "try again when the merge is done",
    )
