"""Which boot points are merged, case by case."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise, product

import pytest
from chain_world import START, after, after_all, hourly_points, point

from standby.errors import ExitStatus, FixProfile, RepairStore, TryLater
from standby.model.keep import Keep, KeepAll, KeepOnePer, Period, Tier, fits
from standby.model.names import PointName
from standby.model.observation import User
from standby.model.point import BootPoint, Standing
from standby.planning.obstacles import Obstacles, Protected, Protection
from standby.planning.retention import (
    ChainLevel,
    MergeCause,
    MergePlan,
    chain_level,
    period_start,
    plan_merges,
    point_allowed,
    require_point_allowed,
)

HOUR = timedelta(hours=1)
EXAMPLE = (
    KeepAll(HOUR),
    KeepOnePer(Period.HOUR, 12),
    KeepOnePer(Period.DAY, 7),
    KeepOnePer(Period.WEEK, 4),
)


def pairs(plan: MergePlan, points: tuple[BootPoint, ...]) -> list[tuple[int, int]]:
    """The plan's merges as places in the chain."""
    places = {p.name: place for place, p in enumerate(points)}
    return [(places[m.older], places[m.younger]) for m in plan.merges]


def using(place: int, points: tuple[BootPoint, ...]) -> Obstacles:
    return Obstacles(users=(User("domain web (running)", points[place].name),))


def protecting(place: int, points: tuple[BootPoint, ...], why: Protection) -> Obstacles:
    return Obstacles(protected=(Protected(points[place].name, why),))


class TestTheLimitAlone:
    def test_nothing_is_merged_up_to_the_limit(self) -> None:
        plan = plan_merges(hourly_points(3), Keep(3), START)
        assert plan.merges == ()
        assert plan.level_before is ChainLevel.WITHIN_LIMIT

    def test_the_two_oldest_are_merged_above_it(self) -> None:
        points = hourly_points(4)
        plan = plan_merges(points, Keep(3), START)
        assert pairs(plan, points) == [(0, 1)]
        assert plan.merges[0].cause is MergeCause.ABOVE_LIMIT
        assert plan.level_before is ChainLevel.ABOVE_LIMIT
        assert plan.level_after is ChainLevel.WITHIN_LIMIT

    def test_a_limit_that_was_lowered_is_reached_oldest_first(self) -> None:
        points = hourly_points(5)
        assert pairs(plan_merges(points, Keep(2), START), points) == [(0, 1), (1, 2), (2, 3)]

    def test_a_limit_of_one_keeps_the_newest(self) -> None:
        points = hourly_points(3)
        assert after_all(points, plan_merges(points, Keep(1), START)) == points[-1:]

    @pytest.mark.parametrize("count", [0, 1])
    def test_a_chain_without_neighbours_has_nothing_to_merge(self, count: int) -> None:
        assert plan_merges(hourly_points(count), Keep(1, EXAMPLE), START).merges == ()


class TestObstacles:
    def test_a_pinned_point_is_passed_over_and_named(self) -> None:
        points = (point(START, pinned=True), *hourly_points(4)[1:])
        plan = plan_merges(points, Keep(3), START)
        assert pairs(plan, points) == [(1, 2)]
        assert [d.older for d in plan.deferred] == [points[0].name]
        assert plan.deferred[0].obstacle == "V20261122_035600 is pinned"

    def test_a_pinned_point_may_be_the_younger(self) -> None:
        points = (point(START), point(START + HOUR, pinned=True), point(START + 2 * HOUR))
        assert pairs(plan_merges(points, Keep(2), START), points) == [(0, 1)]

    @pytest.mark.parametrize("why", list(Protection))
    def test_a_protected_point_keeps_its_state_for_each_reason(self, why: Protection) -> None:
        points = hourly_points(3)
        plan = plan_merges(points, Keep(1), START, protecting(0, points, why))
        assert pairs(plan, points) == [(1, 2)]
        assert plan.deferred[0].obstacle.endswith(why.value)
        assert plan.level_after is ChainLevel.ABOVE_LIMIT

    def test_what_stands_on_a_point_defers_every_pair_that_writes_at_or_below_it(self) -> None:
        points = hourly_points(5)
        plan = plan_merges(points, Keep(1), START, using(1, points))
        assert pairs(plan, points) == [(2, 3), (3, 4)]
        assert [d.older for d in plan.deferred] == [p.name for p in points[:2]]
        assert "domain web (running)" in plan.deferred[0].obstacle

    def test_a_machine_on_the_newest_point_defers_everything(self) -> None:
        points = hourly_points(4)
        plan = plan_merges(points, Keep(2), START, using(3, points))
        assert plan.merges == ()
        assert plan.level_after is ChainLevel.ABOVE_LIMIT

    @pytest.mark.parametrize("stands_on", [None, PointName.at(START - HOUR)])
    def test_an_unknown_user_defers_everything(self, stands_on: PointName | None) -> None:
        points = (point(START, given_up=True), *hourly_points(4)[1:])
        unknown = Obstacles(users=(User("copy.qcow2", stands_on),))
        plan = plan_merges(points, Keep(1), START, unknown)
        assert plan.merges == ()
        assert {d.obstacle.split(" stands on ")[0] for d in plan.deferred} == {"copy.qcow2"}

    def test_only_as_many_pairs_are_reported_as_there_are_points_too_many(self) -> None:
        points = hourly_points(20)
        plan = plan_merges(points, Keep(18), START, using(19, points))
        assert [d.older for d in plan.deferred] == [p.name for p in points[:2]]

    def test_a_head_that_moved_does_not_protect_what_it_left(self) -> None:
        points = hourly_points(2)
        before = protecting(0, points, Protection.HEAD)
        assert plan_merges(points, Keep(1), START, before).merges == ()
        moved = before.following(points[1].name)
        assert pairs(plan_merges(points, Keep(1), START, moved), points) == [(0, 1)]


