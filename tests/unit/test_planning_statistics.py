"""Statistics of a machine's runs: what counts, what is left out, and what is never made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import Retry
from standby.model.names import PointName
from standby.model.point import Way
from standby.model.run import Amounts, Cause, Failure, Run, RunKind, RunPhase, RunResult
from standby.planning.statistics import Measure, latency, measure

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=1)


def run(
    number: int,
    result: RunResult = RunResult.PUBLISHED,
    *,
    seconds: float = 4,
    sent: int = 100,
    kind: RunKind = RunKind.CYCLE,
    way: Way | None = Way.INCREMENTAL,
    phases: tuple[RunPhase, ...] = (),
) -> Run:
    begun = BEGIN + timedelta(minutes=number)
    ended = None if result is RunResult.RUNNING else begun + timedelta(seconds=seconds)
    failure = None
    if result is RunResult.FAILED:
        failure = Failure("ReachHost", "kvm", "no answer", "", "look at it", Retry.LATER)
    return Run(
        id=f"r{number}", profile="web1", kind=kind, cause=Cause.SCHEDULE, begun=begun, ended=ended,
        result=result, way=way, point=PointName.at(begun), amounts=Amounts(sent=sent, stored=1),
        phases=phases, failure=failure,
    )  # fmt: skip


def phases(*told: tuple[str, float, float]) -> tuple[RunPhase, ...]:
    return tuple(RunPhase(name, BEGIN + timedelta(seconds=at), took) for name, at, took in told)


def test_without_runs_nothing_is_made_up() -> None:
    nothing = measure([], BEGIN, END)
    assert (nothing.cycles, nothing.share_good, nothing.last_sync) == (0, None, None)
    assert (nothing.sizes, nothing.durations, nothing.latencies) == (None, None, None)


def test_averages_and_largest_are_of_good_cycles() -> None:
    seen = measure(
        [run(1, seconds=2, sent=100), run(2, seconds=6, sent=300), run(3, RunResult.FAILED)],
        BEGIN,
        END,
    )
    assert (seen.good, seen.failed, seen.cycles) == (2, 1, 3)
    assert seen.sizes == Measure(200, 300)
    assert seen.durations == Measure(4, 6)
    assert seen.share_good == pytest.approx(2 / 3)


def test_a_cycle_that_found_nothing_changed_is_good_and_small() -> None:
    seen = measure([run(1, sent=100), run(2, RunResult.STILL_TRUE, sent=0)], BEGIN, END)
    assert (seen.good, seen.points) == (2, 1)
    assert seen.sizes == Measure(50, 100)


def test_a_first_copy_counts_and_spoils_no_average() -> None:
    seen = measure([run(1, way=Way.SEED, sent=10**12, seconds=9999), run(2, sent=7)], BEGIN, END)
    assert (seen.good, seen.sent) == (2, 10**12 + 7)
    assert seen.sizes == Measure(7, 7)
    assert seen.durations == Measure(4, 4)


@pytest.mark.parametrize("result", [RunResult.CANCELLED, RunResult.BUSY])
def test_who_cancels_or_comes_too_early_did_not_fail(result: RunResult) -> None:
    seen = measure([run(1), run(2, result)], BEGIN, END)
    assert (seen.good, seen.failed, seen.apart) == (1, 0, 1)


def test_a_run_under_way_is_not_counted() -> None:
    assert measure([run(1, RunResult.RUNNING)], BEGIN, END) == measure([], BEGIN, END)


def test_only_cycles_count() -> None:
    others = [run(n, RunResult.DONE, kind=kind) for n, kind in enumerate(RunKind)]
    seen = measure(others, BEGIN, END)
    assert seen.good == sum(kind.is_cycle for kind in RunKind) == 3


def test_a_cycle_belongs_to_the_period_in_which_it_began() -> None:
    day = 24 * 60
    seen = measure([run(-1), run(0), run(day - 1), run(day)], BEGIN, END)
    assert seen.good == 2


def test_errors_name_their_runs_the_oldest_first() -> None:
    seen = measure([run(5, RunResult.LOST), run(2, RunResult.FAILED), run(3)], BEGIN, END)
    assert [(it.id, it.kind) for it in seen.errors] == [("r2", "ReachHost"), ("r5", "")]
    assert seen.errors[0].text == "kvm: no answer; look at it"


def test_errors_shown_are_bounded_and_all_are_counted() -> None:
    seen = measure((run(n, RunResult.FAILED) for n in range(1000)), BEGIN, END)
    assert seen.failed == 1000
    assert len(seen.errors) == 100
    assert seen.errors[-1].id == "r999"


def test_the_last_sync_is_the_end_of_the_last_good_cycle() -> None:
    seen = measure([run(9), run(3), run(12, RunResult.FAILED)], BEGIN, END)
    assert seen.last_sync == run(9).ended
    assert seen.last_point == run(9).point


def test_latency_is_from_the_capture_until_the_state_could_be_booted() -> None:
    told = phases(("observe", 0, 1), ("capture", 1, 1), ("transfer", 2, 5), ("publish", 7, 0.5))
    assert latency(run(0, phases=told)) == timedelta(seconds=6.5)
    still = phases(("capture", 1, 1), ("stamp", 3, 0.5))
    assert latency(run(0, phases=still)) == timedelta(seconds=2.5)


def test_latency_counts_from_the_second_capture_when_the_first_was_for_nothing() -> None:
    told = phases(("capture", 1, 1), ("capture", 5, 1), ("publish", 7, 1))
    assert latency(run(0, phases=told)) == timedelta(seconds=3)


@pytest.mark.parametrize("told", [(), (("capture", 1, 1),), (("publish", 1, 1),)])
def test_without_its_phases_a_run_has_no_latency(
    told: tuple[tuple[str, float, float], ...],
) -> None:
    assert latency(run(0, phases=phases(*told))) is None


@given(st.lists(st.tuples(st.sampled_from(RunResult), st.integers(0, 10**9)), max_size=40))
def test_every_ended_cycle_is_counted_once_and_the_average_never_exceeds_the_largest(
    told: list[tuple[RunResult, int]],
) -> None:
    runs = [run(n, result, sent=sent) for n, (result, sent) in enumerate(told)]
    seen = measure(runs, BEGIN, END)
    ended = [it for it in runs if it.result is not RunResult.RUNNING]
    assert seen.good + seen.failed + seen.apart == len(ended)
    assert seen.sent == sum(it.amounts.sent for it in ended)
    if seen.sizes is not None:
        assert 0 <= seen.sizes.average <= seen.sizes.largest
