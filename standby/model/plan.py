"""Steps of a plan: pure data, printable before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from standby.model.disk import SourceDisk
from standby.model.machine import MachineIdentity
from standby.model.names import PointName
from standby.model.point import BlankDisk, Consistency, Way
from standby.model.seed import NO_IMAGES, SeedImages, SeedOrigin, UnfinishedSeed
from standby.model.spoilt import Range


@dataclass(frozen=True, slots=True)
class DiskPlan:
    """How one disk is brought into the new point.

    `below` is the file its delta stands on; a full copy stands on the old chain too and masks
    it, so that older points stay what they are. `number` is the delta's. A first copy or a resync
    that was interrupted goes on in its own files, those that it `continues`.
    """

    disk: SourceDisk
    way: Way
    reason: str
    below: str | None
    number: int = 0
    again: tuple[Range, ...] = ()  # sent whatever digests and tracker say: spoilt in the newest
    continues: UnfinishedSeed | None = None
    image: str | None = None  # on the KVM host, that a first copy begins from

    @property
    def kept_as(self) -> SeedOrigin | None:
        """What its files are kept as if the cycle is interrupted; None: they are not."""
        if self.below is not None:
            return SeedOrigin.RESYNC if self.way is Way.RESYNC else None
        return SeedOrigin.NOTHING if self.continues is None else self.continues.origin


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """What the source is asked for."""

    disks: tuple[DiskPlan, ...]
    owner: str  # how the names of whatever this standby makes on the source begin
    checkpoint: str  # the new one
    since: str | None  # the one changes are counted from; None when nothing is incremental
    consistency: Consistency


class HeadMove(Enum):
    """What happens to the head after publication."""

    MOVE = "on the newest point"
    STAY = "stays: the standby is reverted to a point"
    LEAVE = "left alone: the standby runs, or boots images of somebody's own"
    SET_ASIDE = "set aside under kept/, since somebody ran it; a fresh one takes its place"


@dataclass(frozen=True, slots=True)
class CyclePlan:
    """One cycle, before anything is done. Printed by --dry-run."""

    machine: MachineIdentity
    point: PointName
    way: Way
    reason: str
    capture: CapturePlan
    debris: tuple[str, ...]
    known_checkpoints: tuple[str, ...]  # ours on the source; all but one will be forgotten
    unfinished_merges: tuple[PointName, ...]  # the older of each pair
    head: HeadMove
    blanks: tuple[BlankDisk, ...] = ()
    warnings: tuple[str, ...] = ()


class Copying(Enum):
    """What somebody asked a cycle to read and send."""

    AS_NEEDED = "what changed, or what differs where the history is lost"
    WHAT_DIFFERS = "read everything, send what differs"
    HISTORY_LOST = "the same, since what looked like a history was none"
    EVERYTHING = "read and send everything"


@dataclass(frozen=True, slots=True)
class CycleRequest:
    """What the caller wants of this cycle beyond its profile."""

    copying: Copying = Copying.AS_NEEDED
    reason: str = "asked for"
    images: SeedImages = NO_IMAGES  # that first copies begin from; the profile names them
