"""Who is told what: everything that matters, once, and nothing twice within reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import Retry
from standby.model.health import Concern, Condition, Health, Problem, Severity
from standby.model.notice import News
from standby.model.run import Cause, Failure, Run, RunKind, RunResult
from standby.planning.news import Message, Told, chosen, news_of_health, news_of_run

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
FIVE = timedelta(minutes=5)
DAY = timedelta(days=1)
NORMAL = Condition(Health.NORMAL)
USUAL = frozenset({News.FAILURE, News.RECOVERY, News.WARNING})


def run(
    result: RunResult,
    at: datetime = NOON,
    kind: RunKind = RunKind.CYCLE,
    error: tuple[str, str] = ("ReachHost", "kvm1"),
) -> Run:
    failure = Failure(error[0], error[1], "no answer", "", "", Retry.LATER)
    return Run("k3f", "web1", kind, Cause.SCHEDULE, at, ended=at, result=result,
               failure=failure if result is RunResult.FAILED else None)  # fmt: skip


def bad(at: datetime = NOON, *error: str) -> Run:
    return run(RunResult.FAILED, at, error=(error[0], error[1]) if error else ("ReachHost", "kvm1"))


def good(at: datetime = NOON) -> Run:
    return run(RunResult.PUBLISHED, at)


def warning(concern: Concern = Concern.SPACE, severity: Severity = Severity.WARNING) -> Condition:
    worst = {Severity.WARNING: Health.WARNING, Severity.CRITICAL: Health.CRITICAL}[severity]
    return Condition(worst, (Problem(concern, severity, "3 days left", "add storage"),))


def told_by(
    runs: Iterable[Run], condition: Condition | None = None, told: Told | None = None
) -> tuple[list[Message], Told]:
    """Everything that a receiver of the usual news hears of some runs."""
    heard, told = [], told or Told()
    for it in runs:
        messages, told = news_of_run(it, condition, told, it.begun)
        heard += [message] if (message := chosen(messages, USUAL)) else []
    return heard, told


def news(heard: Sequence[Message]) -> list[News | None]:
    return [message.news for message in heard]


def every(step: timedelta, results: str) -> list[Run]:
    """Runs one after another: x is bad, o is good."""
    return [(bad if r == "x" else good)(NOON + i * step) for i, r in enumerate(results)]


def test_a_failure_is_told_at_once_and_its_end_too() -> None:
    heard, _ = told_by(every(FIVE, "oxxxoo"))
    assert news(heard) == [News.FAILURE, News.RECOVERY]
    assert heard[0].subject == "web1: cycle failed: kvm1: no answer"
    assert heard[1].subject == "web1: cycle is good again after 3 failures"
    assert heard[1].since == NOON + FIVE


def test_a_failure_that_stays_is_told_ever_more_rarely_and_at_last_once_a_day() -> None:
    heard, _ = told_by(every(FIVE, "x" * (12 * 24 * 5)))
    hours = [(message.at - NOON) / timedelta(hours=1) for message in heard]
    assert hours == [0, 1, 3, 7, 15, 31, 55, 79, 103]
    assert heard[1].failures == 13


def test_a_machine_that_flaps_makes_no_more_messages_than_one_that_is_down() -> None:
    heard, _ = told_by(every(FIVE, "xo" * (6 * 24 * 5)))
    assert len(heard) <= 2 * 9


def test_another_failure_is_told_at_once_but_the_same_with_other_numbers_is_not() -> None:
    runs = [
        bad(NOON, "ReachHost", "kvm1"),
        bad(NOON + FIVE, "FreeSpace", "point 17 of /srv"),
        bad(NOON + 2 * FIVE, "FreeSpace", "point 18 of /srv"),
        bad(NOON + 3 * FIVE, "ReachHost", "kvm1"),
    ]
    heard, _ = told_by(runs)
    assert [m.run.failure.kind for m in heard if m.run and m.run.failure] == [
        "ReachHost",
        "FreeSpace",
    ]


def test_errors_that_are_always_others_do_not_flood() -> None:
    runs = [bad(NOON + i * FIVE, "CommandFailed", f"file-{chr(97 + i)}") for i in range(26)]
    heard, _ = told_by(runs)
    assert len(heard) <= 8


def test_a_failure_becomes_news_again_when_it_has_made_things_critical() -> None:
    told = Told()
    first, told = news_of_run(bad(), warning(Concern.FAILED_RUNS), told, NOON)
    grave = warning(Concern.RPO, Severity.CRITICAL)
    second, told = news_of_run(bad(NOON + FIVE), grave, told, NOON + FIVE)
    third, _ = news_of_run(bad(NOON + 2 * FIVE), grave, told, NOON + 2 * FIVE)
    assert (len(first), len(second), len(third)) == (1, 1, 0)


def test_a_failure_once_a_week_is_told_every_time() -> None:
    heard, _ = told_by(every(timedelta(days=7), "xxx"))
    assert news(heard) == [News.FAILURE] * 3
    assert heard[-1].since == NOON
    assert heard[-1].failures == 3


def test_a_good_verification_does_not_end_the_failure_of_cycles() -> None:
    runs = [bad(), run(RunResult.DONE, NOON + FIVE, RunKind.VERIFY), good(NOON + 2 * FIVE)]
    heard, _ = told_by(runs)
    assert news(heard) == [News.FAILURE, News.RECOVERY]
    assert heard[1].at == NOON + 2 * FIVE


@pytest.mark.parametrize("result", [RunResult.BUSY, RunResult.CANCELLED, RunResult.RUNNING])
def test_who_comes_too_early_or_is_stopped_neither_failed_nor_recovered(result: RunResult) -> None:
    heard, told = told_by([bad(), run(result, NOON + FIVE)])
    assert news(heard) == [News.FAILURE]
    heard, _ = told_by([good(NOON + 2 * FIVE)], told=told)
    assert news(heard) == [News.RECOVERY]


def test_a_run_that_was_lost_is_a_failure() -> None:
    heard, _ = told_by([run(RunResult.LOST)])
    assert "the manager ended in the midst of it" in heard[0].subject


def test_success_is_told_to_who_wants_it_every_time() -> None:
    told = Told()
    for number in range(3):
        messages, told = news_of_run(good(), NORMAL, told, NOON + number * FIVE)
        message = chosen(messages, frozenset({News.SUCCESS}))
        assert message is not None
        assert message.subject == "web1: cycle published"
    assert chosen(messages, USUAL) is None


def test_who_wants_recovery_and_success_gets_one_message() -> None:
    _, told = news_of_run(bad(), None, Told(), NOON)
    messages, _ = news_of_run(good(), NORMAL, told, NOON + FIVE)
    both = chosen(messages, frozenset({News.SUCCESS, News.RECOVERY}))
    assert both is not None
    assert both.news is News.RECOVERY


def test_a_worse_health_is_told_once_and_its_end_too() -> None:
    told, heard = Told(), []
    conditions = [NORMAL, warning(), warning(), warning(), NORMAL, NORMAL]
    for number, condition in enumerate(conditions):
        messages, told = news_of_run(good(), condition, told, NOON + number * FIVE)
        heard += [message] if (message := chosen(messages, USUAL)) else []
    assert news(heard) == [News.WARNING, News.RECOVERY]
    assert heard[0].subject == "web1: Warning: 3 days left"
    assert heard[1].subject == "web1: health is normal again"


def test_a_worse_health_without_any_run_is_told() -> None:
    messages, told = news_of_health("web1", warning(Concern.RPO), Told(), NOON)
    assert news(messages) == [News.WARNING]
    assert news_of_health("web1", warning(Concern.RPO), told, NOON + FIVE)[0] == ()


def test_another_reason_or_a_graver_one_is_news() -> None:
    told = news_of_health("web1", warning(), Told(), NOON)[1]
    for condition in (warning(Concern.CLOCK), warning(severity=Severity.CRITICAL)):
        messages, told = news_of_health("web1", condition, told, NOON + FIVE)
        assert news(messages) == [News.WARNING]


def test_what_is_critical_is_told_again_every_day_and_a_warning_is_not() -> None:
    for severity, times in ((Severity.CRITICAL, 5), (Severity.WARNING, 1)):
        told, heard = Told(), 0
        for number in range(12 * 24 * 5):
            at = NOON + number * FIVE
            messages, told = news_of_health("web1", warning(severity=severity), told, at)
            heard += len(messages)
        assert heard <= times
        assert heard >= 1


def test_that_runs_fail_is_told_with_the_runs_alone() -> None:
    assert news_of_health("web1", warning(Concern.FAILED_RUNS), Told(), NOON)[0] == ()


def test_what_a_message_of_failure_named_is_not_told_again_when_the_runs_are_good() -> None:
    _, told = news_of_run(bad(), warning(), Told(), NOON)
    messages, _ = news_of_run(good(), warning(), told, NOON + FIVE)
    assert news(messages) == [News.RECOVERY, News.SUCCESS]


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    _, told = news_of_run(bad(NOON), None, Told(), NOON)
    early = NOON - timedelta(days=30)
    messages, _ = news_of_run(bad(early), None, told, early)
    assert news(messages) == [News.FAILURE]


RUNS = st.lists(
    st.tuples(st.booleans(), st.integers(1, 300), st.sampled_from(["ReachHost", "FreeSpace"])),
    max_size=200,
)


@given(RUNS)
def test_trouble_is_told_and_what_was_told_is_closed(
    steps: list[tuple[bool, int, str]],
) -> None:
    at, told, heard, runs = NOON, Told(), [], []
    for is_good, minutes, error in steps:
        at += timedelta(minutes=minutes)
        runs.append(good(at) if is_good else bad(at, error, "kvm1"))
        messages, told = news_of_run(runs[-1], None, told, at)
        message = chosen(messages, USUAL)
        heard += [message] if message else []
    kinds = news(heard)
    firsts = [it.begun for it in runs if it.result.is_bad]
    assert [m.at for m in heard if m.news is News.FAILURE][:1] == firsts[:1], "the first at once"
    for before, after in zip([None, *kinds], kinds, strict=False):
        if after is News.RECOVERY:
            assert before is News.FAILURE
    if runs and runs[-1].result.is_good:
        assert kinds[-1:] in ([], [News.RECOVERY]), "nobody is left believing that it fails"
    for begin in firsts:
        day = [m for m in heard if begin <= m.at < begin + DAY and m.news is News.FAILURE]
        assert len(day) <= 8, "1 h, 2 h, 4 h, 8 h … and two kinds of errors"
