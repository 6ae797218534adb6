"""Boot points for tests, and a KVM host's store small enough to think about.

The world keeps what really lies on the disk (files of blocks, each with its backing file)
beside the manifest, so that a test can tell whether what the manifest promises is true.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from standby.model.keep import Keep
from standby.model.machine import MachineIdentity
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import (
    DomainFound,
    HeadObservation,
    HeadUse,
    TargetObservation,
    User,
)
from standby.model.point import Base, BootPoint, Consistency, Delta, Standing, Way
from standby.planning.naming import next_point_name
from standby.planning.obstacles import Obstacles, obstacles
from standby.planning.retention import Merge, MergePlan, plan_merges

START = datetime(2026, 11, 22, 3, 56, tzinfo=UTC)
IDENTITY = MachineIdentity("web", "6f4cb4a0-8c0d-4b4e-9f0e-0d6d3f6d2f11")
EMPTY = Manifest("web", IDENTITY, "q7x2m4")  # a standby that waits for its seed
BLOCK = 65536
SIZE = 8 * BLOCK

Blocks = dict[int, int]


def point(
    moment: datetime = START,
    *,
    pinned: bool = False,
    given_up: bool = False,
    true_at: datetime | None = None,
    deltas: tuple[Delta, ...] = (),
) -> BootPoint:
    return BootPoint(
        name=PointName.at(moment),
        made=Way.INCREMENTAL,
        reason="changes since the newest point",
        consistency=Consistency.CRASH,
        deltas=deltas,
        sent=0,
        true_at=true_at or moment,
        pinned=pinned,
        standing=Standing.GIVEN_UP if given_up else Standing.WHOLE,
    )


def hourly_points(count: int, step: timedelta = timedelta(hours=1)) -> tuple[BootPoint, ...]:
    """Points `step` apart, the oldest at START."""
    return tuple(point(START + n * step) for n in range(count))


def after(points: Sequence[BootPoint], merge: Merge) -> tuple[BootPoint, ...]:
    """The chain once a merge is done."""
    assert [p.name for p in points].index(merge.older) + 1 == [p.name for p in points].index(
        merge.younger
    )
    return tuple(p for p in points if p.name != merge.older)


def after_all(points: Sequence[BootPoint], plan: MergePlan) -> tuple[BootPoint, ...]:
    """The chain once the whole plan is done."""
    chain = tuple(points)
    for merge in plan.merges:
        chain = after(chain, merge)
    return chain


def observed(
    manifest: Manifest,
    head: HeadObservation | None = None,
    *,
    domain: DomainFound | None = None,  # ours once there is a boot point
    users: tuple[User, ...] = (),
) -> TargetObservation:
    newest = manifest.newest.name if manifest.newest else None
    return TargetObservation(
        manifest=manifest,
        head=head or HeadObservation(HeadUse.DORMANT, newest),
        domain=domain or (DomainFound.OURS if newest else DomainFound.ABSENT),
        available=1 << 40,
        users=users,
    )


@dataclass
class Image:
    """An overlay outside the chain (the head, a kept head, a mount): its content never changes."""

    what: str
    backing: str | None
    promised: Blocks


@dataclass
class World:
    """One standby's directory, its head and everybody who stands on its files."""

    manifest: Manifest = EMPTY
    now: datetime = START
    files: dict[str, Blocks] = field(default_factory=dict)
    backing: dict[str, str | None] = field(default_factory=dict)
    truth: dict[PointName, dict[str, Blocks]] = field(default_factory=dict)
    head: Image | None = None
    head_use: HeadUse = HeadUse.ABSENT
    others: list[Image] = field(default_factory=list)
    stranger: bool = False

    # ---- what is there -----------------------------------------------------------------

    def read(self, file: str | None) -> Blocks:
        """What a disk whose topmost file this is holds, by the files alone."""
        if file is None:
            return {}
        return {**self.read(self.backing[file]), **self.files[file]}

    def images(self) -> Iterator[Image]:
        yield from self.others
        if self.head:
            yield self.head

    def observe(self) -> TargetObservation:
        stands_on = self._point_at(self.head.backing) if self.head else None
        users = [User(image.what, self._point_at(image.backing)) for image in self.others]
        if self.stranger:
            users.append(User("unknown.qcow2", None))
        return observed(
            self.manifest, HeadObservation(self.head_use, stands_on), users=tuple(users)
        )

    def _point_at(self, file: str | None) -> PointName | None:
        for each in self.manifest.points:
            if any(delta.file == file for delta in each.deltas):
                return each.name
        return None

    def obstacles(self) -> Obstacles:
        return obstacles(self.observe())

    def plan(self, keep: Keep) -> MergePlan:
        return plan_merges(self.manifest.points, keep, self.now, self.obstacles())

    def check(self) -> None:
        """Every whole point and every image is exactly what it was made as."""
        newest = self.manifest.newest
        assert newest is None or newest.standing is Standing.WHOLE
        for each in self.manifest.whole_points:
            for disk, content in self.truth[each.name].items():
                chain = self.manifest.chain_of(disk, each.name)
                assert self.read(chain[-1].file) == content
                by_manifest: Blocks = {}
                for delta in chain:
                    by_manifest |= self.files[delta.file]
                assert by_manifest == content
        for image in self.images():
            assert self.read(image.backing) == image.promised, image.what

    # ---- what happens to it ------------------------------------------------------------

    def publish(self, changed: dict[str, Blocks]) -> None:
        """A cycle's new point; `changed` has an entry for each disk the machine has now."""
        newest = self.manifest.newest
        name = next_point_name(self.manifest.points, self.now)
        deltas: list[Delta] = []
        for number, (disk, blocks) in enumerate(changed.items(), self.manifest.next_delta):
            below = newest.delta_of(disk) if newest else None
            file = f"deltas/{disk}.{number:04}.qcow2"
            self.files[file] = dict(blocks)
            self.backing[file] = below.file if below else None
            deltas.append(Delta(disk, file, SIZE, len(blocks) * BLOCK, self._base(below)))
        self.truth[name] = {delta.disk: self.read(delta.file) for delta in deltas}
        made = point(name.moment, deltas=tuple(deltas))
        self.manifest = self.manifest.with_delta_numbers_used(len(deltas)).with_point(made)

    def _base(self, below: Delta | None) -> Base:
        """Where nothing is directly below, saying so is as good as not saying so."""
        says_nothing = below is None and self.manifest.next_delta % 2
        return Base.NOTHING if says_nothing else Base.BELOW

    def move_head(self) -> None:
        """Put a fresh head where it belongs, unless somebody uses the old one."""
        if self.head_use is HeadUse.RUNNING or self.manifest.newest is None:
            return
        if self.head_use is HeadUse.RAN and self.head:
            self.others.append(Image("a kept head", self.head.backing, self.head.promised))
        target = self.manifest.reverted_to or self.manifest.newest.name
        self.head = self._on(target, "the head")
        self.head_use = HeadUse.DORMANT

    def mount(self, name: PointName) -> None:
        self.others.append(self._on(name, "a mount"))

    def _on(self, name: PointName, what: str) -> Image:
        delta = self.manifest.point(name).delta_of("vda")
        assert delta
        return Image(what, delta.file, dict(self.truth[name]["vda"]))

    def merge(self, older: PointName, steps: int | None = None) -> bool:
        """Merge, or be killed after so many steps; tell whether it was finished."""
        todo = self._merge_steps(older)
        for done, _ in enumerate(todo, 1):
            self.check()
            if done == steps:
                todo.close()
                return False
        return True

    def _merge_steps(self, older: PointName) -> Generator[None, None, None]:
        self.manifest = self.manifest.giving_up(older)
        yield
        pairs = self.manifest.commits(older)
        for younger_delta, older_delta in pairs:
            for block, value in sorted(self.files[younger_delta.file].items()):
                self.files[older_delta.file][block] = value
                yield
        for younger_delta, older_delta in pairs:
            for file, below in list(self.backing.items()):
                if below == younger_delta.file:
                    self.backing[file] = older_delta.file
                    yield
            for image in self.images():
                if image.backing == younger_delta.file:
                    image.backing = older_delta.file
                    yield
        stored = {o.disk: len(self.files[o.file]) * BLOCK for _, o in pairs}
        self.manifest = self.manifest.merged(older, stored)
        del self.truth[older]
        yield
        self.remove_debris()

    def remove_debris(self) -> None:
        """What a cycle does first: remove the files that no point names."""
        for file in set(self.files) - self.manifest.files():
            del self.files[file], self.backing[file]