class TestUnfinishedMerges:
    def test_they_come_first_even_below_the_limit(self) -> None:
        points = (point(START), point(START + HOUR, given_up=True), point(START + 2 * HOUR))
        plan = plan_merges(points, Keep(22), START)
        assert pairs(plan, points) == [(1, 2)]
        assert plan.merges[0].cause is MergeCause.UNFINISHED

    def test_the_youngest_of_neighbours_comes_first_so_that_the_survivor_is_whole(self) -> None:
        points = (point(START, given_up=True), point(START + HOUR, given_up=True))
        points = (*points, point(START + 2 * HOUR))
        assert pairs(plan_merges(points, Keep(22), START), points) == [(1, 2), (0, 2)]

    def test_one_in_use_is_reported_and_its_neighbours_are_left_alone(self) -> None:
        given_up = point(START + HOUR, given_up=True)
        points = (*hourly_points(1), given_up, *hourly_points(6)[2:])
        plan = plan_merges(points, Keep(1), START, using(1, points))
        assert pairs(plan, points) == [(3, 4), (4, 5)]
        assert given_up.name in {d.older for d in plan.deferred}

    @pytest.mark.parametrize("why", [Protection.PROVEN, Protection.HEAD])
    def test_what_protected_a_point_is_lost_once_it_is_given_up(self, why: Protection) -> None:
        points = (point(START, given_up=True, pinned=True), point(START + HOUR))
        plan = plan_merges(points, Keep(22), START, protecting(0, points, why))
        assert pairs(plan, points) == [(0, 1)]

    def test_one_that_the_standby_is_reverted_to_is_not_changed_unasked(self) -> None:
        points = (point(START, given_up=True), *hourly_points(3)[1:])
        plan = plan_merges(points, Keep(1), START, protecting(0, points, Protection.REVERTED_TO))
        assert plan.merges == ()

    def test_one_that_has_to_wait_takes_no_place_in_the_tiers(self) -> None:
        given_up = point(START + 2 * HOUR, given_up=True)
        points = (*hourly_points(2), given_up, point(START + 3 * HOUR))
        stuck = protecting(2, points, Protection.REVERTED_TO)
        keep = Keep(22, (KeepOnePer(Period.HOUR, 3),))
        assert plan_merges(points, keep, START, stuck).merges == ()

    def test_a_newest_point_that_is_given_up_is_an_error(self) -> None:
        with pytest.raises(RepairStore):
            plan_merges((point(START, given_up=True),), Keep(), START)


class TestTheHardCap:
    def test_a_cycle_makes_no_point_at_sixteen_above_the_limit(self) -> None:
        assert point_allowed(hourly_points(3 + 15), Keep(3))
        assert not point_allowed(hourly_points(3 + 16), Keep(3))
        assert chain_level(3 + 16, Keep(3)) is ChainLevel.AT_HARD_CAP

    def test_the_error_names_what_holds_merges_up_and_exits_with_75(self) -> None:
        points = hourly_points(1 + 16)
        plan = plan_merges(points, Keep(1), START, using(16, points))
        with pytest.raises(TryLater, match=r"domain web \(running\)") as caught:
            require_point_allowed("web", plan)
        assert caught.value.exit_status is ExitStatus.TRY_LATER

    def test_merges_that_are_allowed_make_room(self) -> None:
        require_point_allowed("web", plan_merges(hourly_points(1 + 16), Keep(1), START))


