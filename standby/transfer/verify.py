"""Verifying that an image still holds what its digests say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from standby.errors import UseOtherStorage
from standby.model.extent import ExtentKind
from standby.model.spoilt import Range, joined, total
from standby.transfer.chosen import ChosenBlocks
from standby.transfer.connection import ALLOCATION, DEPTH, Connection, Role
from standby.transfer.digests import digester
from standby.transfer.feed import READERS, Feed, Ledger, Part, Pool
from standby.transfer.job import Everything
from standby.transfer.scan import AT_FULL_SPEED, DigestedDisk, Pace, Scan
from standby.transfer.scout import Scout, UnchangedScout, is_own_layer
from standby.transfer.sieve import by_digests
from standby.transfer.table import Table, Trust

# Ranges that are named; what lies beyond is only counted. An image with that many is lost.
MOST_NAMED = 16384
_ALL: Final = Everything()


@dataclass(frozen=True, slots=True)
class OwnLayer:
    """What the top file of the image itself holds, not what shines through from below.

    The server must be asked to tell it (`allocation-depth=on` for an export of QEMU's).
    """


@dataclass(frozen=True, slots=True)
class OnlyRanges:
    """Some ranges, in bytes, rounded outward to whole blocks."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """What a change tracker did not mark. `context` as in qemu:dirty-bitmap:backup-vda."""

    context: str


VerifyScope = Everything | OwnLayer | OnlyRanges | Unchanged


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found, in bytes and in whole blocks (but for the end of the disk).

    `damaged` holds ranges as first byte and first byte after it, sorted and apart; if they do
    not add up to `damaged_bytes`, there are more than can be named. `passed_bytes` were not looked
    at since they had changed.
    """

    disk: str
    read_bytes: int
    zero_bytes: int
    damaged_bytes: int
    damaged: tuple[Range, ...]
    passed_bytes: int = 0

    def covering(self, size: int) -> tuple[Range, ...]:
        """Return ranges that cover all damage of a disk of `size` bytes, named or not."""
        if total(self.damaged) == self.damaged_bytes:
            return self.damaged
        return ((self.damaged[0][0], size),)


def verify_disk(
    subject: DigestedDisk, scope: VerifyScope = _ALL, pace: Pace = AT_FULL_SPEED
) -> Verified:
    """Read the image and compare each block with its digest; nothing is written.

    Holes are not read: their digests have to say that they are zeroes.

    Raises TransferFailed, Cancelled; RepairStore when the table is too small for the image;
    UseOtherStorage when the server does not tell what the image's own layer is, or what changed.
    """
    with pace.lines() as lines:
        pool = Pool(1)
        lines.also_close(pool.close)
        image = lines.open(subject.disk, Role.TARGET, subject.image, ALLOCATION)
        marks = None
        if (context := _context(scope)) is not None:
            marks = lines.open(subject.disk, Role.TARGET, subject.image, context)
        entries = lines.open(subject.disk, Role.TABLE, subject.digests.endpoint)
        lines.poller()
        cable = lines.cable(image, READERS)
        poller = lines.poller()
        if marks is not None and not marks.has_context():
            raise UseOtherStorage(image.where, f"the server does not offer {context}")
        table = Table(entries, image.size(), Trust.STORED)
        lines.also_close(table.close)
        runs = _runs(scope, image, marks)
        ledger = Ledger(digester(subject.digests.algorithm), table)
        feed = Feed(runs, cable, pool, ledger, pace.limiter)
        verifier = _Verifier(feed, table)
        Scan(subject.disk, feed, verifier, image.size(), pace).run(poller)
        lines.leave()
    passed = runs.changed_bytes if isinstance(runs, UnchangedScout) else 0
    return replace(verifier.result(subject.disk), passed_bytes=passed)


def _context(scope: VerifyScope) -> str | None:
    if isinstance(scope, Unchanged):
        return scope.context
    return DEPTH if isinstance(scope, OwnLayer) else None


def _runs(scope: VerifyScope, image: Connection, marks: Connection | None) -> Scout | ChosenBlocks:
    match scope:
        case OnlyRanges(ranges):
            return ChosenBlocks(ranges, image.size(), image.size())
        case Unchanged():
            return UnchangedScout(image.size(), image, marks)
    return Scout(image.size(), image, marks, is_own_layer)


class _Verifier:
    """Compares parts with the table."""

    def __init__(self, feed: Feed, table: Table) -> None:
        self._feed = feed
        self._table = table
        self._looked_at = dict.fromkeys(ExtentKind, 0)
        self._damaged_bytes = 0
        self._damaged: list[Range] = []

    def receive(self, part: Part) -> None:
        """Note the blocks whose digests are others."""
        kind = ExtentKind.ZERO if part.buffer is None else ExtentKind.DATA
        self._looked_at[kind] += part.length
        known = self._table.known(part.start, part.length)
        for run in by_digests(part.start, part.length, part.digests, known):
            self._damaged_bytes += run.length
            self._name((run.start, run.end))
        self._feed.release(part)

    def _name(self, damaged: Range) -> None:
        self._damaged.append(damaged)
        if len(self._damaged) > 2 * MOST_NAMED:
            self._damaged = joined(self._damaged)[:MOST_NAMED]

    def result(self, disk: str) -> Verified:
        return Verified(
            disk,
            self._looked_at[ExtentKind.DATA],
            self._looked_at[ExtentKind.ZERO],
            self._damaged_bytes,
            tuple(joined(self._damaged)[:MOST_NAMED]),
        )
