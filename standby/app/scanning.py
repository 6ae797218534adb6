"""Reading boot points beside their digests, and what is known of each afterwards."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from standby.app.places import Place
from standby.app.session import Session
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.point import Base, BootPoint, Delta
from standby.model.priority import NO_PRIORITY, Priority
from standby.model.spoilt import Range, SpoiltDisk, joined, spoilt_disk, without
from standby.target.export import digests_export, serve_point
from standby.target.images import broken_images
from standby.target.nodes import Caching
from standby.target.standing import read_images
from standby.target.users import Images
from standby.transfer.job import DigestTable, Everything
from standby.transfer.rate import RateLimit, all_of
from standby.transfer.scan import DigestedDisk, Pace
from standby.transfer.unreadable import verify_through
from standby.transfer.verify import OnlyRanges, OwnLayer, Verified, VerifyScope

Scopes = Mapping[str, VerifyScope]  # by disk


@dataclass(frozen=True, slots=True)
class BrokenTable:
    """A table of digests that is no whole image: nothing vouches for what stands on it."""

    file: str
    what: str
    disk: str
    points: tuple[PointName, ...]


@dataclass
class Findings:
    """What was found damaged of each disk of each point, and how much of it was looked at."""

    damaged: dict[tuple[PointName, str], list[Range]] = field(default_factory=dict)
    looked_at: dict[tuple[PointName, str], list[Range]] = field(default_factory=dict)

    def note(self, point: BootPoint, delta: Delta, found: Verified, seen: Sequence[Range]) -> None:
        """Take what was found in `seen`, ranges of bytes, for the truth about these."""
        key = (point.name, delta.disk)
        before = without(self.damaged.get(key, []), seen)
        self.damaged[key] = joined([*before, *found.covering(delta.size)])
        self.looked_at[key] = joined([*self.looked_at.get(key, []), *seen])

    def doubt(self, table: BrokenTable, manifest: Manifest) -> None:
        """Take the disk of every point that a broken table vouched for as damaged."""
        for name in table.points:
            delta = manifest.point(name).delta_of(table.disk)
            if delta is not None:
                self.damaged[name, table.disk] = [(0, delta.size)]
                self.looked_at[name, table.disk] = [(0, delta.size)]

    def of(self, point: BootPoint, disk: str) -> list[Range]:
        """Return what is damaged."""
        return self.damaged.get((point.name, disk), [])

    def all_of(self, disk: str) -> list[Range]:
        """Return what is damaged of a disk in any point."""
        return joined(it for (_, of), ranges in self.damaged.items() if of == disk for it in ranges)

    def marks(self, point: BootPoint) -> tuple[SpoiltDisk, ...]:
        """Return what a point's marks have to be: what was not looked at stays marked."""
        marks = (self._mark(point, delta.disk) for delta in point.deltas)
        return tuple(mark for mark in marks if mark is not None)

    def _mark(self, point: BootPoint, disk: str) -> SpoiltDisk | None:
        seen = self.looked_at.get((point.name, disk), [])
        return spoilt_disk(disk, [*without(point.spoilt_ranges(disk), seen), *self.of(point, disk)])


