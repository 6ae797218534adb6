"""How well one machine is protected: the reasons, from all that is known of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from standby.errors import StandbyError
from standby.model.health import Concern, Condition, Health, Problem, Severity
from standby.model.observation import SourceObservation, TargetObservation
from standby.model.run import Run
from standby.model.schedule import Schedule
from standby.model.state import State
from standby.planning.growth import space_problems
from standby.planning.lag import (
    RpoTarget,
    lag,
    newest_state,
    newest_state_by,
    rpo_target,
    usual_duration,
)
from standby.planning.problems_clock import MOST_SKEW, clock_problems
from standby.planning.problems_lag import (
    ended_schedule,
    failover_problem,
    pause_problem,
    rpo_problem,
)
from standby.planning.problems_runs import failed_runs, many_changes, slow_cycles
from standby.planning.problems_source import source_problems
from standby.planning.problems_store import store_problems
from standby.planning.retention import MergePlan

_OF_SEVERITY: Final = {
    Severity.NOTE: Health.NORMAL,
    Severity.WARNING: Health.WARNING,
    Severity.CRITICAL: Health.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the KVM host shows, and what plan_merges decides for it. `at` is UTC."""

    target: TargetObservation
    merges: MergePlan
    at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one machine's protection. `believable_runs` gives its runs.

    `called` is what commands take; `name` is the profile's, as its schedule takes it. `seen` is
    what the KVM host shows, or the error that kept it from doing so. `runs` are newest first,
    None when there is no history to ask. `reserve` is in bytes. `outdated` says what is wrong
    with the profile as it is written now, while an earlier version of it is in effect.
    """

    called: str
    name: str
    schedule: Schedule
    rpo: timedelta | None
    reserve: int
    storage: str
    seen: Seen | StandbyError
    runs: tuple[Run, ...] | None = None
    source: SourceObservation | None = None
    outdated: str = ""

    @property
    def newest(self) -> datetime | None:
        """The moment of the newest state: the KVM host's word, and that of the runs since.

        Where nobody could look there is only the history.
        """
        if not isinstance(self.seen, Seen):
            return newest_state_by(self.runs or ())
        # A run that was under way then may have published since; one that had ended is seen.
        looked, runs = self.seen.at, self.runs or ()
        since = newest_state_by([it for it in runs if it.ended and it.ended > looked])
        state = newest_state(self.seen.target.manifest)
        if state is not None and state > looked + MOST_SKEW:
            state = newest_state_by(runs)  # a clock was wrong that it is named after
        return max((it for it in (state, since) if it is not None), default=None)

    @property
    def target(self) -> RpoTarget | None:
        """How far the standby may be behind; None when nothing says so."""
        if self.newest is None:
            return None
        usual = usual_duration(self.runs or ())
        return rpo_target(self.schedule, self.rpo, self.newest, usual, self.name)

    def lag(self, now: datetime) -> timedelta | None:
        """Return how far the standby is behind; None when nobody knows, or there is none."""
        return lag(self.newest, now)

    def state(self, now: datetime) -> State:
        """Return the standby's lasting state; an error when nobody could look."""
        if isinstance(self.seen, Seen):
            return self.seen.target.manifest.state_at(now)
        return State.ERROR


def believable_runs(runs: Iterable[Run] | None, now: datetime) -> tuple[Run, ...] | None:
    """Leave out runs that began at a time to come: a clock was wrong that was right since.

    Counted as the newest they would hide all that went wrong after them.
    """
    return None if runs is None else tuple(it for it in runs if it.begun <= now + MOST_SKEW)


def condition(facts: Facts, now: datetime) -> Condition:
    """Judge one machine. `now` is UTC.

    Where nobody could look, and no history tells how old the newest state is, health is unknown.
    """
    found = gravest_first(_problems(facts, now))
    if isinstance(facts.seen, StandbyError) and facts.newest is None:
        return Condition(Health.UNKNOWN, found)
    return Condition(worst(found), found)


def without_profile(
    error: StandbyError, *, earlier_in_effect: bool, runs: Sequence[Run] = ()
) -> Condition:
    """Judge a machine whose profile cannot be read.

    Protection goes on only where a daemon still has an earlier version of it; how well, only its
    runs tell, newest first.
    """
    severity = Severity.WARNING if earlier_in_effect else Severity.CRITICAL
    goes_on = "the version before it stays in effect" if earlier_in_effect else "no run begins"
    problem = Problem(
        Concern.PROFILE, severity, f"the profile has mistakes, {goes_on}: {error}", "mend it"
    )
    found = gravest_first((problem, *failed_runs(runs, None)))
    return Condition(worst(found), found)


def worst(problems: Iterable[Problem]) -> Health:
    """Return what the gravest of some problems makes of a machine's health."""
    order = list(Severity)
    gravest = max((it.severity for it in problems), key=order.index, default=Severity.NOTE)
    return _OF_SEVERITY[gravest]


def gravest_first(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems; those as grave as each other stay in their order."""
    order = list(reversed(Severity))
    return tuple(sorted(problems, key=lambda it: order.index(it.severity)))


def _problems(facts: Facts, now: datetime) -> Iterator[Problem]:
    if isinstance(facts.seen, Seen):
        yield from _of_the_standby(facts, facts.seen, now)
    else:
        yield _not_seen(facts, facts.seen, now)
    yield from rpo_problem(facts.lag(now), facts.target, facts.state(now), facts.called)
    yield from ended_schedule(facts.schedule, facts.target, facts.called, now)
    yield from _of_the_runs(facts)
    if facts.source is not None:
        yield from source_problems(facts.source, facts.called)
    if facts.outdated:
        yield Problem(
            Concern.PROFILE,
            Severity.WARNING,
            f"the profile has mistakes, the version before it stays in effect: {facts.outdated}",
            f"mend it: standby profile check {facts.called}",
        )


def _of_the_standby(facts: Facts, seen: Seen, now: datetime) -> Iterator[Problem]:
    manifest, keep = seen.target.manifest, seen.merges.keep
    yield from failover_problem(manifest)
    yield from store_problems(seen.target, seen.merges, facts.called)
    yield from pause_problem(manifest, facts.called, now)
    available = seen.target.available
    yield from space_problems(manifest.points, keep, available, facts.reserve, facts.storage)
    yield from clock_problems(seen.target, seen.at, now)


def _of_the_runs(facts: Facts) -> Iterator[Problem]:
    runs = facts.runs or ()
    yield from failed_runs(runs, facts.newest if isinstance(facts.seen, Seen) else None)
    yield from slow_cycles(runs, facts.schedule, facts.name)
    if isinstance(facts.seen, Seen):
        newest = facts.seen.target.manifest.newest
        size = sum(delta.size for delta in newest.deltas) if newest else 0
        yield from many_changes(runs, size, facts.called)


def _not_seen(facts: Facts, error: StandbyError, now: datetime) -> Problem:
    behind, target = facts.lag(now), facts.target
    in_time = behind is not None and target is not None and behind <= target.most
    return Problem(
        Concern.HOST,
        Severity.WARNING if in_time else Severity.CRITICAL,
        f"nobody can look at the standby: {error.subject}: {error.found}",
        error.remedy or f"standby check {facts.called}",
    )
