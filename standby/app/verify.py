"""Verify boot points: read what they hold, and compare it with the digests kept of it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo

from standby.app.places import Place
from standby.app.points import require_manifest
from standby.app.session import Session
from standby.model.digest import DigestAlgorithm
from standby.model.point import BootPoint, Delta
from standby.planning.selection import select_point
from standby.target.export import digests_export, serve_point
from standby.transfer.job import DigestTable
from standby.transfer.scan import DigestedDisk, Pace
from standby.transfer.verify import Verified, verify_disk


@dataclass(frozen=True, slots=True)
class VerifiedPoint:
    """One boot point and what was found on each of its disks."""

    point: BootPoint
    disks: tuple[Verified, ...]

    @property
    def damaged_bytes(self) -> int:
        """Return the bytes that are not what they were when the point was published."""
        return sum(disk.damaged_bytes for disk in self.disks)


def verify(
    session: Session, place: Place, asked: str | None, zone: tzinfo
) -> Generator[VerifiedPoint]:
    """Verify the point that `asked` means, or every point, newest first, one after the other.

    Raises FixRequest, TryLater while a merge writes into a file that a point stands on.
    """
    _, manifest = require_manifest(place)
    if asked is None:
        chosen: Sequence[BootPoint] = tuple(reversed(manifest.whole_points))
    else:
        chosen = (select_point(manifest.points, asked, session.clock.now(), zone),)
    for point in chosen:
        yield _verified(session, place, point, manifest.digests)


def _verified(
    session: Session, place: Place, point: BootPoint, algorithm: DigestAlgorithm
) -> VerifiedPoint:
    with _served(place, point, algorithm) as subjects:
        pace = Pace(progress=session.report, cancel=session.cancel)
        return VerifiedPoint(point, tuple(verify_disk(it, pace=pace) for it in subjects))


@contextmanager
def _served(
    place: Place, point: BootPoint, algorithm: DigestAlgorithm
) -> Generator[tuple[DigestedDisk, ...]]:
    names = [name for delta in point.deltas for name in _exports(delta)]
    with (
        serve_point(place.host, place.directory, point.name, point.deltas) as daemon,
        daemon.endpoints(names) as endpoints,
    ):
        reached = dict(zip(names, endpoints, strict=True))
        yield tuple(
            DigestedDisk(
                delta.disk,
                reached[delta.disk],
                DigestTable(reached[digests_export(delta.disk)], algorithm),
            )
            for delta in point.deltas
        )


def _exports(delta: Delta) -> tuple[str, str]:
    return delta.disk, digests_export(delta.disk)
