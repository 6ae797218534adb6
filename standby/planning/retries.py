"""When a run that failed is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from standby.errors import Retry
from standby.model.run import Cause, Run, RunResult

_DELAYS: Final = tuple(timedelta(minutes=number) for number in (1, 2, 4, 8, 10))
_THEN: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A machine's runs have failed since its last good one: how often, and last when (UTC)."""

    failures: int
    retry: Retry
    at: datetime
    why: str = ""

    @property
    def is_lasting(self) -> bool:
        """Whether somebody has to change something first."""
        return self.retry is Retry.NEVER


def after(run: Run, trouble: Trouble | None) -> Trouble | None:
    """Return what is known of a machine's trouble once another of its cycles has ended.

    Who cancels a run says nothing about the next one.
    """
    if not run.kind.is_cycle or run.result is RunResult.CANCELLED:
        return trouble
    if run.failure is None or run.ended is None:
        return None
    before = trouble.failures if trouble is not None else 0
    return Trouble(before + 1, run.failure.retry, run.ended, run.failure.text)


def next_retry(trouble: Trouble, due: datetime | None) -> datetime | None:
    """Return when to try again by itself; None when the run that is `due` next comes no later.

    What only a person can mend is not retried.
    """
    if trouble.is_lasting:
        return None
    retry = trouble.at + delay(trouble.failures)
    return None if due is not None and due <= retry else retry


def delay(failures: int) -> timedelta:
    """Return how long to wait after so many failures in a row."""
    return _DELAYS[failures - 1] if failures <= len(_DELAYS) else _THEN


def may_begin(cause: Cause, trouble: Trouble | None, now: datetime) -> bool:
    """Tell whether a run that is due may be tried at all.

    While only a person can mend what is wrong, a schedule does not try every few seconds what
    cannot succeed. Now and then it does: whoever put a key in place on another host has changed
    something, and nobody told us.
    """
    if trouble is None or not trouble.is_lasting or cause in {Cause.HAND, Cause.EVENT}:
        return True
    return not trouble.at <= now < trouble.at + _THEN
