"""A boot point within reach of the manager: as NBD, for one lost file."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from urllib.parse import quote

from standby.app.places import Place
from standby.app.points import require_manifest
from standby.app.session import Session
from standby.errors import FixRequest
from standby.host.storage_daemon import StorageDaemon
from standby.model.extent import NbdEndpoint
from standby.model.point import BootPoint, Delta
from standby.planning.selection import select_point
from standby.target.export import serve_point


@dataclass(frozen=True, slots=True)
class ExportedDisk:
    """One disk of a point. `size` in bytes; `uri` as NBD clients of this machine take it."""

    disk: str
    size: int
    uri: str


@dataclass(frozen=True, slots=True)
class PointExport:
    """A point while it is served."""

    point: BootPoint
    disks: tuple[ExportedDisk, ...]
    _daemon: StorageDaemon

    def require_alive(self) -> None:
        """Raise TransferFailed when it is served no more."""
        self._daemon.require_alive()


@contextmanager
def exported(
    session: Session, place: Place, asked: str, zone: tzinfo, disk: str | None = None
) -> Generator[PointExport]:
    """Serve the boot point that `asked` means, read-only; one disk of it, or all.

    No merge at or below the point begins meanwhile. Raises FixRequest, TryLater.
    """
    _, manifest = require_manifest(place)
    point = select_point(manifest.points, asked, session.clock.now(), zone)
    deltas = _chosen(point, disk)
    with (
        serve_point(place.host, place.directory, point.name, deltas) as daemon,
        daemon.endpoints([delta.disk for delta in deltas]) as endpoints,
    ):
        disks = (_disk(*pair) for pair in zip(deltas, endpoints, strict=True))
        yield PointExport(point, tuple(disks), daemon)


def _chosen(point: BootPoint, disk: str | None) -> tuple[Delta, ...]:
    if disk is None:
        return point.deltas
    delta = point.delta_of(disk)
    if delta is None:
        known = ", ".join(delta.disk for delta in point.deltas)
        raise FixRequest(f"disk {disk}", f"not in boot point {point.name}", f"one of {known}")
    return (delta,)


def _disk(delta: Delta, endpoint: NbdEndpoint) -> ExportedDisk:
    uri = f"nbd+unix:///{quote(endpoint.export)}?socket={quote(endpoint.socket)}"
    return ExportedDisk(delta.disk, delta.size, uri)
