"""Looking at standbys: one of them, all of them, those of a host. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from standby.app.known import NOTHING_KNOWN, Doing, Known
from standby.app.places import Place, found_on, place_of, recorded_place
from standby.app.session import Session
from standby.app.wiring import SPACE_RESERVE
from standby.errors import StandbyError
from standby.host.helpers import helper
from standby.model.health import Condition, Health, Problem
from standby.model.machine import MachineIdentity
from standby.model.manifest import Manifest
from standby.model.observation import (
    HeadObservation,
    HeadUse,
    SourceObservation,
    TargetObservation,
)
from standby.model.pause import Pause
from standby.model.run import Run
from standby.model.state import State
from standby.planning.health import (
    Facts,
    Seen,
    believable_runs,
    condition,
    without_profile,
)
from standby.planning.lag import lag, newest_state_by
from standby.planning.naming import next_point_name
from standby.planning.obstacles import obstacles
from standby.planning.retention import MergePlan, merges_due, plan_merges
from standby.planning.states import resting_state
from standby.profile import Profile
from standby.target.looking import observe_unlocked
from standby.target.space import available_below

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StandbyLook:
    """One standby as a look at its KVM host shows it. Times UTC."""

    place: Place
    target: TargetObservation
    merges: MergePlan  # due now
    next_merges: MergePlan  # due once a cycle made one more boot point now
    facts: Facts
    condition: Condition
    at: datetime
    doing: Doing | None = None
    next_run: datetime | None = None

    @property
    def manifest(self) -> Manifest:
        """What the standby says about itself."""
        return self.target.manifest

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with it, and what is good to know; the gravest first."""
        return self.condition.problems

    @property
    def state(self) -> State:
        """What it is, or what is being done to it."""
        if self.doing is not None:
            return self.doing.state
        return resting_state(self.manifest.state_at(self.at), self.problems)

    @property
    def waits_for_resume(self) -> bool:
        """Whether no run begins by itself until somebody ends the pause."""
        pause = self.manifest.paused
        return pause is not None and pause.until is None

    @property
    def runs(self) -> tuple[Run, ...] | None:
        """Its last runs, newest first; None without a history."""
        return self.facts.runs

    @property
    def age(self) -> timedelta | None:
        """How old the newest state of the machine is that the standby has; None if unknown."""
        return self.facts.lag(self.at)

    @property
    def stored(self) -> int:
        """Bytes that the boot points take."""
        return sum(delta.stored for point in self.manifest.points for delta in point.deltas)


@dataclass(frozen=True, slots=True)
class NotSeen:
    """A standby that could not be looked at, and why."""

    called: str
    error: StandbyError
    at: datetime  # UTC
    condition: Condition
    profile: Profile | None = None  # None: the profile itself is wrong
    doing: Doing | None = None
    next_run: datetime | None = None
    lag: timedelta | None = None  # by the history
    runs: tuple[Run, ...] | None = None

    @property
    def waits_for_resume(self) -> bool:
        """Whether it is paused until somebody ends that: only its KVM host could say."""
        return False


def look_at(
    session: Session,
    place: Place,
    known: Known = NOTHING_KNOWN,
) -> StandbyLook:
    """Look at one standby, without its lock."""
    target = observe_unlocked(place.host, place.directory, place.domain) or _unseeded(place)
    return judge(place, target, session.clock.now(), known)


def judge(
    place: Place,
    target: TargetObservation,
    now: datetime,
    known: Known = NOTHING_KNOWN,
    source: SourceObservation | None = None,
    looked: datetime | None = None,
) -> StandbyLook:
    """Say what an observation means now.

    `source` is what a look at the machine showed; `looked` is when the standby was looked at, now
    unless given.
    """
    merges = merges_due(target, place.profile.boot_points.kept, now)
    facts = replace(
        _facts(place.called, place.profile, known, Seen(target, merges, looked or now), now),
        storage=place.where,
        source=source,
    )
    return StandbyLook(
        place=place,
        target=target,
        merges=merges,
        next_merges=_after_one_more(target, merges, now),
        facts=facts,
        condition=condition(facts, now),
        at=now,
        doing=known.doing(place.profile.name, target.manifest.state_at(now)),
        next_run=_not_while_paused(known.next_run(place.profile.name), target.manifest.paused, now),
    )


def _not_while_paused(
    planned: datetime | None, pause: Pause | None, now: datetime
) -> datetime | None:
    """Return when the next run begins: none begins by itself during a pause."""
    if planned is None or pause is None or not pause.holds(now):
        return planned
    return max(planned, pause.until) if pause.until is not None else None


def survey(
    session: Session, known: Known = NOTHING_KNOWN, only: Sequence[str] = ()
) -> tuple[StandbyLook | NotSeen, ...]:
    """Look at the standby of every profile, or of `only` some; none is fatal.

    Hosts are asked side by side.
    """
    configuration = session.configuration
    profiles: list[Profile] = []
    wrong: list[StandbyLook | NotSeen] = []
    for name in only or configuration.profile_names():
        try:
            profiles.append(configuration.profile(name))
        except StandbyError as error:
            wrong.append(unreadable(name, error, session.clock.now(), known))
    return tuple(sorted([*wrong, *looks_of(session, profiles, known)], key=_called))


