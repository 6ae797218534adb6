"""How well a machine is protected, and that nothing is said which nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from chain_world import EMPTY, IDENTITY, START, observed
from health_world import (
    BY_HAND,
    DAY,
    HOUR,
    HOURLY,
    MINUTE,
    NOW,
    PROTECTED,
    SIZE,
    about,
    facts,
    problems,
    run,
    seen,
    severity,
)
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import FixProfile, ReachHost, Retry
from standby.model.disk import DiskStorage, ImageFormat, SourceDisk
from standby.model.health import Concern, Condition, Health, Problem, Severity
from standby.model.keep import Keep
from standby.model.machine import MachineDefinition, PowerState
from standby.model.manifest import FAILOVERS
from standby.model.names import PointName
from standby.model.observation import SourceObservation, TrackedCheckpoint, TrackedDisk
from standby.model.pause import Pause
from standby.model.run import RunKind, RunResult
from standby.model.schedule import Every, Once, Schedule
from standby.model.state import State
from standby.planning.health import (
    believable_runs,
    condition,
    gravest_first,
    without_profile,
    worst,
)

WARNING, CRITICAL, NOTE = Severity.WARNING, Severity.CRITICAL, Severity.NOTE
SOURCE_DISK = SourceDisk("vda", "/d/vda.qcow2", ImageFormat.QCOW2, DiskStorage.FILE, SIZE)
SOURCE = SourceObservation(
    IDENTITY, PowerState.RUNNING, MachineDefinition("-"), (SOURCE_DISK,), (), ()
)
UNREACHABLE = ReachHost("kvm1", "no answer within 15 s", remedy="look at its power")


class TestHealth:
    def test_a_machine_of_which_all_is_well_is_normal_without_a_word(self) -> None:
        assert condition(facts(), NOW) == Condition(Health.NORMAL)

    def test_all_is_well_without_a_history_too(self) -> None:
        assert condition(facts(runs=None), NOW) == Condition(Health.NORMAL)

    @given(st.lists(st.sampled_from(Severity)))
    def test_health_is_that_of_the_gravest_problem_and_notes_are_none(
        self, severities: list[Severity]
    ) -> None:
        found = tuple(Problem(Concern.RPO, it, "", "") for it in severities)
        expected = (
            Health.CRITICAL
            if CRITICAL in severities
            else Health.WARNING
            if WARNING in severities
            else Health.NORMAL
        )
        assert worst(found) is expected
        ranked = [list(Severity).index(it.severity) for it in gravest_first(found)]
        assert ranked == sorted(ranked, reverse=True)
        reasons = Condition(expected, found).reasons
        assert bool(reasons) is (expected is not Health.NORMAL)

    def test_the_gravest_comes_first(self) -> None:
        known = facts(runs=(run(1, RunResult.FAILED),), outdated="line 3: no such key")
        late = NOW + 9 * HOUR
        severities = [it.severity for it in problems(known, late)]
        assert severities == [CRITICAL, WARNING, WARNING]


class TestNobodyCouldLook:
    def test_without_a_history_health_is_unknown_and_says_why(self) -> None:
        told = condition(facts(seen=UNREACHABLE, runs=None), NOW)
        assert told.health is Health.UNKNOWN
        assert "no answer within 15 s" in told.problems[0].text
        assert told.problems[0].remedy == "look at its power"

    def test_a_history_without_a_good_run_tells_nothing_either(self) -> None:
        known = facts(seen=UNREACHABLE, runs=(run(1, RunResult.FAILED),))
        assert condition(known, NOW).health is Health.UNKNOWN

    @pytest.mark.parametrize(
        ("minutes_ago", "health"), [(5, Health.WARNING), (600, Health.CRITICAL)]
    )
    def test_the_history_says_whether_it_is_late(self, minutes_ago: float, health: Health) -> None:
        known = facts(seen=UNREACHABLE, runs=(run(minutes_ago),))
        assert condition(known, NOW).health is health
        assert about(known, Concern.HOST) is not None


class TestProfile:
    ERROR = FixProfile("web1.yaml:3", "unknown key 'sorce'", "source")

    def test_a_broken_profile_is_critical_unless_an_earlier_one_stays_in_effect(self) -> None:
        assert without_profile(self.ERROR, earlier_in_effect=False).health is Health.CRITICAL
        goes_on = without_profile(self.ERROR, earlier_in_effect=True)
        assert goes_on.health is Health.WARNING
        assert "web1.yaml:3" in goes_on.problems[0].text
        assert "stays in effect" in goes_on.problems[0].text

    def test_a_mistake_in_a_profile_does_not_hide_that_its_runs_fail(self) -> None:
        failed = tuple(run(n, RunResult.FAILED) for n in range(6))
        judged = without_profile(self.ERROR, earlier_in_effect=True, runs=failed)
        assert judged.health is Health.CRITICAL
        assert judged.problems[0].concern is Concern.FAILED_RUNS

    def test_a_newer_version_that_is_wrong_is_a_warning(self) -> None:
        problem = about(facts(outdated="web1.yaml:3: unknown key"), Concern.PROFILE)
        assert problem is not None
        assert problem.severity is WARNING
        assert "web1.yaml:3" in problem.text


class TestRpo:
    """The points are an hour apart, and so are the runs of the schedule."""

    def newest(self, ago: timedelta, **more: object) -> Severity | None:
        now = START + 2 * HOUR + ago
        return severity(facts(seen(now=now), runs=(), **more), Concern.RPO, now)

    def test_one_run_may_be_missed(self) -> None:
        assert self.newest(HOUR) is None
        assert self.newest(HOUR + 10 * MINUTE, schedule=BY_HAND) is None

    def test_two_may_not(self) -> None:
        assert self.newest(2 * HOUR + MINUTE) is WARNING
        assert self.newest(7 * HOUR) is CRITICAL

    def test_what_the_profile_says_counts(self) -> None:
        assert self.newest(29 * MINUTE, rpo=30 * MINUTE) is None
        assert self.newest(31 * MINUTE, rpo=30 * MINUTE) is WARNING
        assert self.newest(91 * MINUTE, rpo=30 * MINUTE) is CRITICAL
        assert self.newest(5 * HOUR, rpo=DAY) is None

    def test_a_profile_that_runs_by_hand_has_no_rpo_unless_it_says_one(self) -> None:
        assert self.newest(900 * DAY, schedule=BY_HAND) is None
        assert self.newest(2 * DAY, schedule=BY_HAND, rpo=DAY) is WARNING

    def test_a_run_that_usually_takes_long_may_be_late_by_as_much(self) -> None:
        every = Schedule(UTC, (Every(5 * MINUTE),))
        now = START + 2 * HOUR + 12 * MINUTE
        runs = tuple(run(n, seconds=600) for n in range(1, 4))
        assert severity(facts(seen(now=now), schedule=every, runs=runs), Concern.RPO, now) is None
        short = tuple(run(n, seconds=1) for n in range(1, 4))
        assert (
            severity(facts(seen(now=now), schedule=every, runs=short), Concern.RPO, now) is WARNING
        )

    def test_seconds_late_are_never_critical(self) -> None:
        now = START + 2 * HOUR + 4 * MINUTE
        assert severity(facts(seen(now=now), rpo=timedelta(seconds=10)), Concern.RPO, now) is (
            WARNING
        )

    def test_a_point_that_was_found_still_true_is_as_new_as_that(self) -> None:
        now = START + 9 * HOUR
        stamped = PROTECTED.stamped(now - MINUTE)
        assert severity(facts(seen(stamped, now=now)), Concern.RPO, now) is None

    def test_before_the_first_point_there_is_nothing_to_be_behind(self) -> None:
        waiting = facts(seen(EMPTY), rpo=MINUTE)
        assert severity(waiting, Concern.RPO) is None
        assert severity(waiting, Concern.SEED) is WARNING
        assert waiting.lag(NOW) is None

    def test_a_schedule_that_has_ended_is_told(self) -> None:
        ended = replace(HOURLY, ends=NOW.replace(tzinfo=None))
        late = NOW + 9 * DAY
        assert severity(facts(seen(now=late), schedule=ended), Concern.RPO, late) is WARNING
        going_on = replace(HOURLY, ends=late.replace(tzinfo=None))
        assert severity(facts(schedule=going_on), Concern.RPO) is None
        once = Schedule(UTC, (Once(START.replace(tzinfo=None)),), ends=NOW.replace(tzinfo=None))
        assert severity(facts(seen(now=late), schedule=once), Concern.RPO, late) is None
        with_rpo = facts(seen(now=late), schedule=ended, rpo=10 * DAY)
        assert severity(with_rpo, Concern.RPO, late) is None

    def test_a_clock_that_was_set_back_makes_no_negative_lag(self) -> None:
        assert facts().lag(START) == timedelta(0)

    @given(st.integers(0, 10**6), st.integers(0, 10**6))
    def test_it_only_gets_worse_as_time_passes(self, first: int, second: int) -> None:
        order = [None, WARNING, CRITICAL]
        earlier, later = sorted((first, second))
        ranks = [
            order.index(severity(facts(), Concern.RPO, NOW + timedelta(seconds=it)))
            for it in (earlier, later)
        ]
        assert ranks == sorted(ranks)


class TestPausedAndFailedOver:
    def paused(self, ago: timedelta, until: datetime | None = None) -> Severity | None:
        manifest = PROTECTED.with_pause(Pause(NOW - ago, until, "rebuilding", "eve@manager"))
        return severity(facts(seen(manifest)), Concern.PAUSED)

    def test_a_pause_is_noted_and_a_long_one_is_a_warning(self) -> None:
        assert self.paused(MINUTE) is NOTE
        assert self.paused(DAY + MINUTE) is WARNING
        assert self.paused(DAY + MINUTE, NOW) is None, "it ended by itself"

    def test_a_paused_machine_that_is_behind_is_never_critical_and_is_told_how_to_go_on(
        self,
    ) -> None:
        manifest = PROTECTED.with_pause(Pause(NOW))
        problem = about(facts(seen(manifest)), Concern.RPO, NOW + 90 * DAY)
        assert problem is not None
        assert problem.severity is WARNING
        assert problem.remedy == "standby resume web1"

    @pytest.mark.parametrize(
        ("state", "expected"),
        [(State.FAILED_OVER, CRITICAL), (State.PREPARED, WARNING), (State.REVERSED, NOTE)],
    )
    def test_after_a_failover_nothing_protects_it(self, state: State, expected: Severity) -> None:
        assert state in FAILOVERS
        known = facts(seen(replace(PROTECTED, failover=state)))
        assert severity(known, Concern.FAILED_OVER) is expected

    @pytest.mark.parametrize("state", [State.FAILED_OVER, State.PREPARED])
    def test_nobody_is_told_of_an_rpo_that_cannot_be_kept(self, state: State) -> None:
        known = facts(seen(replace(PROTECTED, failover=state)))
        assert severity(known, Concern.RPO, NOW + DAY) is None


class TestFailedRuns:
    def failing(self, *results: RunResult, retry: Retry = Retry.LATER) -> Problem | None:
        """Newest first; the newest a minute ago, after the newest point."""
        runs = tuple(run(0.5 + n / 100, result, retry=retry) for n, result in enumerate(results))
        return about(facts(runs=runs), Concern.FAILED_RUNS)

    def test_one_that_time_may_mend_is_a_warning_with_the_reason_and_the_log(self) -> None:
        problem = self.failing(RunResult.FAILED)
        assert problem is not None
        assert problem.severity is WARNING
        assert problem.text == "the last run failed: kvm1: no answer (expected: an answer)"
        assert problem.remedy == "look at it; its log: standby log r0.5"

    def test_one_that_time_cannot_mend_is_critical_at_once(self) -> None:
        problem = self.failing(RunResult.FAILED, retry=Retry.NEVER)
        assert problem is not None
        assert problem.severity is CRITICAL

    def test_many_in_a_row_are_critical_and_say_since_when(self) -> None:
        five, six = (self.failing(*[RunResult.FAILED] * n) for n in (5, 6))
        assert five is not None
        assert six is not None
        assert (five.severity, six.severity) == (WARNING, CRITICAL)
        assert six.text.startswith("the last 6 runs failed since 2026-11-22 05:5")

    def test_a_good_run_ends_the_row(self) -> None:
        assert self.failing(RunResult.PUBLISHED, RunResult.FAILED, RunResult.FAILED) is None
        assert self.failing(RunResult.STILL_TRUE, RunResult.FAILED) is None

    @pytest.mark.parametrize("result", [RunResult.CANCELLED, RunResult.BUSY, RunResult.RUNNING])
    def test_what_did_not_fail_neither_begins_nor_ends_a_row(self, result: RunResult) -> None:
        assert self.failing(result) is None
        problem = self.failing(result, RunResult.FAILED, result, RunResult.FAILED)
        assert problem is not None
        assert problem.text.startswith("the last 2 runs failed")

    def test_a_run_whose_manager_died_failed(self) -> None:
        problem = self.failing(RunResult.LOST)
        assert problem is not None
        assert "the manager ended in the midst of it" in problem.text

    def test_what_is_no_cycle_does_not_count(self) -> None:
        verify = run(0.5, RunResult.FAILED, kind=RunKind.VERIFY)
        assert about(facts(runs=(verify,)), Concern.FAILED_RUNS) is None

    def test_a_newer_point_that_this_history_does_not_know_ends_the_row(self) -> None:
        before = (run(30, RunResult.FAILED, retry=Retry.NEVER),)
        assert about(facts(runs=before), Concern.FAILED_RUNS) is None
        made_a_point = run(1.5, RunResult.FAILED, seconds=80)  # and failed when it merged
        assert made_a_point.begun < START + 2 * HOUR < (made_a_point.ended or START)
        assert about(facts(runs=(made_a_point,)), Concern.FAILED_RUNS) is not None
        unseen = facts(seen=UNREACHABLE, runs=before)
        assert about(unseen, Concern.FAILED_RUNS) is not None


class TestSlow:
    def slow(self, seconds: float, merging: float = 0, count: int = 3) -> Problem | None:
        runs = tuple(run(n, seconds=seconds, merging=merging) for n in range(count))
        return about(facts(runs=runs), Concern.SLOW)

    def test_cycles_that_fit_between_two_runs_are_quick_enough(self) -> None:
        assert self.slow(3599, 3500) is None

    def test_cycles_that_do_not_fit_are_told_and_merges_are_blamed_when_it_is_they(self) -> None:
        problem = self.slow(7200, 7000)
        assert problem is not None
        assert problem.text == (
            "a cycle takes 2 h, and the schedule asks for one every 1 h; "
            "merges take 1 h 56 min of it"
        )
        assert "merge.bandwidth" in problem.remedy
        other = self.slow(7200, 60)
        assert other is not None
        assert "merges" not in other.text
        assert "transfer.bandwidth" in other.remedy

    def test_one_slow_cycle_is_no_habit(self) -> None:
        assert self.slow(7200, count=2) is None

    def test_nobody_is_slower_than_no_schedule(self) -> None:
        runs = tuple(run(n, seconds=7200) for n in range(3))
        assert about(facts(runs=runs, schedule=BY_HAND), Concern.SLOW) is None


class TestChanges:
    def test_more_than_half_of_a_machine_in_one_cycle_is_told(self) -> None:
        assert about(facts(runs=(run(1, changed=50),)), Concern.CHANGES) is None
        problem = about(facts(runs=(run(1, changed=51),)), Concern.CHANGES)
        assert problem is not None
        assert problem.text.startswith("3.2 MiB of 6.2 MiB changed")

    def source(self, changed: int | None, lost: str | None = None) -> Problem | None:
        disk = replace(SOURCE_DISK, size=SIZE)
        tracked = TrackedCheckpoint("c", (TrackedDisk("vda", lost, changed),))
        source = replace(SOURCE, disks=(disk,), checkpoints=(tracked,))
        return about(facts(source=source), Concern.CHANGES)

    def test_what_the_live_bitmap_marks_is_told_per_disk(self) -> None:
        assert self.source(SIZE // 2) is None
        problem = self.source(SIZE // 2 + 1)
        assert problem is not None
        assert "of disk vda" in problem.text

    def test_what_cannot_be_told_is_not_guessed(self) -> None:
        assert self.source(None) is None
        assert self.source(SIZE, "inconsistent") is None

    def test_storage_that_moves_is_told(self) -> None:
        assert about(facts(source=SOURCE), Concern.MOVING) is None
        moving = replace(SOURCE, moving=("vda", "vdb"))
        problem = about(facts(source=moving), Concern.MOVING)
        assert problem is not None
        assert "vda, vdb" in problem.text


class TestClocks:
    def ahead(self, skew: timedelta) -> Problem | None:
        target = replace(observed(PROTECTED), clock=NOW + skew)
        return about(facts(seen(target=target)), Concern.CLOCK, NOW + 9 * DAY)

    def test_a_minute_is_no_skew(self) -> None:
        assert self.ahead(MINUTE) is None
        assert self.ahead(-MINUTE) is None

    def test_more_is_told_with_its_direction(self) -> None:
        ahead, behind = self.ahead(2 * MINUTE), self.ahead(-3 * HOUR)
        assert ahead is not None
        assert behind is not None
        assert "2 min ahead of" in ahead.text
        assert "3 h behind" in behind.text

    def test_a_newest_point_from_the_future_tells_of_a_wrong_clock(self) -> None:
        problem = about(facts(seen(now=START)), Concern.CLOCK, START)
        assert problem is not None
        assert "a time to come" in problem.text

    def test_a_clock_that_was_ahead_once_hides_nothing_that_went_wrong_since(self) -> None:
        ahead = replace(PROTECTED.points[-1], name=PointName.at(NOW + 300 * DAY))
        named = replace(
            PROTECTED, points=(*PROTECTED.points[:-1], ahead.still_true(NOW + 300 * DAY))
        )
        wrong = (run(n, RunResult.FAILED, retry=Retry.NEVER) for n in (5, 65))
        history = (run(-300 * 24 * 60), *wrong, run(400))
        known = facts(seen(named), runs=believable_runs(history, NOW))
        assert severity(known, Concern.FAILED_RUNS) is CRITICAL
        assert known.lag(NOW) == 400 * MINUTE
        assert severity(known, Concern.RPO) is CRITICAL
        assert facts(seen(named), runs=None).lag(NOW) is None  # and not: none at all
        good = facts(seen(named), runs=(run(1),))
        assert [it.concern for it in problems(good)] == [Concern.CLOCK]


class TestSpace:
    """Three points of one block each, the reserve being 256 MiB."""

    RESERVE = 1 << 28

    def space(self, free: int, keep: Keep | None = None) -> Problem | None:
        target = replace(observed(PROTECTED), available=free)
        return about(facts(seen(target=target, keep=keep)), Concern.SPACE)

    def test_room_for_all_points_to_come_is_enough(self) -> None:
        assert self.space(self.RESERVE + 19 * 65536) is None

    def test_it_is_told_when_the_points_to_come_do_not_fit_and_when_that_is(self) -> None:
        problem = self.space(self.RESERVE + 10 * 65536)
        assert problem is not None
        assert problem.severity is CRITICAL
        assert "full in about 10 h:" in problem.text
        later = self.space(self.RESERVE + 30 * 65536, Keep(64))
        assert later is not None
        assert later.severity is WARNING
        assert "full in about 1 d 6 h" in later.text

    def test_a_chain_that_is_as_long_as_it_gets_takes_no_more(self) -> None:
        assert self.space(self.RESERVE + 65536, Keep(3)) is None

    def test_no_room_for_the_next_point_is_critical(self) -> None:
        problem = self.space(self.RESERVE + 65535, Keep(3))
        assert problem is not None
        assert problem.severity is CRITICAL
        assert "may not fit" in problem.text

    @given(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(1, 64))
    def test_more_room_is_never_worse(self, first: int, second: int, limit: int) -> None:
        order = [CRITICAL, WARNING, None]
        found = [self.space(free, Keep(limit)) for free in sorted((first, second))]
        ranks = [order.index(it.severity if it else None) for it in found]
        assert ranks == sorted(ranks)
