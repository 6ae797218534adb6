"""Which boot points are merged, and in which order: one pure function decides.

A merge gives up the older of two neighbours; the younger survives. So every decision here is
which point to lose next, and the pair follows: that point and the one directly above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import pairwise

from standby.errors import RepairStore, TryLater
from standby.model.keep import Keep, KeepAll, KeepOnePer, Period
from standby.model.names import PointName
from standby.model.observation import TargetObservation
from standby.model.point import BootPoint, Standing
from standby.planning.obstacles import NO_OBSTACLES, Obstacles, obstacles, why_not


class MergeCause(Enum):
    """What makes a merge due. The order is the order of urgency."""

    UNFINISHED = "an interrupted merge has to be finished"
    OUTSIDE_TIERS = "no tier keeps it"
    ALL_THINNED = "above the limit: 'all' is thinned first"
    ABOVE_LIMIT = "above the limit"


class ChainLevel(Enum):
    """How long a chain is, compared with its limit."""

    WITHIN_LIMIT = "within its limit"
    ABOVE_LIMIT = "above its limit"
    AT_HARD_CAP = "at its hard cap"


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge: the older point is given up, the younger takes over its files."""

    older: PointName
    younger: PointName
    cause: MergeCause


@dataclass(frozen=True, slots=True)
class DeferredMerge:
    """A merge that is due and must wait, or for which the next allowed pair was taken."""

    older: PointName
    younger: PointName
    cause: MergeCause
    obstacle: str  # for people


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What plan_merges decided. Merges stand in the order in which they are to be done."""

    keep: Keep
    before: int  # number of points now, given-up ones included
    after: int  # number of points once every merge is done
    merges: tuple[Merge, ...] = ()
    deferred: tuple[DeferredMerge, ...] = ()

    @property
    def level_before(self) -> ChainLevel:
        """How long the chain is now."""
        return chain_level(self.before, self.keep)

    @property
    def level_after(self) -> ChainLevel:
        """How long the chain will be once every merge is done."""
        return chain_level(self.after, self.keep)


@dataclass(frozen=True, slots=True)
class _Due:
    """A point to lose, by its place in the chain."""

    place: int
    cause: MergeCause


def plan_merges(
    points: Sequence[BootPoint],
    keep: Keep,
    now: datetime,
    obstacles: Obstacles = NO_OBSTACLES,
) -> MergePlan:
    """Decide which neighbours are merged. Points oldest first; `now` is UTC.

    What is due, most urgent first:
    1. Every point that an interrupted merge gave up, oldest first; of two neighbours the younger,
       so that the survivor of a finished merge is always a whole point.
    2. With tiers, every point that none of them keeps, oldest first, even below the limit.
    3. While more than `limit` points remain: oldest first, those that only `all` keeps before
       those that another tier keeps. Without tiers that is simply the oldest.

    What the tiers keep: `all` keeps a point while it was true less than its age ago; hourly,
    daily, weekly and monthly each keep, independently, the youngest point of each of the last n
    UTC hours, days, ISO weeks (from Monday) and months *that have points*. Empty periods do not
    count, so neither a pause of months nor a clock that jumps ahead makes history disappear. It
    has to be the youngest, because a merge keeps the younger of a pair.

    When obstacles forbid a due pair, the next due one is taken. The plan is what comes out of
    taking the most urgent allowed pair again and again; planning again after any number of its
    merges gives exactly the rest of it, and after all of them, nothing. Losing a point never
    makes another one due, so a new point leads to few merges and never to merging to and fro.

    Raises RepairStore when the newest point is given up, which no merge can bring about.
    """
    chain = tuple(points)
    if chain and chain[-1].standing is Standing.GIVEN_UP:
        raise RepairStore(
            f"boot point {chain[-1].name}", "the newest, and given up", "a whole newest point"
        )
    merges: list[Merge] = []
    passed: dict[PointName, tuple[MergeCause, str]] = {}
    while step := _next_merge(chain, keep, now, obstacles, passed):
        merges.append(step)
        chain = tuple(point for point in chain if point.name != step.older)
    deferred = tuple(
        DeferredMerge(older.name, younger.name, *passed[older.name])
        for older, younger in pairwise(chain)
        if older.name in passed
    )
    return MergePlan(keep, len(points), len(chain), tuple(merges), deferred)


def merges_due(target: TargetObservation, keep: Keep, now: datetime) -> MergePlan:
    """Decide which neighbours of a standby, as it was observed, are merged; `now` is UTC.

    Tiers go by the earlier of two clocks, ours and the KVM host's: a clock that is ahead must not
    make points too old to be kept.
    """
    earlier = now if target.clock is None else min(now, target.clock)
    return plan_merges(target.manifest.points, keep, earlier, obstacles(target))


def chain_level(count: int, keep: Keep) -> ChainLevel:
    """Tell how long a chain of `count` points is."""
    if count >= keep.hard_cap:
        return ChainLevel.AT_HARD_CAP
    return ChainLevel.ABOVE_LIMIT if count > keep.limit else ChainLevel.WITHIN_LIMIT


def point_allowed(points: Sequence[BootPoint], keep: Keep) -> bool:
    """Tell whether a cycle may make another point: not at the hard cap."""
    return chain_level(len(points), keep) is not ChainLevel.AT_HARD_CAP


def require_point_allowed(standby: str, plan: MergePlan) -> None:
    """Raise TryLater (exit status 75) when the chain stays at its hard cap after the plan."""
    if plan.level_after is not ChainLevel.AT_HARD_CAP:
        return
    obstacle = plan.deferred[0].obstacle if plan.deferred else "all points are protected"
    raise TryLater(
        f"standby {standby}",
        f"{plan.after} boot points, and none can be merged: {obstacle}",
        f"fewer than {plan.keep.hard_cap}, the limit of {plan.keep.limit} and 16 more",
        f"see what holds its merges up: standby show {standby}",
    )


def _next_merge(
    chain: tuple[BootPoint, ...],
    keep: Keep,
    now: datetime,
    obstacles: Obstacles,
    passed: dict[PointName, tuple[MergeCause, str]],
) -> Merge | None:
    """Take the first allowed pair of those due; note in `passed` the ones passed over."""
    excess = len(chain) - keep.limit
    for rank, due in enumerate(_due(chain, keep, now)):
        older, younger = chain[due.place], chain[due.place + 1]
        obstacle = why_not(due.place, chain, obstacles)
        if obstacle is None:
            return Merge(older.name, younger.name, due.cause)
        if due.cause in _DUE_WHATEVER_THE_COUNT or rank < excess:
            passed[older.name] = (due.cause, obstacle)
    return None


_DUE_WHATEVER_THE_COUNT = frozenset({MergeCause.UNFINISHED, MergeCause.OUTSIDE_TIERS})


def _due(chain: tuple[BootPoint, ...], keep: Keep, now: datetime) -> list[_Due]:
    """Return every pair that is due now, most urgent first; the newest is never one to lose."""
    above = len(chain) > keep.limit
    due = [
        _Due(place, cause)
        for place, cause in enumerate(_causes(chain, keep, now)[:-1])
        if above or cause in _DUE_WHATEVER_THE_COUNT
    ]
    return sorted(due, key=_urgency)


def _urgency(due: _Due) -> tuple[int, int]:
    return list(MergeCause).index(due.cause), due.place


def _causes(chain: tuple[BootPoint, ...], keep: Keep, now: datetime) -> list[MergeCause]:
    """Say of each point why it would be lost, if it came to that."""
    whole = [point for point in chain if point.standing is Standing.WHOLE]
    by_calendar = frozenset(n for tier in keep.calendar_tiers for n in _kept_by(tier, whole))
    return [_cause(point, keep, by_calendar, now) for point in chain]


def _cause(
    point: BootPoint, keep: Keep, by_calendar: frozenset[PointName], now: datetime
) -> MergeCause:
    if point.standing is Standing.GIVEN_UP:
        return MergeCause.UNFINISHED
    if not keep.tiers or point.name in by_calendar:
        return MergeCause.ABOVE_LIMIT
    ages = [tier.age for tier in keep.tiers if isinstance(tier, KeepAll)]
    if any(max(point.true_at, point.name.moment) > now - age for age in ages):
        return MergeCause.ALL_THINNED
    return MergeCause.OUTSIDE_TIERS


def _kept_by(tier: KeepOnePer, whole: Sequence[BootPoint]) -> list[PointName]:
    youngest = {period_start(tier.period, point.name.moment): point.name for point in whole}
    return sorted(youngest.values())[-tier.count :]


def period_start(period: Period, moment: datetime) -> datetime:
    """Return when the UTC hour, day, ISO week or month that holds `moment` began."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    match period:
        case Period.HOUR:
            return hour
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)
