"""Verify boot points: compare what they hold with their digests, mend it, mark what is spoilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from enum import Enum

from standby.app.comparing import Compared, SourceDisks, alike, captured_source, compare
from standby.app.mending import MendedDelta, Mender
from standby.app.places import Place
from standby.app.points import locked_soon, require_manifest
from standby.app.scanning import (
    BrokenTable,
    Findings,
    Scanner,
    find_broken_tables,
    scopes_of,
    scopes_within,
)
from standby.app.session import Session
from standby.errors import (
    Cancelled,
    FixRequest,
    RepairStore,
    StandbyError,
    TransferFailed,
    TryLater,
)
from standby.model.extent import NbdEndpoint
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.point import BootPoint, Delta
from standby.model.priority import NO_PRIORITY, Priority
from standby.model.spoilt import Range, SpoiltDisk, joined
from standby.planning.selection import select_point
from standby.target.store import KvmStore
from standby.transfer.build import build_table
from standby.transfer.job import DigestTable, Everything
from standby.transfer.rate import limit_of
from standby.transfer.scan import DigestedDisk
from standby.transfer.unreadable import is_unreadable
from standby.transfer.verify import Verified


class Beside(Enum):
    """What boot points are compared with."""

    DIGESTS = "their digests"
    SOURCE = "their digests, and the newest with the source"


class Then(Enum):
    """What becomes of what is damaged."""

    MARK = "marked"
    MEND = "mended if it can be, else marked"


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """What to verify: the point that `asked` means, or without it every point.

    `images`, by disk, are paths of images on the KVM host to mend from; `limit` is of bytes read
    per second.
    """

    asked: str | None
    zone: tzinfo
    beside: Beside = Beside.DIGESTS
    then: Then = Then.MARK
    images: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    priority: Priority = NO_PRIORITY  # of what reads on the KVM host


@dataclass(frozen=True, slots=True)
class VerifiedPoint:
    """One boot point and what was found on each of its disks, before any mending."""

    point: BootPoint
    disks: tuple[Verified, ...]


@dataclass
class VerifyReport:
    """What was found, what was done about it, and what remains. `notes` are for people.

    `spoilt` is of every point, as the manifest has it now unless `not_marked` says why not.
    """

    points: list[VerifiedPoint] = field(default_factory=list)
    tables: tuple[BrokenTable, ...] = ()
    compared: Compared | None = None
    rebuilt: list[BrokenTable] = field(default_factory=list)
    mended: list[MendedDelta] = field(default_factory=list)
    spoilt: Mapping[PointName, tuple[SpoiltDisk, ...]] = field(default_factory=dict)
    not_marked: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, or not any more."""
        unlike = self.compared is not None and any(it.unlike for it in self.compared.disks)
        return not (unlike or self.tables or any(self.spoilt.values()))


def verify(session: Session, place: Place, request: VerifyRequest) -> VerifyReport:
    """Verify, newest first. The lock is taken only to change something, or to use the source.

    Raises FixRequest, TryLater while a merge writes into a file that a point stands on.
    """
    _, manifest = require_manifest(place)
    profile = place.profile
    reading = limit_of(profile.source.read_rate, profile.schedule.zone)
    broken = find_broken_tables(place, manifest)
    scanner = Scanner(
        session,
        place,
        manifest,
        broken,
        limit_of(request.limit),
        reading,
        request.priority,
    )
    report, findings = VerifyReport(), Findings()
    chosen = [point.name for point in _chosen(session, manifest, request)]
    try:
        scanner = _scanned(scanner, request, chosen, findings, report)
    except (TransferFailed, RepairStore, TryLater):
        _mark_what_was_found(session, scanner, findings)
        raise
    report.tables = scanner.broken
    for table in scanner.broken:
        findings.doubt(table, scanner.manifest)
    if request.beside is Beside.SOURCE or (request.then is Then.MEND and _is_damaged(findings)):
        manifest = _with_the_lock(session, scanner, request, findings, report)
    else:
        manifest = _mark(session, scanner, findings, report)
    report.spoilt = {point.name: findings.marks(point) for point in manifest.whole_points}
    return report


