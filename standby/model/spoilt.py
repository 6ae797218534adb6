"""What of a boot point is known to be damaged: ranges of its disks, bounded in number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

# Bytes of a disk: the first, and the first after it.
Range = tuple[int, int]

# Of one disk of one point. The manifest is read whole by every look at a standby; more damage
# than that is described by fewer, larger ranges.
MOST_RANGES: Final = 64


@dataclass(frozen=True, slots=True)
class SpoiltDisk:
    """The ranges of one disk that are not what they were: sorted, apart, whole blocks.

    They cover all that is damaged, and where the damage is scattered, sound blocks between.
    """

    disk: str
    ranges: tuple[Range, ...]

    @property
    def bytes(self) -> int:
        """How much they cover."""
        return total(self.ranges)


def spoilt_disk(disk: str, ranges: Iterable[Range]) -> SpoiltDisk | None:
    """Describe damage in at most MOST_RANGES ranges; None when there is none."""
    found = covering(ranges)
    return SpoiltDisk(disk, found) if found else None


def covering(ranges: Iterable[Range], most: int = MOST_RANGES) -> tuple[Range, ...]:
    """Return at most `most` ranges that cover these: the smallest gaps are closed."""
    apart = joined(ranges)
    if len(apart) <= most:
        return tuple(apart)
    gaps = [(after[0] - before[1], place) for place, (before, after) in enumerate(pairwise(apart))]
    kept = sorted(place for _, place in sorted(gaps, reverse=True)[: most - 1])
    firsts = [0, *(place + 1 for place in kept)]
    lasts = [*kept, len(apart) - 1]
    return tuple((apart[a][0], apart[b][1]) for a, b in zip(firsts, lasts, strict=True))


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Return the same bytes as sorted ranges that are apart."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif start < end:
            found.append((start, end))
    return found


def overlap(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """Return what lies in both."""
    left, right = joined(ranges), joined(others)
    found: list[Range] = []
    a = b = 0
    while a < len(left) and b < len(right):
        start, end = max(left[a][0], right[b][0]), min(left[a][1], right[b][1])
        if start < end:
            found.append((start, end))
        if left[a][1] < right[b][1]:
            a += 1
        else:
            b += 1
    return found


def without(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """Return what lies in the first but in none of the others."""
    whole = joined(ranges)
    return overlap(whole, gaps(others, 0, whole[-1][1])) if whole else []


def gaps(ranges: Iterable[Range], start: int, end: int) -> list[Range]:
    """Return what of the bytes from `start` up to `end` lies in none of the ranges."""
    found: list[Range] = []
    for first, last in joined(ranges):
        if first > start:
            found.append((start, min(first, end)))
        start = max(start, last)
    if start < end:
        found.append((start, end))
    return [(first, last) for first, last in found if first < last]


def total(ranges: Sequence[Range]) -> int:
    """Return how many bytes they are."""
    return sum(end - start for start, end in ranges)
