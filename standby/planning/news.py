"""Which messages a run or a change of health calls for, and which would be noise. Pure.

Trouble is told when it begins, when it becomes another trouble, and when it is over. While it
lasts, or comes and goes, it is told again after an hour, then two, four, and so on up to once a
day; a machine that had no trouble for a day begins anew. That something is over is told only to
whom it was told that it had begun: so one that comes and goes makes no more messages than one
that stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from standby.model.health import Concern, Condition, Health
from standby.model.notice import News
from standby.model.run import Run, RunKind

FIRST_GAP: Final = timedelta(hours=1)
LONGEST_GAP: Final = timedelta(days=1)
FORGOTTEN_AFTER: Final = timedelta(days=1)
MOST_KINDS: Final = 5
"""Kinds of failures that are told at once within a day; more of them wait for their gap."""

HEALTH: Final = "health"
"""The topic of what is told of a machine's health; those of runs are named for their kind."""

_NONE: Final = timedelta(0)
_REFRESHED_AFTER: Final = timedelta(hours=1)
_CRITICAL: Final = "Critical"
_NUMBERS: Final = re.compile(r"\d+")
_SILENT: Final = frozenset({RunKind.PAUSE, RunKind.RESUME, RunKind.CANCEL, RunKind.REVERT})


@dataclass(frozen=True, slots=True)
class Voice:
    """What was told about one topic of one machine. Times are UTC.

    `is_open` when it was told that there is trouble, and not yet that it is over; `since` and
    `count` tell of the trouble as it is, told or not. `kinds` are those told, each with when.
    """

    is_open: bool = False
    since: datetime | None = None
    count: int = 0
    last_bad: datetime | None = None
    spoken: datetime | None = None
    gap: timedelta = _NONE
    kinds: tuple[tuple[str, datetime], ...] = ()

    def recent(self, now: datetime) -> frozenset[str]:
        """Return the kinds that were told within a day."""
        return frozenset(kind for kind, at in self.kinds if _NONE <= now - at < FORGOTTEN_AFTER)

    def is_due(self, now: datetime) -> bool:
        """Tell whether its gap is over; a clock that was set back ends every gap."""
        return self.spoken is None or not _NONE <= now - self.spoken < self.gap

    def still(self, kinds: Iterable[str], now: datetime) -> Voice:
        """Return what it is while these kinds last: they are not forgotten meanwhile."""
        lasting = frozenset(kinds)
        if all(kind not in lasting or now - at < _REFRESHED_AFTER for kind, at in self.kinds):
            return self  # what is told is written to a file when it changes
        return replace(
            self, kinds=tuple((kind, now if kind in lasting else at) for kind, at in self.kinds)
        )

    def speak(self, kinds: Iterable[str], gap: timedelta, now: datetime) -> Voice:
        """Return what it is once these kinds are told."""
        told = dict(self.kinds) | dict.fromkeys(kinds, now)
        kept = [(kind, at) for kind, at in sorted(told.items()) if now - at < FORGOTTEN_AFTER]
        return replace(self, is_open=True, spoken=now, gap=gap, kinds=tuple(kept))


@dataclass(frozen=True, slots=True)
class Told:
    """All that was told about one machine, by topic."""

    voices: Mapping[str, Voice] = field(default_factory=dict)

    def voice(self, topic: str) -> Voice:
        """Return what was told about a topic."""
        return self.voices.get(topic, Voice())

    def but(self, topic: str, voice: Voice) -> Told:
        """Return it with one topic changed."""
        return Told({**self.voices, topic: voice})


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell about one machine. `since` is UTC: when the trouble began.

    `failures` counts the bad runs in a row. Without `news` it is a trial that somebody asked for.
    """

    news: News | None
    profile: str
    at: datetime
    run: Run | None = None
    condition: Condition | None = None
    since: datetime | None = None
    failures: int = 0

    @property
    def subject(self) -> str:
        """The message in one line."""
        return f"{self.profile}: {self._what()}"

    def _what(self) -> str:
        match self.news:
            case News.FAILURE:
                return self._failed()
            case News.RECOVERY:
                return self._recovered()
            case News.WARNING:
                return self._worse()
            case News.SUCCESS:
                return self._good()
        return "a trial: messages arrive"

    def _failed(self) -> str:
        what = self.run.kind.value if self.run else "run"
        times = f" {self.failures} times" if self.failures > 1 else ""
        why = f": {_why(self.run)}" if self.run else ""
        return f"{what} failed{times}{why}"

    def _recovered(self) -> str:
        if self.run is None:
            return "health is normal again"
        times = f"{self.failures} failures" if self.failures > 1 else "a failure"
        return f"{self.run.kind.value} is good again after {times}"

    def _worse(self) -> str:
        if self.condition is None or not self.condition.reasons:
            return "health is worse"
        reasons = self.condition.reasons
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return f"{self.condition.health.value}: {reasons[0].text}{more}"

    def _good(self) -> str:
        if self.run is None:
            return "good"
        point = f" {self.run.point}" if self.run.point else ""
        return f"{self.run.kind.value} {self.run.result.value}{point}"


def news_of_run(
    run: Run, condition: Condition | None, told: Told, now: datetime
) -> tuple[tuple[Message, ...], Told]:
    """Decide what a run that has ended calls for, with the machine's health as it is then.

    Return the messages, the most telling first, and what has been told once they are sent. A
    receiver gets the first that he wants.
    """
    if run.kind in _SILENT or not (run.result.is_bad or run.result.is_good):
        return (), told
    topic = _topic(run)
    if run.result.is_bad:
        return _of_failure(run, topic, condition, told, now)
    return _of_success(run, topic, condition, told, now)


def news_of_health(
    profile: str, condition: Condition, told: Told, now: datetime
) -> tuple[tuple[Message, ...], Told]:
    """Decide what a machine's health calls for when no run has just ended."""
    voice = told.voice(HEALTH)
    if condition.health is Health.NORMAL:
        closed = told.but(HEALTH, _closed(voice))
        if not voice.is_open:
            return (), closed
        return (Message(News.RECOVERY, profile, now, None, condition, voice.since),), closed
    kinds = _kinds_of(condition)
    grave_and_old = condition.health is Health.CRITICAL and voice.is_open and voice.is_due(now)
    if not kinds or not (kinds - voice.recent(now) or grave_and_old):
        return (), told.but(HEALTH, voice.still(kinds, now))
    begun = replace(voice, since=voice.since or now)
    spoken = told.but(HEALTH, begun.speak(kinds, LONGEST_GAP, now))
    return (Message(News.WARNING, profile, now, None, condition, begun.since),), spoken