def _scanned(
    scanner: Scanner,
    request: VerifyRequest,
    chosen: Sequence[PointName],
    findings: Findings,
    report: VerifyReport,
) -> Scanner:
    """Read these points, and what others share of their damage; return a scanner as of the end."""
    for name in chosen:
        scanner = _refreshed(scanner)
        point = next((it for it in scanner.manifest.whole_points if it.name == name), None)
        if point is None:
            continue  # merged meanwhile
        scopes = scopes_of(point) if request.asked else scopes_within(scanner.manifest, point)
        report.points.append(VerifiedPoint(point, scanner.scan(point, scopes, findings)))
    scanner = _looked_up_anew(_refreshed(scanner), findings)
    with suppress(TryLater):  # while a merge writes; who marks what was found looks then
        scanner.spread(_disks(scanner.manifest), findings)
    return scanner


def _mark_what_was_found(session: Session, scanner: Scanner, findings: Findings) -> None:
    """Let the manifest say what was found before something could not be read, if that is possible.

    It may not be possible to read that the next time either.
    """
    if not _is_damaged(findings):
        return
    with suppress(StandbyError), locked_soon(session, scanner.place) as store:
        try:
            _caught_up(scanner, store, findings)
        finally:
            _publish(store, findings)


def _refreshed(scanner: Scanner) -> Scanner:
    """Return a scanner of the points as they are now: reading takes hours, and cycles go on."""
    _, manifest = require_manifest(scanner.place)
    return replace(scanner, manifest=manifest)


def _looked_up_anew(scanner: Scanner, findings: Findings) -> Scanner:
    """Return a scanner that knows which tables are broken now; read what stood on the others.

    Merges write into tables and take them away: who looked meanwhile took them for broken.
    """
    before = scanner.broken
    if not before:
        return scanner
    scanner = replace(scanner, broken=find_broken_tables(scanner.place, scanner.manifest))
    for table in set(before).difference(scanner.broken):
        for point in scanner.manifest.whole_points:
            if point.name in table.points:
                scanner.scan(point, {table.disk: Everything()}, findings)
    return scanner


def _chosen(session: Session, manifest: Manifest, request: VerifyRequest) -> tuple[BootPoint, ...]:
    unknown = set(request.images) - set(_disks(manifest))
    if unknown:
        raise FixRequest(f"disk {min(unknown)}", "in no boot point", ", ".join(_disks(manifest)))
    if request.asked is None:
        return tuple(reversed(manifest.whole_points))
    now = session.clock.now()
    return (select_point(manifest.points, request.asked, now, request.zone),)


def _disks(manifest: Manifest) -> tuple[str, ...]:
    return tuple(sorted({delta.disk for point in manifest.points for delta in point.deltas}))


def _is_damaged(findings: Findings) -> bool:
    return any(findings.damaged.values())


def _mark(session: Session, scanner: Scanner, findings: Findings, report: VerifyReport) -> Manifest:
    """Let the manifest say what was found, if it does not yet; return it."""
    if not _changed(scanner.manifest, findings):
        return scanner.manifest
    try:
        with locked_soon(session, scanner.place) as store:
            _caught_up(scanner, store, findings)
            _publish(store, findings)
            return store.manifest
    except Cancelled:
        raise
    except StandbyError as error:
        report.not_marked = str(error)
    return scanner.manifest


def _with_the_lock(
    session: Session,
    scanner: Scanner,
    request: VerifyRequest,
    findings: Findings,
    report: VerifyReport,
) -> Manifest:
    with locked_soon(session, scanner.place) as store, ExitStack() as stack:
        scanner = _caught_up(scanner, store, findings)
        _publish(store, findings)  # before anything is written: a kill leaves the marks
        if request.then is Then.MEND and report.tables:
            scanner = _rebuild(scanner, store, findings, report)
            _publish(store, findings)
        source = _source(session, scanner, request, report, stack)
        if source is not None and request.beside is Beside.SOURCE:
            report.compared = compare(scanner, source, findings)
            scanner.spread(_disks(scanner.manifest), findings)
            _publish(store, findings)
        if request.then is Then.MEND:
            Mender(store, scanner, findings, source, request.images).mend(
                report.mended, report.notes
            )
            _publish(store, findings)
        return store.manifest


