"""What to copy, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from standby.errors import FixRequest
from standby.model.digest import DigestAlgorithm
from standby.model.extent import NbdEndpoint
from standby.model.spoilt import Range


@dataclass(frozen=True, slots=True)
class Everything:
    """The whole disk."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change tracker marked. `context` as in qemu:dirty-bitmap:backup-vda.

    `also` is taken for changed whatever the tracker says: sorted, apart, whole blocks.
    """

    context: str
    also: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Differing:
    """What is not as the table of digests says: the whole disk is read, little is sent."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What an interrupted first seed, or an interrupted copy of what differs, did not bring over.

    The target is what it left behind, image and table, and written by copies with digests only.
    If they stand on others, those are what they were. May be interrupted in its turn, as often as
    it likes.
    """


Scope = Everything | Changed | Differing | Unfinished


@dataclass(frozen=True, slots=True)
class DigestTable:
    """The digests of the target's blocks: what they are before the copy, and after it.

    It reads as the table of what the target reads as, until it is overwritten.
    """

    endpoint: NbdEndpoint
    algorithm: DigestAlgorithm


class ZeroPolicy(Enum):
    """What to do with what reads as zeroes on the source."""

    # Only into a new image without a backing file, which reads as zeroes already.
    LEAVE_OUT = "leave out"
    # A write-zeroes request: it hides what lies below, which a trim does not.
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Pending:
    """What a copy would move, in bytes; an upper bound, in whole blocks.

    Zeroes that the source stores as data count as data: only reading them tells.
    """

    data_bytes: int
    zero_bytes: int

    @property
    def total_bytes(self) -> int:
        """Bytes of both kinds."""
        return self.data_bytes + self.zero_bytes


@dataclass(frozen=True, slots=True)
class DiskCopy:
    """One disk's copy. `expected`, from `pending`, gives progress its total.

    With `digests`, each block that is written gets its digest, and a block that has it already
    is not sent. Only Everything believes nothing: it sends all and writes the table anew.
    """

    disk: str
    source: NbdEndpoint
    target: NbdEndpoint
    scope: Scope
    zeroes: ZeroPolicy
    expected: Pending | None = None
    digests: DigestTable | None = None
    again: tuple[Range, ...] = ()  # sent whatever their digests say

    def __post_init__(self) -> None:
        if self.zeroes is ZeroPolicy.LEAVE_OUT and not isinstance(self.scope, Everything):
            raise FixRequest(
                f"disk {self.disk}",
                "leaving zeroes out of a copy of changes",
                "zeroes left out only of the first seed",
            )
        if self.digests is None and isinstance(self.scope, Differing | Unfinished):
            raise FixRequest(
                f"disk {self.disk}", "no table of digests to compare with", "a table of digests"
            )


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What was sent for one disk: bytes as data, bytes as write-zeroes requests, seconds.

    `unchanged_bytes` were looked at, and not sent because the target has them already;
    `read_bytes` came from the source, zeroes that it stores as data among them.
    """

    disk: str
    data_bytes: int
    zero_bytes: int
    seconds: float
    unchanged_bytes: int = 0
    read_bytes: int = 0


class CancelToken(Protocol):
    """Says that somebody wants us to stop; a threading.Event is one."""

    def is_set(self) -> bool:
        """Tell whether to stop."""


# Disk, bytes done, bytes in all (the disk's size where nothing better is known).
Progress = Callable[[str, int, int], None]
Told = Callable[[Sequence[CopyResult]], None]

# Raises a StandbyError when what is read may no longer be the moment of the capture. Called
# about once a second from the copy loop, and after the last read: it must return quickly.
AliveCheck = Callable[[], None]
