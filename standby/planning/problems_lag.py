"""What is wrong when a standby is behind its machine, on purpose or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from standby.model.health import Concern, Problem, Severity
from standby.model.manifest import Manifest
from standby.model.schedule import Once, OnEvent, Schedule
from standby.model.state import State
from standby.planning.durations import readable_duration
from standby.planning.lag import RpoTarget
from standby.planning.pauses import described
from standby.planning.schedule import moment_of

LONG_PAUSE: Final = timedelta(days=1)
_GRAVE: Final = 3  # times the target
_GRAVE_AT_LEAST: Final = timedelta(minutes=5)  # a target of seconds is missed by a slow disk


def rpo_problem(
    behind: timedelta | None, target: RpoTarget | None, state: State, called: str
) -> Iterator[Problem]:
    """Say that a standby is further behind than it may be."""
    if behind is None or target is None or behind <= target.most:
        return
    if state in {State.FAILED_OVER, State.PREPARED}:
        return  # nothing is replicated, and that is said
    grave = behind > max(target.most * _GRAVE, _GRAVE_AT_LEAST) and state is not State.PAUSED
    how = "twice missed by its schedule" if target.derived else "the profile's rpo"
    yield Problem(
        Concern.RPO,
        Severity.CRITICAL if grave else Severity.WARNING,
        f"{readable_duration(behind)} behind its machine, more than "
        f"{readable_duration(target.most)} ({how})",
        f"standby resume {called}" if state is State.PAUSED else f"see why: standby show {called}",
    )


def ended_schedule(
    schedule: Schedule, target: RpoTarget | None, called: str, now: datetime
) -> Iterator[Problem]:
    """Say that no run is due any more where nothing else would tell how old the standby gets."""
    repeats = any(not isinstance(entry, Once | OnEvent) for entry in schedule.entries)
    if target is not None or schedule.ends is None or not repeats:
        return
    ended = moment_of(schedule.ends, schedule.zone)
    if ended <= now:
        yield Problem(
            Concern.RPO,
            Severity.WARNING,
            f"its schedule ended at {ended:%Y-%m-%d %H:%M} UTC: no run begins by itself any more",
            f"let it go on, in its profile; or end its protection: standby remove {called}",
        )


def pause_problem(manifest: Manifest, called: str, now: datetime) -> Iterator[Problem]:
    """Say that runs do not begin by themselves; the longer, the graver."""
    pause = manifest.paused
    if pause is None or not pause.holds(now):
        return
    long = now - pause.since > LONG_PAUSE
    yield Problem(
        Concern.PAUSED,
        Severity.WARNING if long else Severity.NOTE,
        f"{described(pause)}; for {readable_duration(now - pause.since)}",
        f"standby resume {called}",
    )


def failover_problem(manifest: Manifest) -> Iterator[Problem]:
    """Say that the machine's place is taken, or about to be."""
    match manifest.failover:
        case State.FAILED_OVER:
            yield Problem(
                Concern.FAILED_OVER,
                Severity.CRITICAL,
                "failed over: the standby is in use, and nothing protects it",
                "commit the failover and reverse the direction, or cancel it",
            )
        case State.PREPARED:
            yield Problem(
                Concern.FAILED_OVER,
                Severity.WARNING,
                "prepared for planned failover: no cycle runs",
                "go on with the failover, or cancel it",
            )
        case State.REVERSED:
            yield Problem(
                Concern.FAILED_OVER,
                Severity.NOTE,
                "reversed: the machine runs where its standby was",
                "fail back when the old place is well again",
            )
        case _:
            return
