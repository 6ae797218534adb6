"""What is wrong with clocks. Boot points are named after the manager's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from standby.model.health import Concern, Problem, Severity
from standby.model.observation import TargetObservation
from standby.planning.durations import readable_duration

MOST_SKEW: Final = timedelta(minutes=1)


def clock_problems(target: TargetObservation, looked: datetime, now: datetime) -> Iterator[Problem]:
    """Say that a clock is wrong: the manager's, or that of the KVM host when it was looked at."""
    newest, clock = target.manifest.newest, target.clock
    if newest is not None and newest.name.moment > now:
        yield Problem(
            Concern.CLOCK,
            Severity.WARNING,
            f"the newest boot point, {newest.name}, is named for a time to come",
            "compare the manager's clock with the true time; new points are named after it",
        )
    skew = clock - looked if clock is not None else timedelta(0)
    if abs(skew) > MOST_SKEW:
        ahead = "ahead of" if skew > timedelta(0) else "behind"
        yield Problem(
            Concern.CLOCK,
            Severity.WARNING,
            f"the KVM host's clock is {readable_duration(abs(skew))} {ahead} the manager's",
            "let both follow the true time: timedatectl set-ntp true",
        )
