"""Which boot points are merged: what holds for every chain, every limit and all tiers."""

from __future__ import annotations

from datetime import datetime, timedelta

from chain_world import START, after, after_all, point
from hypothesis import given
from hypothesis import strategies as st

from standby.model.keep import Keep, KeepAll, KeepOnePer, Period, Tier, fits
from standby.model.names import PointName
from standby.model.observation import User
from standby.model.point import BootPoint
from standby.planning.obstacles import Obstacles, Protected, Protection
from standby.planning.retention import ChainLevel, plan_merges

# Gaps from seconds to months, so that every tier is met within a few points.
GAPS = st.one_of(
    st.integers(1, 90),
    st.integers(60, 7200),
    st.integers(3600, 3 * 86400),
    st.integers(86400, 50 * 86400),
).map(lambda seconds: timedelta(seconds=seconds))
AGES = st.integers(1, 100 * 3600).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def chains(draw: st.DrawFn, most: int = 30, *, given_up: bool = True) -> tuple[BootPoint, ...]:
    moment, chain = START, []
    for gap in draw(st.lists(GAPS, max_size=most)):
        moment += gap
        state = draw(st.sampled_from(["whole"] * 4 + ["pinned"] + ["given up"] * given_up))
        chain.append(point(moment, pinned=state == "pinned", given_up=state == "given up"))
    if chain and chain[-1].standing.value == "given up":
        chain[-1] = point(moment)
    return tuple(chain)


@st.composite
def keeps(draw: st.DrawFn) -> Keep:
    ages: list[Tier] = [KeepAll(age) for age in draw(st.lists(AGES, max_size=1))]
    counts = draw(st.dictionaries(st.sampled_from(Period), st.integers(1, 8)))
    tiers = [*ages, *(KeepOnePer(period, count) for period, count in counts.items())]
    return Keep(draw(st.integers(1, 64) | st.integers(1, 12)), tuple(tiers))


@st.composite
def hindrances(draw: st.DrawFn, chain: tuple[BootPoint, ...]) -> Obstacles:
    if not chain:
        return Obstacles()
    names = st.sampled_from([p.name for p in chain])
    protected = st.builds(Protected, names, st.sampled_from(Protection))
    users = st.builds(User, st.just("somebody"), names)
    return Obstacles(
        tuple(draw(st.lists(protected, max_size=3))), tuple(draw(st.lists(users, max_size=2)))
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[tuple[BootPoint, ...], Keep, datetime, Obstacles]:
    chain = draw(chains())
    last = chain[-1].name.moment if chain else START
    now = last + draw(st.sampled_from([1, 1, 1, -1])) * draw(GAPS)
    return chain, draw(keeps()), now, draw(hindrances(chain))


@given(situations(), st.data())
def test_a_plan_cut_short_anywhere_is_continued_by_the_next_plan(
    situation: tuple[tuple[BootPoint, ...], Keep, datetime, Obstacles], data: st.DataObject
) -> None:
    chain, keep, now, hindrance = situation
    plan = plan_merges(chain, keep, now, hindrance)
    done = data.draw(st.integers(0, len(plan.merges)))
    for merge in plan.merges[:done]:
        chain = after(chain, merge)
    again = plan_merges(chain, keep, now, hindrance)
    assert again.merges == plan.merges[done:]
    assert again.after == plan.after


@given(situations())
def test_newest_pinned_and_protected_points_survive_every_plan(
    situation: tuple[tuple[BootPoint, ...], Keep, datetime, Obstacles],
) -> None:
    chain, keep, now, hindrance = situation
    left = {p.name for p in after_all(chain, plan_merges(chain, keep, now, hindrance))}
    guarded = {entry.point for entry in hindrance.protected}
    for each in chain:
        if each.standing.value == "whole" and (each.pinned or each.name in guarded):
            assert each.name in left
    assert not chain or chain[-1].name in left


@given(chains(given_up=False), keeps(), GAPS)
def test_without_obstacles_the_limit_is_reached_but_for_pinned_points(
    chain: tuple[BootPoint, ...], keep: Keep, gap: timedelta
) -> None:
    now = (chain[-1].name.moment if chain else START) + gap
    left = after_all(chain, plan_merges(chain, keep, now))
    pinned = sum(p.pinned for p in left[:-1])
    assert len(left) <= max(keep.limit, pinned + 1)


@given(chains(), keeps())
def test_without_tiers_no_more_is_merged_than_the_limit_asks(
    chain: tuple[BootPoint, ...], keep: Keep
) -> None:
    plan = plan_merges(chain, Keep(keep.limit), START)
    finished = sum(p.standing.value == "given up" for p in chain)
    assert len(plan.merges) == finished or plan.after == keep.limit or plan.deferred


@given(st.lists(GAPS, max_size=60), keeps())
def test_tiers_applied_after_every_point_keep_what_they_would_keep_of_all_of_history(
    gaps: list[timedelta], keep: Keep
) -> None:
    """No merge is ever regretted: what was lost early would not be kept now."""
    keep = Keep(64, keep.tiers)
    moment, history, chain = START, [], ()
    for gap in gaps:
        moment += gap
        history.append(point(moment))
        chain = (*chain, history[-1])
        chain = after_all(chain, plan_merges(chain, keep, moment))
    whole_history = tuple(history)
    assert chain == after_all(whole_history, plan_merges(whole_history, keep, moment))


@given(chains(given_up=False), keeps(), GAPS)
def test_one_more_point_costs_at_most_one_merge_for_each_tier_and_one_for_the_limit(
    chain: tuple[BootPoint, ...], keep: Keep, gap: timedelta
) -> None:
    now = (chain[-1].name.moment if chain else START) + gap
    settled = after_all(chain, plan_merges(chain, keep, now))
    more = (*settled, point(now))
    plan = plan_merges(more, keep, now)
    assert len(plan.merges) <= len(keep.calendar_tiers) + 1
    assert not plan_merges(after_all(more, plan), keep, now).merges


@given(chains(given_up=False), keeps())
def test_tiers_that_fit_never_lose_a_point_they_keep_to_the_limit(
    chain: tuple[BootPoint, ...], keep: Keep
) -> None:
    unpinned = tuple(point(p.name.moment) for p in chain)
    calendar = Keep(keep.limit, keep.calendar_tiers)
    if not unpinned or not calendar.tiers or fits(calendar):
        return
    now = unpinned[-1].name.moment
    wanted = after_all(unpinned, plan_merges(unpinned, Keep(64, calendar.tiers), now))
    left = after_all(unpinned, plan_merges(unpinned, keep, now))
    assert {p.name for p in wanted} <= {p.name for p in left}


@given(situations())
def test_a_plan_never_reports_a_chain_as_longer_or_shorter_than_it_is(
    situation: tuple[tuple[BootPoint, ...], Keep, datetime, Obstacles],
) -> None:
    chain, keep, now, hindrance = situation
    plan = plan_merges(chain, keep, now, hindrance)
    assert (plan.before, plan.after) == (len(chain), len(chain) - len(plan.merges))
    assert (plan.level_after is ChainLevel.WITHIN_LIMIT) == (plan.after <= keep.limit)


@given(st.lists(st.datetimes(START.replace(tzinfo=None)), min_size=2, max_size=5))
def test_names_sort_as_their_moments(moments: list[datetime]) -> None:
    names = [PointName.at(m.replace(tzinfo=START.tzinfo)) for m in moments]
    assert sorted(names) == sorted(names, key=str)
