"""Which runs begin: limits hold, the most urgent goes first, nobody is held up or starved."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from standby.model.queue import AtOnce, UnderWay, Waiting
from standby.model.run import Cause, RunKind
from standby.planning.dispatch import in_order, joined, to_begin

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROOMY = AtOnce(100, 100, 100, 100)

hosts = st.sampled_from(["a", "b", "c"])
waiting_runs = st.builds(
    Waiting,
    profile=st.sampled_from([f"m{number}" for number in range(8)]),
    kind=st.sampled_from([RunKind.CYCLE, RunKind.RESYNC, RunKind.FULL_COPY]),
    cause=st.sampled_from(Cause),
    due=st.integers(0, 100).map(lambda minutes: NOW - timedelta(minutes=minutes)),
    source_host=hosts,
    kvm_host=hosts,
    rpo=st.sampled_from([timedelta(seconds=10), HOUR]),
    newest=st.none() | st.integers(0, 500).map(lambda minutes: NOW - timedelta(minutes=minutes)),
)
running = st.builds(
    UnderWay,
    profile=st.sampled_from([f"r{number}" for number in range(8)]),
    source_host=hosts,
    kvm_host=hosts,
    is_first_copy=st.booleans(),
)
queues = st.lists(waiting_runs, max_size=12)
limits = st.builds(AtOnce, *(st.integers(1, 5) for _ in range(4)))


def run(
    profile: str, *, age: timedelta | None = HOUR, rpo: timedelta = HOUR, **more: object
) -> Waiting:
    newest = None if age is None else NOW - age
    made = Waiting(profile, RunKind.CYCLE, Cause.SCHEDULE, NOW, "s", "k", rpo, newest)
    return replace(made, **more)  # type: ignore[arg-type]


def names(runs: tuple[Waiting, ...]) -> list[str]:
    return [it.profile for it in runs]


def counts(runs: list[UnderWay], of: str) -> Counter[str]:
    return Counter(getattr(it, of) for it in runs)


def as_under_way(it: Waiting) -> UnderWay:
    return UnderWay(it.profile, it.source_host, it.kvm_host, it.is_first_copy)


@given(queues, st.lists(running, max_size=5, unique_by=lambda it: it.profile), limits)
def test_no_limit_is_exceeded_and_no_profile_runs_twice(
    waiting: list[Waiting], under_way: list[UnderWay], at_once: AtOnce
) -> None:
    chosen = to_begin(waiting, under_way, at_once, NOW)
    after = [*under_way, *(as_under_way(it) for it in chosen)]
    if chosen:
        assert len(after) <= at_once.runs
    for it in chosen:
        assert counts(after, "source_host")[it.source_host] <= at_once.per_source_host
        assert counts(after, "kvm_host")[it.kvm_host] <= at_once.per_kvm_host
    assert max(counts(after, "profile").values(), default=1) == 1


@given(queues, limits)
def test_whoever_does_not_begin_has_no_place(waiting: list[Waiting], at_once: AtOnce) -> None:
    chosen = to_begin(waiting, [], at_once, NOW)
    under_way = [as_under_way(it) for it in chosen]
    assert to_begin(waiting, under_way, at_once, NOW) == ()
    assert bool(chosen) == bool(waiting)


@given(queues)
def test_with_room_for_all_each_profile_begins_once(waiting: list[Waiting]) -> None:
    assert sorted(names(to_begin(waiting, [], ROOMY, NOW))) == sorted(
        {it.profile for it in waiting}
    )


@given(queues)
def test_the_first_in_the_order_is_the_most_behind_of_those_nobody_asked_for(
    waiting: list[Waiting],
) -> None:
    ordered = in_order(waiting, NOW)
    assert sorted(map(repr, ordered)) == sorted(map(repr, waiting))
    by_itself = [it.behind(NOW) for it in ordered if it.cause is not Cause.HAND]
    assert by_itself == sorted(by_itself, reverse=True)
    asked = [it.cause is Cause.HAND for it in ordered]
    assert asked == sorted(asked, reverse=True)


def test_behind_is_measured_by_the_rpo_not_by_the_clock() -> None:
    day = run("day", age=20 * HOUR, rpo=24 * HOUR)
    quick = run("quick", age=timedelta(minutes=1), rpo=timedelta(seconds=10))
    assert names(to_begin([day, quick], [], AtOnce(runs=1), NOW)) == ["quick"]


def test_who_has_no_boot_point_is_the_most_behind_of_all() -> None:
    waiting = [run("old", age=1000 * HOUR), run("new", age=None)]
    assert names(to_begin(waiting, [], AtOnce(runs=1), NOW)) == ["new"]


def test_a_full_host_holds_up_nobody_on_another() -> None:
    waiting = [run("first", age=9 * HOUR), run("second", source_host="other")]
    under_way = [UnderWay("x", "s", "far"), UnderWay("y", "s", "far")]
    assert names(to_begin(waiting, under_way, AtOnce(), NOW)) == ["second"]


def test_first_copies_leave_room_for_one_that_is_none() -> None:
    seeds = [run(f"seed{n}", age=None, source_host=f"s{n}", kvm_host=f"k{n}") for n in range(9)]
    chosen = to_begin(seeds, [], AtOnce(runs=4), NOW)
    assert len(chosen) == 3
    under_way = [as_under_way(it) for it in chosen]
    late = run("protected", source_host="t", kvm_host="l")
    assert names(to_begin([*seeds, late], under_way, AtOnce(runs=4), NOW)) == ["protected"]


def test_one_place_is_taken_by_a_first_copy_too() -> None:
    assert names(to_begin([run("seed", age=None)], [], AtOnce(1, 1, 1), NOW)) == ["seed"]


def test_a_first_copy_by_hand_takes_the_last_place() -> None:
    under_way = [UnderWay("x", "a", "b", is_first_copy=True)]
    asked = run("seed", age=None, cause=Cause.HAND)
    assert names(to_begin([asked], under_way, AtOnce(runs=2), NOW)) == ["seed"]


def test_a_profile_that_still_merges_does_not_begin_again() -> None:
    assert to_begin([run("web")], [], ROOMY, NOW, busy=frozenset({"web"})) == ()


@given(waiting_runs, waiting_runs)
def test_two_runs_that_wait_for_one_machine_become_the_more_thorough_one(
    one: Waiting, other: Waiting
) -> None:
    result = joined(one, other)
    thorough = [RunKind.CYCLE, RunKind.RESYNC, RunKind.FULL_COPY]
    assert thorough.index(result.kind) == max(map(thorough.index, (one.kind, other.kind)))
    assert result.due == min(one.due, other.due)
    if Cause.HAND in {one.cause, other.cause}:
        assert result.cause is Cause.HAND