class TestTiers:
    def survivors(
        self, points: tuple[BootPoint, ...], keep: Keep, now_after: timedelta = timedelta(0)
    ) -> list[int]:
        now = points[-1].name.moment + now_after
        left = after_all(points, plan_merges(points, keep, now))
        return [points.index(p) for p in left]

    def test_the_youngest_of_each_of_the_last_hours_survives(self) -> None:
        points = hourly_points(10, step=timedelta(minutes=20))  # 3:56, 4:16, 4:36, 4:56, 5:16 …
        assert self.survivors(points, Keep(22, (KeepOnePer(Period.HOUR, 2),))) == [6, 9]

    def test_points_that_no_tier_keeps_go_even_below_the_limit(self) -> None:
        points = hourly_points(3, step=timedelta(minutes=1))
        plan = plan_merges(points, Keep(22, (KeepOnePer(Period.DAY, 7),)), START)
        assert [m.cause for m in plan.merges] == [MergeCause.OUTSIDE_TIERS] * 2

    def test_empty_periods_do_not_count(self) -> None:
        points = hourly_points(4, step=timedelta(days=40))
        assert self.survivors(points, Keep(22, (KeepOnePer(Period.DAY, 3),))) == [1, 2, 3]

    def test_history_does_not_vanish_when_the_clock_jumps_ahead(self) -> None:
        points = hourly_points(12)
        keep = Keep(22, (KeepOnePer(Period.HOUR, 12),))
        assert self.survivors(points, keep, timedelta(days=4000)) == list(range(12))

    def test_all_keeps_what_is_younger_than_its_age(self) -> None:
        points = hourly_points(7, step=timedelta(minutes=15))
        assert self.survivors(points, Keep(22, (KeepAll(HOUR),))) == [3, 4, 5, 6]

    def test_all_keeps_a_point_that_was_still_true_within_its_age(self) -> None:
        stamped = point(START, true_at=START + timedelta(hours=9, minutes=30))
        points = (stamped, point(START + 10 * HOUR))
        assert self.survivors(points, Keep(22, (KeepAll(HOUR),))) == [0, 1]

    def test_all_is_thinned_first_oldest_first(self) -> None:
        old = tuple(point(START - timedelta(days=n)) for n in (2, 1))
        points = (*old, *hourly_points(6, step=timedelta(minutes=1)))
        keep = Keep(5, (KeepAll(HOUR), KeepOnePer(Period.DAY, 3)))
        assert self.survivors(points, keep) == [0, 1, 5, 6, 7]

    def test_pinned_points_count_and_take_the_places_of_the_oldest(self) -> None:
        points = tuple(point(START + timedelta(days=n), pinned=n in (1, 2)) for n in range(4))
        assert self.survivors(points, Keep(3, (KeepOnePer(Period.DAY, 4),))) == [1, 2, 3]

    def test_the_example_of_the_documents_fills_up_and_stays_within_22(self) -> None:
        chain: tuple[BootPoint, ...] = ()
        longest = 0
        for n in range(24 * 4 * 40):
            now = START + n * timedelta(minutes=15)
            chain = (*chain, point(now))
            chain = after_all(chain, plan_merges(chain, Keep(22, EXAMPLE), now))
            longest = max(longest, len(chain))
        newest = chain[-1].name.moment
        assert longest == 22
        assert chain[0].name.moment == period_start(Period.WEEK, newest) - timedelta(
            days=14, minutes=4
        )

    @pytest.mark.parametrize(
        ("period", "start"),
        [
            (Period.HOUR, "2026-11-22 03:00"),
            (Period.DAY, "2026-11-22 00:00"),
            (Period.WEEK, "2026-11-16 00:00"),  # a Monday
            (Period.MONTH, "2026-11-01 00:00"),
        ],
    )
    def test_periods_follow_the_calendar_in_utc(self, period: Period, start: str) -> None:
        assert period_start(period, START).isoformat(" ", "minutes") == f"{start}+00:00"