def _rebuild(
    scanner: Scanner, store: KvmStore, findings: Findings, report: VerifyReport
) -> Scanner:
    """Make broken tables anew from what the images hold now, then verify what stands on them.

    Oldest first, so that each knows what is damaged below it. What was damaged before and nobody
    knows of cannot be told from that any more, but by tables of younger points.
    """
    manifest = scanner.manifest
    for table in report.tables:
        point = manifest.point(table.points[0])
        delta = next(it for it in point.deltas if it.digests == table.file)
        with store.rebuilding(delta) as at:
            damaged = _known_damage(scanner, findings, point, delta, at.image)
            digests = DigestTable(at.digests, manifest.digests)
            build_table(DigestedDisk(delta.disk, at.image, digests), scanner.pace, damaged)
        report.rebuilt.append(table)
        scanner = replace(scanner, broken=tuple(it for it in scanner.broken if it != table))
        for name in table.points:
            scanner.scan(manifest.point(name), {table.disk: Everything()}, findings)
    report.tables = ()
    return scanner


def _known_damage(
    scanner: Scanner, findings: Findings, point: BootPoint, delta: Delta, image: NbdEndpoint
) -> list[Range]:
    """Return what of a disk is damaged by its marks, or by the table of the point below.

    Of that what `image`, the disk as it is now, shares. A mark of the whole disk may say only that
    its table was found broken before.
    """
    marked = () if point.is_spoilt_whole(delta) else point.spoilt_ranges(delta.disk)
    older = scanner.manifest.whole_points[: scanner.manifest.whole_points.index(point)]
    below = scanner.readable(older[-1], delta.disk) if older else None
    if below is None:
        return list(marked)
    damaged = findings.of(older[-1], delta.disk)
    with scanner.served(older[-1], [below]) as (served,):
        try:
            shared = alike(scanner, image, scanner.pace, served, damaged)
        except TransferFailed as error:
            if not is_unreadable(error):
                raise
            shared = damaged  # nobody can tell
    return joined([*marked, *shared])


def _source(
    session: Session,
    scanner: Scanner,
    request: VerifyRequest,
    report: VerifyReport,
    stack: ExitStack,
) -> SourceDisks | None:
    """Capture the source; to mend from it is a chance, not a condition."""
    try:
        return stack.enter_context(captured_source(session, scanner))
    except Cancelled:
        raise
    except StandbyError as error:
        if request.beside is Beside.SOURCE:
            raise
        report.notes.append(f"nothing was mended from the source: {error}")
        return None


def _changed(manifest: Manifest, findings: Findings) -> bool:
    return any(findings.marks(point) != point.spoilt for point in manifest.whole_points)


def _publish(store: KvmStore, findings: Findings) -> None:
    marks = {point.name: findings.marks(point) for point in store.manifest.whole_points}
    marked = store.manifest.with_spoilt(marks)
    if marked != store.manifest:
        store.change(marked)


def _caught_up(scanner: Scanner, store: KvmStore, findings: Findings) -> Scanner:
    """Return a scanner of the points as they are now, with the lock held.

    Cycles and merges may have been at work: what a point reads as is not changed by a merge, and
    points that are new may share the damage. Raises TryLater where tables are broken: which of
    them vouches for which point would have to be looked up anew.
    """
    now = store.manifest
    if scanner.broken and _files(now) != _files(scanner.manifest):
        raise TryLater(
            f"standby {scanner.place.called}",
            "its boot points are others than those that were verified",
            "no cycle and no merge meanwhile",
            f"verify again: standby verify {scanner.place.called} --all",
        )
    current = replace(scanner, manifest=now)
    current.spread(_disks(now), findings)
    return current


def _files(manifest: Manifest) -> list[object]:
    return [(point.deltas, point.standing) for point in manifest.points]
