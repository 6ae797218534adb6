"""Looking at standbys: one of them, all of them, those of a host. Changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

from standby.app.places import Place, found_on, place_of, recorded_place
from standby.app.session import Session
from standby.errors import StandbyError
from standby.model.machine import MachineIdentity
from standby.model.manifest import Manifest
from standby.model.observation import HeadObservation, HeadUse, TargetObservation
from standby.planning.health import Problem, problems
from standby.planning.naming import next_point_name
from standby.planning.obstacles import obstacles
from standby.planning.retention import MergePlan, plan_merges
from standby.profile import Profile
from standby.target.space import available_below
from standby.target.store import observe_unlocked

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StandbyLook:
    """One standby as a look at its KVM host shows it. Times UTC."""

    place: Place
    target: TargetObservation
    merges: MergePlan  # due now
    next_merges: MergePlan  # due once a cycle made one more boot point now
    problems: tuple[Problem, ...]
    at: datetime

    @property
    def manifest(self) -> Manifest:
        """What the standby says about itself."""
        return self.target.manifest

    @property
    def age(self) -> timedelta | None:
        """How old the newest state of the machine is that the standby has."""
        newest = self.manifest.newest
        return None if newest is None else self.at - max(newest.true_at, newest.name.moment)

    @property
    def stored(self) -> int:
        """Bytes that the boot points take."""
        return sum(delta.stored for point in self.manifest.points for delta in point.deltas)


@dataclass(frozen=True, slots=True)
class NotSeen:
    """A standby that could not be looked at, and why."""

    called: str
    error: StandbyError
    profile: Profile | None = None  # None: the profile itself is wrong


def look_at(session: Session, place: Place) -> StandbyLook:
    """Look at one standby, without its lock."""
    target = observe_unlocked(place.host, place.directory, place.domain) or _unseeded(place)
    return judge(place, target, session.clock.now())


def judge(place: Place, target: TargetObservation, now: datetime) -> StandbyLook:
    """Say what an observation means; pure."""
    keep, points = place.profile.boot_points.kept, target.manifest.points
    hindrance = obstacles(target)
    merges = plan_merges(points, keep, now, hindrance)
    return StandbyLook(
        place=place,
        target=target,
        merges=merges,
        next_merges=_after_one_more(target, merges, now),
        problems=problems(target, merges, now, called=place.called),
        at=now,
    )


def survey(session: Session) -> tuple[StandbyLook | NotSeen, ...]:
    """Look at the standby of every profile; hosts are asked side by side, none is fatal."""
    configuration = session.configuration
    by_host: dict[str, list[Profile]] = {}
    wrong: list[StandbyLook | NotSeen] = []
    for name in configuration.profile_names():
        try:
            profile = configuration.profile(name)
            by_host.setdefault(profile.target_host.name, []).append(profile)
        except StandbyError as error:
            wrong.append(NotSeen(name, error))

    def ask(profiles: Sequence[Profile]) -> list[StandbyLook | NotSeen]:
        return list(_look_at_each(session, profiles))

    seen = _side_by_side([partial(ask, profiles) for profiles in by_host.values()])
    return tuple(sorted([*wrong, *(it for part in seen for it in part)], key=_called))


def standbys_on(
    session: Session, host: str, storages: Sequence[str]
) -> tuple[StandbyLook | NotSeen, ...]:
    """Look at every standby found on a host by its manifest."""
    looks: list[StandbyLook | NotSeen] = []
    for found in found_on(session, host, storages):
        try:
            looks.append(look_at(session, recorded_place(session, host, found)))
        except StandbyError as error:
            looks.append(NotSeen(found.directory.path, error))
    return tuple(looks)


def _look_at_each(session: Session, profiles: Sequence[Profile]) -> Iterator[StandbyLook | NotSeen]:
    """Look at the standbys of one host; one that fails does not hide the others."""
    for profile in profiles:
        try:
            yield look_at(session, place_of(session, profile))
        except StandbyError as error:
            yield NotSeen(profile.name, error, profile)


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
        threading.Thread(target=run, args=(task,), daemon=True).start()
    results = [answer for _ in tasks for answer in answers.get()]
    if len(results) < len(tasks):
        raise RuntimeError("a host could not be asked; its thread has said why")
    return results