def chosen(messages: Iterable[Message], wanted: frozenset[News]) -> Message | None:
    """Return the message for a receiver who wants these news, if there is one."""
    return next((it for it in messages if it.news in wanted), None)


def _of_failure(
    run: Run, topic: str, condition: Condition | None, told: Told, now: datetime
) -> tuple[tuple[Message, ...], Told]:
    voice = _failed_once_more(told.voice(topic), run, now)
    critical = condition is not None and condition.health is Health.CRITICAL
    kinds = {_kind(run)} | ({_CRITICAL} if critical else set())
    recent, due = voice.recent(now), voice.is_due(now)
    is_new = bool(kinds - recent) and len(recent) < MOST_KINDS
    if not due and not is_new:
        return (), told.but(topic, voice)
    gap = min(max(2 * voice.gap, FIRST_GAP), LONGEST_GAP) if due else voice.gap
    message = Message(
        News.FAILURE, run.profile, now, run, condition, voice.since, failures=voice.count
    )
    told = told.but(topic, voice.speak(kinds, gap, now))
    return (message,), _with_health_told(told, condition, now)


def _failed_once_more(voice: Voice, run: Run, now: datetime) -> Voice:
    if voice.last_bad is not None and now - voice.last_bad > FORGOTTEN_AFTER:
        voice = replace(voice, spoken=None, gap=_NONE, kinds=())
    since = voice.since or run.begun
    return replace(voice, since=since, count=voice.count + 1, last_bad=now)


def _with_health_told(told: Told, condition: Condition | None, now: datetime) -> Told:
    """Note that a message about a failure named what is wrong besides."""
    if condition is None:
        return told
    voice = told.voice(HEALTH)
    spoken = voice.speak(_kinds_of(condition), LONGEST_GAP, now)
    return told.but(HEALTH, replace(spoken, is_open=voice.is_open))


def _of_success(
    run: Run, topic: str, condition: Condition | None, told: Told, now: datetime
) -> tuple[tuple[Message, ...], Told]:
    voice = told.voice(topic)
    told = told.but(topic, _closed(voice))
    messages = [Message(News.SUCCESS, run.profile, now, run, condition)]
    if condition is not None:
        of_health, told = news_of_health(run.profile, condition, told, now)
        messages = [*of_health, *messages]
    if voice.is_open:
        over = Message(
            News.RECOVERY, run.profile, now, run, condition, voice.since, failures=voice.count
        )
        messages = [over, *(it for it in messages if it.news is not News.RECOVERY)]
    return tuple(messages), told


def _closed(voice: Voice) -> Voice:
    return replace(voice, is_open=False, since=None, count=0)


def _topic(run: Run) -> str:
    return RunKind.CYCLE.value if run.kind.is_cycle else run.kind.value


def _kind(run: Run) -> str:
    """Name a failure so that the same one, with other numbers in it, is no news."""
    if run.failure is None:
        return run.result.value
    return f"{run.failure.kind} {_NUMBERS.sub('#', run.failure.subject)}"


def _kinds_of(condition: Condition) -> set[str]:
    """Name what is wrong; that runs fail is told with the runs."""
    reasons = (it for it in condition.reasons if it.concern is not Concern.FAILED_RUNS)
    return {f"{it.concern.value} {it.severity.value}" for it in reasons}


def _why(run: Run) -> str:
    if run.failure is not None:
        return f"{run.failure.subject}: {run.failure.found}"
    return "the manager ended in the midst of it"
