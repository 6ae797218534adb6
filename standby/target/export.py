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
from standby.target.listing import manifest_of
from standby.target.looking import look
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
    while a merge writes into one of their files, or when one did since the deltas were looked up.
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
            if not refused_lock(error):
                _require_unmerged(host, directory, point, deltas)
            raise _why(error, point) from error
        _require_unmerged(host, directory, point, deltas)
        yield serving


def _require_unmerged(
    host: Host, directory: StandbyDirectory, point: PointName, deltas: Sequence[Delta]
) -> None:
    """Raise TryLater when these files are not what the point consists of any more.

    A merge gives the older point's file the younger's state and keeps its name. Now that the files
    are open none can write to them; what they hold was decided before.
    """
    listing = look(host, directory)
    manifest = manifest_of(listing, directory.manifest) if listing else None
    whole = manifest.whole_points if manifest else ()
    now = {delta.file for it in whole if it.name == point for delta in it.deltas}
    if not now.issuperset(delta.file for delta in deltas):
        raise TryLater(
            f"boot point {point}",
            "was merged while it was opened",
            "a point that stays as it is",
            "see what there is now: standby points STANDBY",
        )


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
