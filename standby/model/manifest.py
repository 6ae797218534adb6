"""The manifest: what one standby's directory says about itself, and how it may change.

Every change is a pure function from one manifest to the next; the store publishes the result
with one atomic rename. A reader who sees a manifest therefore sees a state that one of the
functions below made on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from standby.errors import FixRequest, RepairStore
from standby.model.digest import DigestAlgorithm
from standby.model.machine import MachineIdentity
from standby.model.names import PointName
from standby.model.pause import Pause
from standby.model.point import Base, BootPoint, Delta, Standing
from standby.model.spoilt import SpoiltDisk
from standby.model.state import State, may_follow

JsonObject: TypeAlias = Mapping[str, object]

MANIFEST_VERSION = 1


FAILOVERS: Final = frozenset({State.PREPARED, State.FAILED_OVER, State.REVERSED})
"""The states that a failover leads to: no look at the points tells them."""


@dataclass(frozen=True, slots=True)
class DefinedDomain:
    """Our dormant domain: its UUID, and digests of the XML it was defined from and became.

    What libvirt shows of it is another text than what we gave; if it is not the one that it became,
    somebody edited it. `due` says that profile or point have changed since, so that it may have to
    be defined anew. `lacks_tpm` says why its TPM could not be given the state of its boot point.
    """

    uuid: str
    digest: str
    due: bool = False
    became: str = ""
    lacks_tpm: str = ""


@dataclass(frozen=True, slots=True)
class AwaitedSeed:
    """A first copy that travels on a medium. `since` is UTC."""

    medium: str  # for people: where it was written
    since: datetime
    checkpoint: str | None = None  # that the next cycle counts from; None: not finished yet


@dataclass(frozen=True, slots=True)
class Manifest:
    """One standby as its own directory on the KVM host describes it. Points oldest first."""

    standby: str
    machine: MachineIdentity
    token: str  # made once, at random: marks our checkpoints on the source as this standby's
    generation: int = 0  # raised by every holder of the lock; an overtaken one cannot publish
    domain: DefinedDomain | None = None  # our dormant domain, once defined
    next_delta: int = 1  # number of the next delta file; never used twice
    reverted_to: PointName | None = None  # None: the head follows the newest point
    profile: JsonObject = field(default_factory=dict)  # effective, without secrets
    digests: DigestAlgorithm = DigestAlgorithm.BLAKE3  # of every table of this standby
    awaits: AwaitedSeed | None = None
    paused: Pause | None = None
    failover: State | None = None  # one of FAILOVERS
    points: tuple[BootPoint, ...] = ()

    def state_at(self, now: datetime) -> State:
        """Return the lasting state, derived so that it cannot contradict the points. `now` UTC."""
        if self.paused is not None and not self.paused.holds(now):
            return replace(self, paused=None).role
        return self.role

    @property
    def role(self) -> State:
        """The lasting state for who has no clock: as if no pause ended by itself."""
        if self.failover in {State.PREPARED, State.FAILED_OVER}:
            return self.failover
        if self.paused is not None:
            return State.PAUSED
        resting = State.PROTECTED if self.whole_points else State.WAITING_FOR_SEED
        return self.failover or resting

    @property
    def whole_points(self) -> tuple[BootPoint, ...]:
        """Points that may be read, oldest first."""
        return tuple(point for point in self.points if point.standing is Standing.WHOLE)

    @property
    def newest(self) -> BootPoint | None:
        """The newest point; it is always whole."""
        return self.points[-1] if self.points else None

    @property
    def newest_good(self) -> BootPoint | None:
        """The newest point of which nothing is known to be damaged."""
        return next((point for point in reversed(self.points) if point.good), None)

    def point(self, name: PointName) -> BootPoint:
        """Return the point called `name`; raise RepairStore when there is none."""
        for point in self.points:
            if point.name == name:
                return point
        raise RepairStore(f"standby {self.standby}", f"has no boot point {name}")

    def younger_neighbour(self, name: PointName) -> BootPoint:
        """Return the point that stands directly on the point called `name`."""
        position = self.points.index(self.point(name))
        if position + 1 == len(self.points):
            raise RepairStore(f"boot point {name}", "nothing stands on it", "a younger neighbour")
        return self.points[position + 1]

    def images_below(self, point: BootPoint) -> frozenset[str]:
        """Return all images that a point is read from, its own among them; relative paths."""
        chains = (self.chain_of(delta.disk, point.name) for delta in point.deltas)
        return frozenset(delta.file for chain in chains for delta in chain)

    def chain_of(self, disk: str, name: PointName) -> tuple[Delta, ...]:
        """Return the files that make up `disk` at the point called `name`, oldest first.

        A disk that was absent at some point in between starts anew with its next delta.
        """
        chain: list[Delta] = []
        for point in self.points:
            delta = point.delta_of(disk)
            below = chain if delta and delta.base is Base.BELOW else []
            chain = [*below, delta] if delta else []
            if point.name == name:
                break
        return tuple(chain)

    def files(self) -> frozenset[str]:
        """Return every file in deltas/ that belongs to a point."""
        deltas = [delta for point in self.points for delta in point.deltas]
        return frozenset(f for delta in deltas for f in (delta.file, delta.digests))

    # ---- transitions -------------------------------------------------------------------

    def taken_over(self) -> Manifest:
        """Return the manifest of the next holder of the lock."""
        return replace(self, generation=self.generation + 1)

    def with_point(self, point: BootPoint) -> Manifest:
        """Return the manifest with a new newest point; refuse one that is not newer."""
        if self.newest and point.name <= self.newest.name:
            raise RepairStore(f"boot point {point.name}", f"not newer than {self.newest.name}")
        after = self if _same_hardware(point, self.newest) else self._domain_due()
        return replace(after, points=(*self.points, point), awaits=None)

    def waiting(self, awaited: AwaitedSeed | None) -> Manifest:
        """Return the manifest of a standby that waits for a seed on a medium, or no more."""
        return replace(self, awaits=awaited)

    def with_pause(self, pause: Pause | None) -> Manifest:
        """Return the manifest of a machine that is left alone, or no more."""
        return replace(self, paused=pause)

    def in_failover(self, state: State | None, now: datetime) -> Manifest:
        """Return the manifest of a standby in one of the states of FAILOVERS, or in none.

        Raises FixRequest for a state that cannot follow the one at `now`, UTC.
        """
        before, after = self.state_at(now), state or State.PROTECTED
        if state not in {None, *FAILOVERS} or not may_follow(before, after):
            raise FixRequest(f"standby {self.standby}", before.value, f"no step to {after.value}")
        return replace(self, failover=state)

    def with_seed(self, seed: Manifest) -> Manifest:
        """Return the manifest after a seed was taken in: its only boot point is ours now."""
        if self.points or len(seed.points) != 1:
            raise RepairStore(f"standby {self.standby}", "not a seed into a standby without points")
        return replace(
            self._domain_due(),
            machine=seed.machine,
            token=seed.token,
            digests=seed.digests,
            next_delta=max(self.next_delta, seed.next_delta),
            awaits=None,
            points=seed.points,
        )

    def stamped(self, moment: datetime) -> Manifest:
        """Return the manifest with the newest point still true at `moment` (UTC)."""
        if self.newest is None:
            return self
        return self._replacing(self.newest.still_true(moment))

    def giving_up(self, name: PointName) -> Manifest:
        """Return the manifest in which a point is marked before a merge writes into it.

        Raises RepairStore for a point that may not be given up: the newest, a pinned one, the
        one reverted to, and one whose younger neighbour is itself given up.
        """
        point = self.point(name)
        self._heir_of(name)
        if point.pinned:
            raise RepairStore(f"boot point {name}", "pinned", "an unpinned point to merge")
        if name == self.reverted_to:
            raise RepairStore(f"boot point {name}", "reverted to", "a point that nobody chose")
        return self._replacing(replace(point, standing=Standing.GIVEN_UP))

    def commits(self, older: PointName) -> tuple[tuple[Delta, Delta], ...]:
        """Return the files a merge has to write: pairs of the younger's delta and the older's.

        A disk that one of the two points lacks, or that starts anew in the younger, needs no
        writing. Files that no point names after `merged` are to be removed.
        """
        gone, heir = self.point(older), self._heir_of(older)
        pairs = ((delta, _taken_over(delta, gone)) for delta in heir.deltas)
        return tuple((delta, below) for delta, below in pairs if below)

    def merged(self, older: PointName, stored: Mapping[str, int]) -> Manifest:
        """Return the manifest after a merge: the younger took over the files of the older.

        `stored` gives the allocated bytes of each disk's file now.
        """
        gone, heir = self.point(older), self._heir_of(older)
        if gone.standing is not Standing.GIVEN_UP:
            raise RepairStore(f"boot point {older}", "not given up", "a mark before its merge")
        survivor = replace(heir, deltas=tuple(_inherit(d, gone, stored) for d in heir.deltas))
        points = tuple(survivor if p is heir else p for p in self.points if p is not gone)
        return replace(self, points=points)

    def with_pin(self, name: PointName) -> Manifest:
        """Return the manifest with a point protected from merging; FixRequest if too late."""
        return self._replacing(replace(self._readable(name), pinned=True))

    def without_pin(self, name: PointName) -> Manifest:
        """Return the manifest with a point open to merging again."""
        return self._replacing(replace(self.point(name), pinned=False))

    def with_spoilt(self, found: Mapping[PointName, tuple[SpoiltDisk, ...]]) -> Manifest:
        """Return the manifest with what a verification found damaged, none of it an empty tuple.

        Points that are not there any more are passed over, and those given up: nobody reads them.
        """
        points = tuple(
            replace(p, spoilt=found[p.name]) if p.name in found and p in self.whole_points else p
            for p in self.points
        )
        return replace(self, points=points)

    def reverted(self, name: PointName | None) -> Manifest:
        """Return the manifest whose head stays on a point, or (None) follows the newest again.

        Raises FixRequest when a merge gave the point up.
        """
        chosen = None if name is None else self._readable(name).name
        return (
            self if chosen == self.reverted_to else replace(self._domain_due(), reverted_to=chosen)
        )

    def without_points(self) -> Manifest:
        """Return the manifest of a standby whose boot points are about to be deleted."""
        return replace(self, reverted_to=None, points=())

    def of_machine(self, machine: MachineIdentity) -> Manifest:
        """Return the manifest of a machine that may have been renamed."""
        return replace(self, machine=machine)

    def with_domain(self, domain: DefinedDomain) -> Manifest:
        """Return the manifest with our dormant domain as it was defined."""
        return replace(self, domain=domain)

    def with_profile(self, profile: JsonObject) -> Manifest:
        """Return the manifest with the effective profile, without secrets."""
        return self if profile == self.profile else replace(self._domain_due(), profile=profile)

    def with_delta_numbers_used(self, count: int) -> Manifest:
        """Return the manifest after `count` delta numbers were handed out."""
        return replace(self, next_delta=self.next_delta + count)

    def _domain_due(self) -> Manifest:
        """Return the manifest that says so, whatever a kill leaves undone of defining it anew."""
        return self if self.domain is None else replace(self, domain=replace(self.domain, due=True))

    def _readable(self, name: PointName) -> BootPoint:
        point = self.point(name)
        if point.standing is Standing.GIVEN_UP:
            raise FixRequest(f"boot point {name}", "given up, a merge may be writing into it")
        return point

    def _heir_of(self, older: PointName) -> BootPoint:
        heir = self.younger_neighbour(older)
        if heir.standing is Standing.GIVEN_UP:
            raise RepairStore(f"boot point {heir.name}", "given up", "a whole point to survive")
        return heir

    def _replacing(self, changed: BootPoint) -> Manifest:
        points = tuple(changed if p.name == changed.name else p for p in self.points)
        return replace(self, points=points)


def _same_hardware(point: BootPoint, before: BootPoint | None) -> bool:
    """Tell whether a domain that was defined for one point is what the other needs."""
    return before is not None and (point.definition, point.blanks, _disks(point)) == (
        before.definition,
        before.blanks,
        _disks(before),
    )


def _disks(point: BootPoint) -> list[str]:
    return [delta.disk for delta in point.deltas]


def _taken_over(delta: Delta, gone: BootPoint) -> Delta | None:
    """Return the delta of `gone` whose file `delta` takes over, if it stands on one."""
    return gone.delta_of(delta.disk) if delta.base is Base.BELOW else None


def _inherit(delta: Delta, gone: BootPoint, stored: Mapping[str, int]) -> Delta:
    below = _taken_over(delta, gone)
    if below is None:
        # Without `gone` in between, an older delta of the same disk may come to lie right below.
        return replace(delta, base=Base.NOTHING)
    now = stored.get(delta.disk, below.stored)
    return replace(delta, file=below.file, base=below.base, stored=now)