@dataclass(frozen=True, slots=True)
class Scanner:
    """Reads points of one standby as its manifest had them. Nothing is written."""

    session: Session
    place: Place
    manifest: Manifest
    broken: tuple[BrokenTable, ...]
    limiter: RateLimit | None
    reading: RateLimit | None = None  # of the source
    priority: Priority = NO_PRIORITY

    @property
    def pace(self) -> Pace:
        """How fast, and who hears of it."""
        return Pace(self.limiter, self.session.report, self.session.cancel)

    @property
    def source_pace(self) -> Pace:
        """How fast the source is read, and who hears of it."""
        limiter = all_of(self.limiter, self.reading)
        return Pace(limiter, self.session.report, self.session.cancel)

    def readable(self, point: BootPoint, disk: str) -> Delta | None:
        """Return a disk's delta of a point if it is there and its tables are whole."""
        if any(table.disk == disk and point.name in table.points for table in self.broken):
            return None
        return point.delta_of(disk)

    def scan(self, point: BootPoint, scopes: Scopes, findings: Findings) -> tuple[Verified, ...]:
        """Verify these disks of a point. Raises TryLater while a merge writes below it."""
        deltas = [it for it in point.deltas if it.disk in scopes and self.readable(point, it.disk)]
        with self.served(point, deltas) as subjects:
            return tuple(
                self._verify(point, delta, subject, scopes[delta.disk], findings)
                for delta, subject in zip(deltas, subjects, strict=True)
            )

    def _verify(
        self,
        point: BootPoint,
        delta: Delta,
        subject: DigestedDisk,
        scope: VerifyScope,
        findings: Findings,
    ) -> Verified:
        found, as_asked = verify_through(subject, scope, delta.size, self.pace)
        whole = scope if as_asked or isinstance(scope, OnlyRanges) else Everything()
        findings.note(point, delta, found, _seen(whole, delta, found))
        return found

    @contextmanager
    def served(
        self, point: BootPoint, deltas: Sequence[Delta]
    ) -> Generator[tuple[DigestedDisk, ...]]:
        """Serve these disks of a point, read-only, each with its digests."""
        if not deltas:
            yield ()
            return
        names = [it for delta in deltas for it in (delta.disk, digests_export(delta.disk))]
        host, directory = self.place.host, self.place.directory
        with (
            serve_point(host, directory, point.name, deltas, self.priority, Caching.NONE) as daemon,
            daemon.endpoints(names) as endpoints,
        ):
            reached = dict(zip(names, endpoints, strict=True))
            algorithm = self.manifest.digests
            yield tuple(
                DigestedDisk(
                    delta.disk,
                    reached[delta.disk],
                    DigestTable(reached[digests_export(delta.disk)], algorithm),
                )
                for delta in deltas
            )

    def spread(self, disks: Sequence[str], findings: Findings) -> None:
        """Look at what is damaged, or marked so, in every point that may share it."""
        for point in reversed(self.manifest.whole_points):
            scopes = {}
            for disk in disks:
                marked = (it for p in self.manifest.points for it in p.spoilt_ranges(disk))
                wanted = joined([*findings.all_of(disk), *marked])
                unknown = without(wanted, findings.looked_at.get((point.name, disk), []))
                if unknown:
                    scopes[disk] = OnlyRanges(tuple(unknown))
            if scopes:
                self.scan(point, scopes, findings)

    def look_again(self, point: BootPoint, disk: str, findings: Findings) -> list[Range]:
        """Return what is still damaged of what was."""
        damaged = findings.of(point, disk)
        if damaged:
            self.scan(point, {disk: OnlyRanges(tuple(damaged))}, findings)
        return findings.of(point, disk)


def _seen(scope: VerifyScope, delta: Delta, found: Verified) -> Sequence[Range]:
    match scope:
        case OnlyRanges(ranges):
            return ranges
        case OwnLayer():
            return found.covering(delta.size)  # what shines through is for others to tell
    return ((0, delta.size),)


def scopes_of(point: BootPoint) -> Scopes:
    """Return the scopes by which a point is read whole."""
    return {delta.disk: Everything() for delta in point.deltas}


def scopes_within(manifest: Manifest, point: BootPoint) -> Scopes:
    """Return the scopes that suffice when every other point is verified too.

    A delta needs only its own layer. The newest point is what is booted: it is read as its
    reader sees it, as is whatever stands on nothing, or on a point that cannot be verified.
    """
    place = manifest.points.index(point)
    below = manifest.points[place - 1] if place else None
    alone = point is manifest.newest or below is None or below not in manifest.whole_points
    return {
        delta.disk: Everything() if alone or _stands_alone(delta, below) else OwnLayer()
        for delta in point.deltas
    }


def _stands_alone(delta: Delta, below: BootPoint | None) -> bool:
    return delta.base is Base.NOTHING or below is None or below.delta_of(delta.disk) is None


def find_broken_tables(place: Place, manifest: Manifest) -> tuple[BrokenTable, ...]:
    """Look at every table of a standby, each alone."""
    deltas = [delta for point in manifest.whole_points for delta in point.deltas]
    broken = broken_images(place.host, place.directory, [delta.digests for delta in deltas])
    if not broken:
        return ()
    images = read_images(place.host, place.directory)
    return tuple(
        BrokenTable(it.digests, broken[it.digests], it.disk, _standing_on(manifest, it, images))
        for it in deltas
        if it.digests in broken
    )


def _standing_on(manifest: Manifest, broken: Delta, images: Images) -> tuple[PointName, ...]:
    """Return the points that a table vouches for: a whole copy's table stands on none."""
    deltas = ((p.name, p.delta_of(broken.disk)) for p in manifest.whole_points)
    return tuple(
        name for name, delta in deltas if delta and _leads_to(delta.digests, broken.digests, images)
    )


def _leads_to(file: str, wanted: str, images: Images) -> bool:
    below: str | None = file
    while below is not None and below != wanted:
        below = images.stands_on.get(below)
    return below is not None
