"""Retries: when, how long, and what is not retried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import Retry
from standby.model.run import Cause, Failure, Run, RunKind, RunResult
from standby.planning.retries import Trouble, after, delay, may_begin, next_retry

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def ended(result: RunResult, retry: Retry | None = None, kind: RunKind = RunKind.CYCLE) -> Run:
    failure = None if retry is None else Failure("X", "a", "b", "", "", retry)
    return Run(
        "1", "web", kind, Cause.SCHEDULE, NOW - MINUTE, ended=NOW, result=result, failure=failure
    )


def failed(retry: Retry = Retry.LATER) -> Run:
    return ended(RunResult.FAILED, retry)


def test_the_delays_grow_and_then_stay() -> None:
    minutes = [delay(number) // MINUTE for number in range(1, 9)]
    assert minutes == [1, 2, 4, 8, 10, 30, 30, 30]


@given(st.integers(1, 50), st.none() | st.integers(-5, 100))
def test_a_retry_never_comes_when_the_schedule_comes_no_later(
    failures: int, due_in: int | None
) -> None:
    due = None if due_in is None else NOW + due_in * MINUTE
    retry = next_retry(Trouble(failures, Retry.LATER, NOW), due)
    expected = NOW + delay(failures)
    assert retry == (None if due is not None and due <= expected else expected)


@given(st.integers(1, 50))
def test_what_a_person_must_mend_is_not_retried(failures: int) -> None:
    assert next_retry(Trouble(failures, Retry.NEVER, NOW), None) is None


def test_failures_in_a_row_are_counted_until_a_good_run() -> None:
    first = after(failed(), None)
    assert first == Trouble(1, Retry.LATER, NOW, "a: b")
    second = after(failed(), first)
    assert second is not None
    assert second.failures == 2
    assert after(ended(RunResult.PUBLISHED), second) is None
    assert after(ended(RunResult.STILL_TRUE), second) is None


def test_who_finds_somebody_else_at_work_tries_again() -> None:
    trouble = after(ended(RunResult.BUSY, Retry.LATER), None)
    assert trouble is not None
    assert next_retry(trouble, None) == NOW + MINUTE


@pytest.mark.parametrize("before", [None, Trouble(3, Retry.LATER, NOW)])
def test_a_cancelled_run_and_one_that_is_no_cycle_change_nothing(before: Trouble | None) -> None:
    assert after(ended(RunResult.CANCELLED, Retry.NEVER), before) is before
    assert after(ended(RunResult.FAILED, Retry.LATER, RunKind.VERIFY), before) is before


@pytest.mark.parametrize("cause", Cause)
def test_a_lasting_trouble_is_looked_at_now_and_then(cause: Cause) -> None:
    trouble = Trouble(1, Retry.NEVER, NOW)
    at_once = cause in {Cause.HAND, Cause.EVENT}
    assert may_begin(cause, trouble, NOW + MINUTE) is at_once
    assert may_begin(cause, trouble, NOW + 30 * MINUTE)
    assert may_begin(cause, trouble, NOW - 3 * MINUTE)  # the clock was set back
    assert may_begin(cause, None, NOW)
    assert may_begin(cause, Trouble(9, Retry.LATER, NOW), NOW)