class TestWhetherTiersFit:
    def test_the_example_fits_the_default_limit(self) -> None:
        assert fits(Keep(22, EXAMPLE)) is None

    def test_the_newest_point_counts_once(self) -> None:
        tiers = (KeepOnePer(Period.HOUR, 3), KeepOnePer(Period.DAY, 3))
        assert fits(Keep(5, tiers)) is None
        assert fits(Keep(4, tiers)) == (
            "hourly 3, daily 3 ask for up to 5 boot points, more than the limit of 4"
        )

    @pytest.mark.parametrize(
        ("tiers", "problem"),
        [
            ((KeepAll(timedelta(0)),), "positive duration"),
            ((KeepOnePer(Period.WEEK, 0),), "at least 1"),
            ((KeepOnePer(Period.WEEK, 1), KeepOnePer(Period.WEEK, 2)), "more than once"),
        ],
    )
    def test_tiers_that_mean_nothing_are_named(self, tiers: tuple[Tier, ...], problem: str) -> None:
        assert problem in (fits(Keep(22, tiers)) or "")

    @pytest.mark.parametrize("limit", [0, 65])
    def test_a_limit_is_from_1_to_64(self, limit: int) -> None:
        with pytest.raises(FixProfile):
            Keep(limit)


def _allowed(older: int, chain: tuple[BootPoint, ...], hindrance: Obstacles) -> bool:
    """The rules of merging, said once more and differently."""
    names = [p.name for p in chain]
    places = [names.index(u.stands_on) if u.stands_on in names else None for u in hindrance.users]
    if None in places or any(place is not None and older <= place for place in places):
        return False
    given_up = [p.standing is Standing.GIVEN_UP for p in chain]
    heir_of_another = older > 0 and given_up[older - 1] and not given_up[older]
    if given_up[older + 1] or heir_of_another:
        return False
    whys = {p.why for p in hindrance.protected if p.point == names[older]}
    if given_up[older]:
        return Protection.REVERTED_TO not in whys
    return not whys and not chain[older].pinned


def _chains(length: int) -> list[tuple[BootPoint, ...]]:
    """Every chain of whole, pinned and given-up points; the newest is whole or pinned."""
    kinds = [{}, {"pinned": True}, {"given_up": True}]
    states = product(*[kinds] * (length - 1), kinds[:2]) if length else [()]
    return [
        tuple(point(START + n * HOUR, **kind) for n, kind in enumerate(state)) for state in states
    ]


def _hindrances(chain: tuple[BootPoint, ...]) -> list[Obstacles]:
    """Nobody, somebody unknown or one user anywhere, combined with one protection anywhere."""
    names = [p.name for p in chain]
    users = [(), (User("unknown", None),), *((User("a mount", name),) for name in names)]
    guards = [(), *((Protected(n, w),) for n in names for w in (Protection.REVERTED_TO,))]
    guards += [(Protected(name, Protection.PROVEN),) for name in names[:-1]]
    return [Obstacles(guard, user) for user, guard in product(users, guards)]


@pytest.mark.parametrize("length", range(6))
def test_every_small_chain_under_every_obstacle_is_merged_as_far_as_allowed_and_no_further(
    length: int,
) -> None:
    for chain in _chains(length):
        for hindrance in _hindrances(chain):
            for limit in range(1, max(2, length)):
                _check_plan(chain, Keep(limit), hindrance)


def _check_plan(chain: tuple[BootPoint, ...], keep: Keep, hindrance: Obstacles) -> None:
    plan = plan_merges(chain, keep, START, hindrance)
    rest = chain
    for merge in plan.merges:
        older = [p.name for p in rest].index(merge.older)
        assert _allowed(older, rest, hindrance)
        unfinished = rest[older].standing is Standing.GIVEN_UP
        assert unfinished == (merge.cause is MergeCause.UNFINISHED)
        assert unfinished or len(rest) > keep.limit
        rest = after(rest, merge)
    assert len(rest) == plan.after
    still_allowed = [i for i in range(len(rest) - 1) if _allowed(i, rest, hindrance)]
    assert not any(rest[i].standing is Standing.GIVEN_UP for i in still_allowed)
    assert len(rest) <= keep.limit or not still_allowed
    deferred = {d.older for d in plan.deferred}
    assert {p.name for p in rest if p.standing is Standing.GIVEN_UP} <= deferred
    assert len(rest) <= keep.limit or deferred
    neighbours = {(a.name, b.name) for a, b in pairwise(rest)}
    assert {(d.older, d.younger) for d in plan.deferred} <= neighbours
