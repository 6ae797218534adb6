"""How long the storage of a standby lasts, by the growth seen. Pure; sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from standby.model.amount import readable
from standby.model.health import Concern, Problem, Severity
from standby.model.keep import Keep
from standby.model.point import BootPoint, Way
from standby.planning.durations import readable_duration

SOON: Final = timedelta(days=7)
VERY_SOON: Final = timedelta(days=1)
_LATELY: Final = 3
_ENOUGH: Final = 2  # boot points, to call what they take usual
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Growth:
    """What one more boot point takes on average, at most lately, and how far apart they are."""

    each: float
    largest: int
    apart: timedelta

    @property
    def each_day(self) -> float:
        """Bytes that new points take in a day."""
        return self.each * (_DAY / self.apart)


@dataclass(frozen=True, slots=True)
class Room:
    """How long the free space lasts. `lasts` is None when the chain is as long as it gets.

    `needed` is what the boot points still to come take until there are as many as are kept.
    """

    growth: Growth
    needed: int
    lasts: timedelta | None


def growth(points: Sequence[BootPoint]) -> Growth | None:
    """Return how boot points grow, from those there are; None before that can be told.

    The oldest holds the whole machine, and so does a first copy of it.
    """
    changes = [(p, _stored(p)) for p in points[1:] if p.made is not Way.SEED]
    if len(changes) < _ENOUGH:
        return None
    span = points[-1].name.moment - points[0].name.moment
    apart = span / (len(points) - 1)
    sizes = [size for _, size in changes]
    return Growth(sum(sizes) / len(sizes), max(sizes[-_LATELY:]), apart)


def room(points: Sequence[BootPoint], keep: Keep, available: int, reserve: int) -> Room | None:
    """Return how long the free space lasts until `keep` merges as much away as is added."""
    seen = growth(points)
    if seen is None:
        return None
    needed = round(max(keep.limit - len(points), 0) * seen.each)
    free = max(available - reserve, 0)
    if needed <= free or not seen.each:
        return Room(seen, needed, None)
    return Room(seen, needed, seen.apart * (free / seen.each))


def space_problems(
    points: Sequence[BootPoint], keep: Keep, available: int, reserve: int, storage: str
) -> Iterator[Problem]:
    """Say that the storage runs out: the gravest that is true."""
    seen = room(points, keep, available, reserve)
    largest = seen.growth.largest if seen else 0
    if points and available < reserve + largest:
        yield Problem(
            Concern.SPACE,
            Severity.CRITICAL,
            f"{readable(available)} free in {storage}: the next boot point may not fit, "
            f"{readable(largest)} as of late beside {readable(reserve)} in reserve",
            "free space there, or lower boot_points.limit",
        )
    elif seen is not None and seen.lasts is not None and seen.lasts <= SOON:
        yield Problem(
            Concern.SPACE,
            Severity.CRITICAL if seen.lasts <= VERY_SOON else Severity.WARNING,
            f"{storage} is full in about {readable_duration(seen.lasts)}: {readable(available)} "
            f"free, boot points take {readable(round(seen.growth.each_day))} a day, and those "
            f"still to come until {keep.limit} are kept {readable(seen.needed)}",
            "free space there, or lower boot_points.limit",
        )


def _stored(point: BootPoint) -> int:
    return sum(delta.stored for delta in point.deltas)
