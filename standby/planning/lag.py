"""How far a standby is behind its machine, and how far it may be. Pure; moments are UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from standby.model.manifest import Manifest
from standby.model.point import Way
from standby.model.run import Run
from standby.model.schedule import Schedule
from standby.planning.schedule import coming

_GRACE: Final = timedelta(seconds=10)
_NONE: Final = timedelta(0)
_LATELY: Final = 5


@dataclass(frozen=True, slots=True)
class RpoTarget:
    """The most that a standby may be behind, and whether the profile says so itself."""

    most: timedelta
    derived: bool


def newest_state(manifest: Manifest) -> datetime | None:
    """Return when the machine was last known to be as the newest boot point has it."""
    newest = manifest.newest
    return None if newest is None else max(newest.true_at, newest.name.moment)


def newest_state_by(runs: Sequence[Run]) -> datetime | None:
    """Return the same by what the runs say, newest first, when nobody can look.

    The beginning of the last good cycle: its capture is a little later.
    """
    return next((it.begun for it in runs if it.kind.is_cycle and it.result.is_good), None)


def lag(state: datetime | None, now: datetime) -> timedelta | None:
    """Return how far behind it is now; a clock that was set back makes it none, not less."""
    return None if state is None else max(now - state, _NONE)


def good_cycles(runs: Sequence[Run], most: int = _LATELY) -> tuple[Run, ...]:
    """Return the last good cycles that were no first copies, newest first."""
    good = (it for it in runs if it.kind.is_cycle and it.result.is_good and it.way is not Way.SEED)
    return tuple(islice(good, most))


def usual_duration(runs: Sequence[Run]) -> timedelta:
    """Return how long cycles took lately, on average; nothing when there were none."""
    took = [run.duration for run in good_cycles(runs) if run.duration is not None]
    return sum(took, _NONE) / len(took) if took else _NONE


def rpo_target(
    schedule: Schedule, asked: timedelta | None, state: datetime, usual: timedelta, name: str
) -> RpoTarget | None:
    """Return how far a standby of that state may be behind; None when nothing asks for runs.

    Unless the profile says so it may miss one run and no more: by the second that was due after
    its state, and the time that one usually takes, there has to be a newer one. `name` is the
    profile's, as the schedule takes it.
    """
    if asked is not None:
        return RpoTarget(asked, derived=False)
    due = list(islice(coming(schedule, state, name), 2))
    if not due:
        return None
    return RpoTarget(due[-1].moment - state + usual + _GRACE, derived=True)


def time_between(schedule: Schedule, after: datetime, name: str) -> timedelta | None:
    """Return the time between the next two runs; None when there are not two."""
    due = coming(schedule, after, name)
    first, second = next(due, None), next(due, None)
    return second.moment - first.moment if first and second else None
