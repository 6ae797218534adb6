"""Comparing the newest boot point with its source, where nothing changed since."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from standby.app.scanning import Findings, Scanner
from standby.app.session import Session
from standby.app.wiring import source_of
from standby.model.digest import BLOCK
from standby.model.extent import NbdEndpoint
from standby.model.names import PointName
from standby.model.point import BootPoint
from standby.model.spoilt import Range, joined, overlap, without
from standby.planning.compare import plan_comparison
from standby.planning.replicate import checkpoint_owner
from standby.sources.libvirt_vm.captured import CapturedDisk
from standby.transfer.peek import digests_at
from standby.transfer.scan import DigestedDisk, Pace
from standby.transfer.verify import OnlyRanges, Unchanged, verify_disk


@dataclass(frozen=True, slots=True)
class ComparedDisk:
    """One disk of the newest point beside the source's. Bytes.

    `unlike`: the source has something else though nothing marked it as changed, and the standby
    holds what its digest says. `digests`: source and standby agree, and the digest is wrong.
    """

    disk: str
    compared_bytes: int = 0
    changed_bytes: int = 0  # since the newest point: not compared
    not_compared: str = ""  # why
    unlike: tuple[Range, ...] = ()
    digests: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it, for the newest point."""

    point: PointName
    disks: tuple[ComparedDisk, ...]


@dataclass(frozen=True, slots=True)
class SourceDisks:
    """The source's disks while it is captured, and why some cannot be compared."""

    captured: Mapping[str, CapturedDisk]
    not_compared: Mapping[str, str]
    require_alive: Callable[[], None]

    def endpoint(self, disk: str) -> NbdEndpoint | None:
        """Return where a disk is read."""
        captured = self.captured.get(disk)
        return captured.endpoint if captured else None


@contextmanager
def captured_source(session: Session, scanner: Scanner) -> Generator[SourceDisks]:
    """Capture the source without leaving a checkpoint; the store's lock is held meanwhile.

    Raises whatever a cycle's capture raises.
    """
    profile, newest = scanner.place.profile, scanner.manifest.newest
    if newest is None:
        yield SourceDisks({}, {}, _nothing)
        return
    source = source_of(session, profile)
    owner = checkpoint_owner(profile.name, scanner.manifest)
    planned = plan_comparison(source.observe(owner), newest, owner)
    reasons = dict(planned.not_compared)
    if not planned.capture.disks:
        yield SourceDisks({}, reasons, _nothing)
        return
    with source.capture(planned.capture) as capture:
        captured = {disk.disk.name: disk for disk in capture.disks}
        yield SourceDisks(captured, reasons, capture.require_alive)


def _nothing() -> None:
    """Find nothing wrong."""


def compare(scanner: Scanner, source: SourceDisks, findings: Findings) -> Compared | None:
    """Compare what did not change since the newest point with its digests, then with its image.

    Raises CaptureLost when what was read may be of a later moment.
    """
    newest = scanner.manifest.newest
    if newest is None:
        return None
    disks = tuple(_disk(scanner, source, findings, newest, d.disk) for d in newest.deltas)
    source.require_alive()
    return Compared(newest.name, disks)


def _disk(
    scanner: Scanner, source: SourceDisks, findings: Findings, newest: BootPoint, disk: str
) -> ComparedDisk:
    captured, delta = source.captured.get(disk), scanner.readable(newest, disk)
    reason = source.not_compared.get(disk, "")
    if delta is None:
        reason = "its table of digests is damaged"
    if captured is None or captured.changes is None or delta is None or reason:
        return ComparedDisk(disk, not_compared=reason or "not captured")
    with scanner.served(newest, [delta]) as (served,):
        subject = DigestedDisk(disk, captured.endpoint, served.digests)
        found = verify_disk(subject, Unchanged(captured.changes), scanner.source_pace)
        differing = found.covering(delta.size)
        here = verify_disk(served, OnlyRanges(differing), scanner.pace)
        findings.note(newest, delta, here, differing)
        both = overlap(differing, here.covering(delta.size))
        agreeing = alike(scanner, captured.endpoint, scanner.source_pace, served, both)
    compared = delta.size - found.passed_bytes
    unlike = without(differing, both)
    return ComparedDisk(
        disk, compared, found.passed_bytes, "", tuple(unlike), tuple(overlap(agreeing, both))
    )


def alike(
    scanner: Scanner,
    other: NbdEndpoint,
    other_pace: Pace,
    served: DigestedDisk,
    ranges: Sequence[Range],
) -> list[Range]:
    """Return the blocks that a disk of a point and another image both have, whatever tables say."""
    if not ranges:
        return []
    algorithm = scanner.manifest.digests
    there = digests_at(served.disk, other, ranges, algorithm, other_pace)
    here = digests_at(served.disk, served.image, ranges, algorithm, scanner.pace)
    return joined((at, at + BLOCK) for at, digest in here.items() if there.get(at) == digest)