def looks_of(
    session: Session, profiles: Iterable[Profile], known: Known = NOTHING_KNOWN
) -> list[StandbyLook | NotSeen]:
    """Look at the standbys of some profiles, in no order. Hosts are asked side by side."""
    by_host: dict[str, list[Profile]] = {}
    for profile in profiles:
        by_host.setdefault(profile.target_host.name, []).append(profile)

    def ask(profiles: Sequence[Profile]) -> list[StandbyLook | NotSeen]:
        return list(_look_at_each(session, profiles, known))

    seen = _side_by_side([partial(ask, profiles) for profiles in by_host.values()])
    return [it for part in seen for it in part]


def standbys_on(
    session: Session, host: str, storages: Sequence[str]
) -> tuple[StandbyLook | NotSeen, ...]:
    """Look at every standby found on a host by its manifest."""
    looks: list[StandbyLook | NotSeen] = []
    for found in found_on(session, host, storages):
        try:
            looks.append(look_at(session, recorded_place(session, host, found)))
        except StandbyError as error:
            looks.append(_damaged(found.directory.path, error, session.clock.now()))
    return tuple(looks)


def _look_at_each(
    session: Session, profiles: Sequence[Profile], known: Known
) -> Iterator[StandbyLook | NotSeen]:
    """Look at the standbys of one host; one that fails does not hide the others."""
    for profile in profiles:
        try:
            yield look_at(session, place_of(session, profile), known)
        except StandbyError as error:
            yield not_seen(profile, error, session.clock.now(), known)


def not_seen(profile: Profile, error: StandbyError, now: datetime, known: Known) -> NotSeen:
    """Say what is known of a standby that nobody could look at."""
    facts = _facts(profile.name, profile, known, error, now)
    return NotSeen(
        called=profile.name,
        error=error,
        at=now,
        condition=condition(facts, now),
        profile=profile,
        doing=known.doing(profile.name, None),
        next_run=known.next_run(profile.name),
        lag=facts.lag(now),
        runs=facts.runs,
    )


def _damaged(where: str, error: StandbyError, now: datetime) -> NotSeen:
    return NotSeen(where, error, now, Condition(Health.UNKNOWN))


def unreadable(name: str, error: StandbyError, now: datetime, known: Known) -> NotSeen:
    """Say what is known of a machine whose profile has mistakes."""
    in_effect = bool(known.outdated(name))
    runs = believable_runs(known.runs(name), now)
    return NotSeen(
        called=name,
        error=error,
        at=now,
        condition=without_profile(error, earlier_in_effect=in_effect, runs=runs or ()),
        doing=known.doing(name, None),
        next_run=known.next_run(name),
        lag=lag(newest_state_by(runs or ()), now),
        runs=runs,
    )


def _facts(
    called: str, profile: Profile, known: Known, seen: Seen | StandbyError, now: datetime
) -> Facts:
    return Facts(
        called=called,
        name=profile.name,
        schedule=profile.schedule.planned(),
        rpo=profile.rpo.target,
        reserve=SPACE_RESERVE,
        storage=f"the storage on {profile.target_host.name}",
        seen=seen,
        runs=believable_runs(known.runs(profile.name), now),
        outdated=known.outdated(profile.name),
    )


def _called(seen: StandbyLook | NotSeen) -> str:
    return seen.place.called if isinstance(seen, StandbyLook) else seen.called


def _unseeded(place: Place) -> TargetObservation:
    machine = MachineIdentity(place.profile.source.domain, "")
    return TargetObservation(
        Manifest(place.profile.standby_name, machine, ""),
        HeadObservation(HeadUse.ABSENT),
        place.domain.found(),
        available=available_below(place.host, place.directory),
    )


def _after_one_more(target: TargetObservation, due: MergePlan, now: datetime) -> MergePlan:
    """Plan as the next cycle would, were it to publish now, its head moved to the new point."""
    points = target.manifest.points
    if not points:
        return due
    newer = replace(points[-1], name=next_point_name(points, now), true_at=now, pinned=False)
    hindrance = obstacles(target)
    if target.head.use is HeadUse.DORMANT and target.manifest.reverted_to is None:
        hindrance = hindrance.following(newer.name)
    return plan_merges((*points, newer), due.keep, now, hindrance)


def _side_by_side(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run every task in a thread of its own and return their results, in no order.

    The threads do not keep the process alive: whoever interrupts it need not wait for hosts
    that do not answer.
    """
    answers: SimpleQueue[list[T]] = SimpleQueue()

    def run(task: Callable[[], T]) -> None:
        answer: list[T] = []
        try:
            answer.append(task())
        finally:
            answers.put(answer)

    for task in tasks:
        helper(partial(run, task)).start()
    results = [answer for _ in tasks for answer in answers.get()]
    if len(results) < len(tasks):
        raise RuntimeError("a host could not be asked; its thread has said why")
    return results
