"""How many boot points are kept, and which: the limit and its tiers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TypeAlias

from standby.errors import FixProfile

SMALLEST_LIMIT = 1
LARGEST_LIMIT = 64  # a chain's cost in reading grows with its length: cheap at 22, not at 200
DEFAULT_LIMIT = 22
HARD_CAP_ABOVE_LIMIT = 16  # how far obstacles may hold merges up before cycles stop


class Period(Enum):
    """A stretch of the UTC calendar of which one point is kept; weeks begin on Monday."""

    HOUR = "hourly"
    DAY = "daily"
    WEEK = "weekly"
    MONTH = "monthly"


@dataclass(frozen=True, slots=True)
class KeepAll:
    """Keep every point that was true less than `age` ago, as far as the limit allows."""

    age: timedelta


@dataclass(frozen=True, slots=True)
class KeepOnePer:
    """Keep the youngest point of each of the last `count` periods that have points."""

    period: Period
    count: int


Tier: TypeAlias = KeepAll | KeepOnePer


@dataclass(frozen=True, slots=True)
class Keep:
    """The limit, 1 to 64 points, and the tiers within it. No tiers: the newest points stay."""

    limit: int = DEFAULT_LIMIT
    tiers: tuple[Tier, ...] = ()

    def __post_init__(self) -> None:
        if not SMALLEST_LIMIT <= self.limit <= LARGEST_LIMIT:
            raise FixProfile(
                "boot point limit", str(self.limit), f"{SMALLEST_LIMIT} to {LARGEST_LIMIT}"
            )

    @property
    def hard_cap(self) -> int:
        """The number of points at which a cycle makes no further one."""
        return self.limit + HARD_CAP_ABOVE_LIMIT

    @property
    def calendar_tiers(self) -> tuple[KeepOnePer, ...]:
        """The tiers that keep one point of each period."""
        return tuple(tier for tier in self.tiers if isinstance(tier, KeepOnePer))


def fits(keep: Keep) -> str | None:
    """Say why the tiers cannot be kept within the limit, or return None when they can.

    The newest point is the youngest of its hour, day, week and month alike and counts once, so
    tiers of 12, 7 and 4 ask for at most 1 + 11 + 6 + 3 = 21 points. `all` asks for no more than
    that newest point, since it is thinned to whatever room the others leave.
    """
    wrong = [_wrong_tier(tier) for tier in keep.tiers]
    twice = [kind for kind, count in Counter(map(_kind, keep.tiers)).items() if count > 1]
    most = 1 + sum(tier.count - 1 for tier in keep.calendar_tiers)
    if problem := next(filter(None, wrong), None):
        return problem
    if twice:
        return f"{twice[0]} stands there more than once"
    if most > keep.limit:
        sizes = ", ".join(f"{t.period.value} {t.count}" for t in keep.calendar_tiers)
        return f"{sizes} ask for up to {most} boot points, more than the limit of {keep.limit}"
    return None


def _wrong_tier(tier: Tier) -> str | None:
    match tier:
        case KeepAll(age) if age <= timedelta(0):
            return "all: not a positive duration"
        case KeepOnePer(period, count) if count < 1:
            return f"{period.value}: {count} points, expected at least 1"
    return None


def _kind(tier: Tier) -> str:
    return tier.period.value if isinstance(tier, KeepOnePer) else "all"
