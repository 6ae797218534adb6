"""Boot points and the deltas they stand on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final

from standby.model.names import PointName
from standby.model.spoilt import Range, SpoiltDisk


class Way(Enum):
    """How a cycle moves a disk's state."""

    SEED = "seed"  # everything
    INCREMENTAL = "incremental"  # only changed extents, from a change tracker
    RESYNC = "resync"  # only blocks whose digests differ


class Consistency(Enum):
    """What a boot point is worth to the programs inside it."""

    CRASH = "crash"
    FILESYSTEM = "filesystem"
    APPLICATION = "application"


class Standing(Enum):
    """Whether a point may still be read."""

    WHOLE = "whole"
    GIVEN_UP = "given up"  # a merge may be writing the younger neighbour's state into it


def digests_beside(file: str) -> str:
    """Return the digests' file that belongs to a delta's file."""
    return file.removesuffix(".qcow2") + ".digests"


# What takes the place of "whole" for people, programs and shells where a point is spoilt: nobody
# who looks for whole points must find it.
SPOILT: Final = "spoilt"
REMADE: Final = "its entry in the manifest was lost, and made anew from the files"
"""The reason of a point of which nothing else is known any more."""


class Base(Enum):
    """What a delta's file stands on."""

    BELOW = "below"  # the same disk's delta of the point directly below, where there is one
    NOTHING = "nothing"  # a disk's first copy, or its first one after it had been absent


@dataclass(frozen=True, slots=True)
class Delta:
    """One disk's file of one point. Sizes in bytes."""

    disk: str
    file: str  # relative to the standby's directory: deltas/vda.0007.qcow2
    size: int  # virtual size of the disk at this point
    stored: int  # allocated bytes of the file when it was published
    base: Base = Base.BELOW
    image: str = ""  # the source's, by which it is told from those of other disks

    @property
    def digests(self) -> str:
        """Return the file of its digests, which stand in a chain of their own beside the disk's."""
        return digests_beside(self.file)


@dataclass(frozen=True, slots=True)
class BlankDisk:
    """A disk that the standby has in place of an excluded one: empty, of the same size."""

    disk: str
    size: int


@dataclass(frozen=True, slots=True)
class BootPoint:
    """One restorable state of the whole machine."""

    name: PointName
    made: Way
    reason: str  # why it was made this way, for people
    consistency: Consistency
    deltas: tuple[Delta, ...]
    sent: int  # bytes that crossed to the KVM host for it
    true_at: datetime  # UTC; last moment at which a cycle found the source still in this state
    checkpoint: str | None = None  # the source's checkpoint at this state
    blanks: tuple[BlankDisk, ...] = ()
    definition: str = ""  # digest of the machine's definition and firmware variables
    pinned: bool = False
    standing: Standing = Standing.WHOLE
    spoilt: tuple[SpoiltDisk, ...] = ()  # what a verification found damaged, and could not mend

    @property
    def good(self) -> bool:
        """Whether it may be read, and nothing of it is known to be damaged."""
        return self.standing is Standing.WHOLE and not self.spoilt

    @property
    def standing_word(self) -> str:
        """What it is worth in one word: whole, spoilt or given up."""
        whole = self.standing is Standing.WHOLE
        return SPOILT if whole and self.spoilt else self.standing.value

    def is_spoilt_whole(self, delta: Delta) -> bool:
        """Tell whether nothing vouches for a disk, as when its digests are lost."""
        return self.spoilt_ranges(delta.disk) == ((0, delta.size),)

    def spoilt_ranges(self, disk: str) -> tuple[Range, ...]:
        """Return the ranges of a disk, in bytes, that are known to be damaged."""
        return next((it.ranges for it in self.spoilt if it.disk == disk), ())

    def delta_of(self, disk: str) -> Delta | None:
        """Return the delta of one disk, or None when this point has no such disk."""
        return next((delta for delta in self.deltas if delta.disk == disk), None)

    def still_true(self, moment: datetime) -> BootPoint:
        """Return this point stamped as still true at `moment` (UTC)."""
        return replace(self, true_at=max(self.true_at, moment))
