"""A boot point served read-only, for somebody who wants one file out of it.

The daemon takes QEMU's ordinary locks, so that no merge can write below what is being read, and
its pidfile tells planners which point it stands on.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Sequence
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
from standby.model.priority import NO_PRIORITY, Priority
from standby.target import layout
from standby.target.layout import StandbyDirectory
from standby.target.nodes import Access, Caching, image_node

_TOKEN_BYTES: Final = 4


@contextmanager
def serve_point(
    host: Host,
    directory: StandbyDirectory,
    point: PointName,
    deltas: Sequence[Delta],
    priority: Priority = NO_PRIORITY,
    caching: Caching = Caching.PAGES,
) -> Generator[StorageDaemon]:
    """Serve these disks of a point, each under its own name, until the context is left.

    The digests of each are served beside it, under `digests_export` of its name. Raises TryLater
    while a merge writes into one of their files.
    """
    pidfile = directory / layout.mount_pidfile(point, secrets.token_hex(_TOKEN_BYTES))
    files = [pair for delta in deltas for pair in _exported(delta)]
    nodes = [image_node(name, directory / file, Access.READ, caching) for name, file in files]
    exports = tuple(Export(name, name, writable=False) for name, _ in files)
    with ExitStack() as stack:
        daemon = storage_daemon(host, DaemonSettings(pidfile, tuple(nodes), exports, priority))
        try:
            serving = stack.enter_context(daemon)
        except CommandFailed as error:
            raise _why(error, point) from error
        yield serving


def digests_export(disk: str) -> str:
    """Name the export that serves a disk's digests."""
    return f"{disk}.digests"


def _exported(delta: Delta) -> tuple[tuple[str, str], tuple[str, str]]:
    return (delta.disk, delta.file), (digests_export(delta.disk), delta.digests)


def _why(error: CommandFailed, point: PointName) -> StandbyError:
    if not refused_lock(error):
        return error
    return TryLater(
        f"boot point {point}",
        "a merge is writing into a file that it stands on",
        "files that nobody writes to",
        "try again when the merge is done",
    )
