"""Who stands in the way of a merge.

A merge of two neighbours writes into the file of the older one and then drops the file of the
younger. Whoever reads a boot point reads its file and every file below. Hence two kinds of
obstacles: a *protected* point must not become the state of its younger neighbour, while an image
or process *in use* at a point lets nobody write to that point's file or below.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum

from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import HeadObservation, HeadUse, TargetObservation, User
from standby.model.point import BootPoint, Standing


class Protection(Enum):
    """Why a point is never the older of a pair."""

    PINNED = "is pinned"
    PROVEN = "is the newest proven boot point"
    REVERTED_TO = "is what the standby is reverted to"
    LAST_GOOD = "is the newest boot point that is not spoilt"
    HEAD = "is what the dormant standby stands on"


# What the others protected is lost once a merge may have written into the point.
_HOLDS_WHEN_GIVEN_UP = frozenset({Protection.REVERTED_TO})


@dataclass(frozen=True, slots=True)
class Protected:
    """A point that keeps its state, and why."""

    point: PointName
    why: Protection


@dataclass(frozen=True, slots=True)
class Obstacles:
    """Who stands where. Pins are part of the points themselves and need not be repeated.

    `users` are running machines, mounts, kept heads and anything unexpected; a user who stands
    nowhere known defers every merge of the standby. `missing` are files that are gone.
    """

    protected: tuple[Protected, ...] = ()
    users: tuple[User, ...] = ()
    missing: frozenset[str] = frozenset()

    def following(self, newest: PointName) -> Obstacles:
        """Return the obstacles once a dormant head has moved to `newest`."""
        others = tuple(p for p in self.protected if p.why is not Protection.HEAD)
        return replace(self, protected=(*others, Protected(newest, Protection.HEAD)))


NO_OBSTACLES = Obstacles()


def obstacles(target: TargetObservation, newest_proven: PointName | None = None) -> Obstacles:
    """Return the obstacles to merges of the standby that was observed."""
    protected: list[Protected] = []
    if target.manifest.reverted_to is not None:
        protected.append(Protected(target.manifest.reverted_to, Protection.REVERTED_TO))
    if newest_proven is not None:
        protected.append(Protected(newest_proven, Protection.PROVEN))
    good = target.manifest.newest_good
    if good is not None and good is not target.manifest.newest:
        protected.append(Protected(good.name, Protection.LAST_GOOD))
    if target.head.use is HeadUse.DORMANT and target.head.stands_on is not None:
        stands_on = _whose_state(target.head.stands_on, target.manifest)
        protected.append(Protected(stands_on, Protection.HEAD))
    users = (*_head_users(target.head), *target.users)
    return Obstacles(tuple(protected), users, frozenset(target.missing))


def _whose_state(name: PointName, manifest: Manifest) -> PointName:
    """Return the point that is read through a point's file.

    Nobody is put on a point that was given up: who is found there was brought by the very merge
    that gave it up, and reads the younger point, which the merge that follows must not lose.
    """
    younger = (point.name for point in manifest.whole_points if point.name >= name)
    return next(younger, name)


def _head_users(head: HeadObservation) -> tuple[User, ...]:
    match head.use:
        case HeadUse.RUNNING:
            return (User("the standby, which runs", head.stands_on),)
        case HeadUse.REPLACED:
            return (User("images of somebody's own, which the standby boots", head.stands_on),)
        case HeadUse.RAN:
            return (User("the standby's head, which was run and stopped", head.stands_on),)
        case HeadUse.DORMANT if head.stands_on is None:
            return (User("the dormant standby's head", None),)
    return ()


def why_not(older: int, points: tuple[BootPoint, ...], hindrance: Obstacles) -> str | None:
    """Say why the pair of points[older] and its younger neighbour must wait, or return None."""
    return (
        _users_in_the_way(points[older].name, {p.name for p in points}, hindrance.users)
        or _protection(points[older], hindrance.protected)
        or _unfinished_neighbour(older, points)
        or _lost_digests(points[older], points[older + 1])
        or _lost_files(points[older], points[older + 1], hindrance.missing)
    )


def _users_in_the_way(
    older: PointName, known: Collection[PointName], users: tuple[User, ...]
) -> str | None:
    for user in users:
        if user.stands_on is None:
            return f"{user.what} stands on an unknown boot point"
        if user.stands_on not in known:
            return f"{user.what} stands on {user.stands_on}, which is not in the chain"
    above = (user for user in users if user.stands_on is not None and user.stands_on >= older)
    return next((f"in use by {user.what}, on {user.stands_on}" for user in above), None)


def _protection(older: BootPoint, protected: tuple[Protected, ...]) -> str | None:
    reasons = {entry.why for entry in protected if entry.point == older.name}
    if older.pinned:
        reasons.add(Protection.PINNED)
    if older.standing is Standing.GIVEN_UP:
        reasons &= _HOLDS_WHEN_GIVEN_UP
    first = next((why for why in Protection if why in reasons), None)
    return f"{older.name} {first.value}" if first else None


def _lost_digests(older: BootPoint, younger: BootPoint) -> str | None:
    """Keep away from tables that cannot be read: a merge merges them too."""
    for point in (older, younger):
        for delta in point.deltas:
            if point.is_spoilt_whole(delta):
                return f"{delta.disk} of {point.name} is spoilt as a whole"
    return None


def _lost_files(older: BootPoint, younger: BootPoint, missing: frozenset[str]) -> str | None:
    """Keep the older of a pair whose files are not all there: giving it up would lose it too."""
    deltas = (*older.deltas, *younger.deltas)
    files = sorted(file for delta in deltas for file in (delta.file, delta.digests))
    return next((f"{file} is gone" for file in files if file in missing), None)


def _unfinished_neighbour(place: int, points: tuple[BootPoint, ...]) -> str | None:
    """Keep away from the files of a merge that has yet to be finished."""
    older, younger = points[place], points[place + 1]
    if younger.standing is Standing.GIVEN_UP:
        return f"{younger.name} waits for its own merge to be finished"
    below = points[place - 1] if place else older
    if below.standing is Standing.GIVEN_UP and older.standing is Standing.WHOLE:
        return f"the merge of {below.name} into {older.name} has yet to be finished"
    return None
