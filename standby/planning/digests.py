"""Digests: when they are due, and what they say of each machine. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from standby.model.health import Condition, Health
from standby.model.notice import News
from standby.model.run import Run
from standby.model.schedule import Weekday

_GRAVEST_FIRST: Final = (Health.CRITICAL, Health.UNKNOWN, Health.WARNING, Health.NORMAL)


@dataclass(frozen=True, slots=True)
class DigestTimes:
    """When digests are sent, by the manager's clock: each day, and on one of them the weekly."""

    at: time
    weekday: Weekday


@dataclass(frozen=True, slots=True)
class MachineDigest:
    """One machine in a digest: its cycles of the period. Bytes; times are UTC.

    `newest` is the moment of the last state that was brought over or found still true; `failure`
    says why the last one that failed did.
    """

    profile: str
    condition: Condition | None
    good: int = 0
    failed: int = 0
    sent: int = 0
    newest: datetime | None = None
    failure: str = ""

    @property
    def health(self) -> Health:
        """Its health; unknown when nobody could look."""
        return self.condition.health if self.condition else Health.UNKNOWN


@dataclass(frozen=True, slots=True)
class Digest:
    """What happened to the machines of one receiver, the worst first. Times are UTC."""

    news: News
    since: datetime
    until: datetime
    machines: tuple[MachineDigest, ...]

    @property
    def subject(self) -> str:
        """The digest in one line."""
        found = [it.health for it in self.machines]
        counts = [(health, found.count(health)) for health in _GRAVEST_FIRST]
        shown = ", ".join(f"{count} {health.value}" for health, count in counts if count)
        failed = sum(it.failed for it in self.machines)
        cycles = failed + sum(it.good for it in self.machines)
        of = f"{failed} of {cycles} cycles failed" if failed else f"{cycles} cycles, all good"
        return f"{self.news.value}: {shown}; {of}"


def is_due(news: News, last: datetime, now: datetime, times: DigestTimes) -> bool:
    """Tell whether a digest is due: its time has come since the last one.

    `now` bears the manager's zone. One that was missed, the manager being down, is made up.
    """
    due = datetime.combine(now.date(), times.at, now.tzinfo)
    if news is News.WEEKLY:
        due -= timedelta(days=(due.weekday() - times.weekday.number) % 7)
    if due > now:
        due -= timedelta(days=7 if news is News.WEEKLY else 1)
    return last < due


def digest_of(profile: str, runs: Iterable[Run], condition: Condition | None) -> MachineDigest:
    """Sum up a machine's runs of a period, whatever their order.

    Of all of them, which may be a hundred thousand, it keeps two at a time.
    """
    good = failed = sent = 0
    newest: Run | None = None
    bad: Run | None = None
    for run in runs:
        if not run.kind.is_cycle:
            continue
        sent += run.amounts.sent
        if run.result.is_good:
            good, newest = good + 1, _later(newest, run)
        elif run.result.is_bad:
            failed, bad = failed + 1, _later(bad, run)
    begun = newest.begun if newest else None
    failure = bad.failure.text if bad and bad.failure else ""
    return MachineDigest(profile, condition, good, failed, sent, begun, failure)


def _later(known: Run | None, run: Run) -> Run:
    return run if known is None or run.begun >= known.begun else known


def worst_first(machines: Iterable[MachineDigest]) -> tuple[MachineDigest, ...]:
    """Sort machines as a reader wants them."""
    return tuple(sorted(machines, key=lambda it: (_GRAVEST_FIRST.index(it.health), it.profile)))
