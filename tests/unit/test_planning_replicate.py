"""What a cycle does, for every state of both sides: nothing is copied whole unasked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

import pytest
from chain_world import EMPTY, IDENTITY, START, hourly_points, observed, point
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import ChooseOtherName, RepairSource, RepairStore, TryLater
from standby.model.disk import (
    DiskLeftOut,
    DiskStorage,
    ExcludedAs,
    ImageFormat,
    LeftOutBecause,
    SourceDisk,
)
from standby.model.keep import HARD_CAP_ABOVE_LIMIT, Keep
from standby.model.machine import MachineDefinition, MachineIdentity, PowerState
from standby.model.manifest import Manifest
from standby.model.observation import (
    DomainFound,
    HeadObservation,
    HeadUse,
    SourceObservation,
    TargetObservation,
    TrackedCheckpoint,
    TrackedDisk,
)
from standby.model.plan import Copying, CyclePlan, CycleRequest, HeadMove
from standby.model.point import BlankDisk, BootPoint, Consistency, Delta, Standing, Way
from standby.model.seed import SeedImages
from standby.model.spoilt import SpoiltDisk
from standby.planning.replicate import checkpoint_owner, plan_cycle

PREFIX = "standby-web-q7x2m4-"
CHECKPOINT = f"{PREFIX}V20261122_035600"
BLOCK = 65536
SIZE = 8 * BLOCK
NOW = START + timedelta(hours=1)


class Before(Enum):
    """What the newest point knows of a disk."""

    SAME = SIZE
    SMALLER = SIZE - 512
    LARGER = SIZE + 512
    ABSENT = 0


class History(Enum):
    """What the source knows of what changed since."""

    KEPT = "kept"
    LOST = "lost"
    NOT_OF_THIS_DISK = "not of this disk"


class Spoilt(Enum):
    """What is damaged of the disk in the newest point."""

    NOTHING = 0, 0
    A_BLOCK = BLOCK, 2 * BLOCK
    WHOLE = 0, SIZE

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        return (self.value,) if self is not Spoilt.NOTHING else ()


@dataclass(frozen=True)
class DiskState:
    name: str
    before: Before = Before.SAME
    history: History = History.KEPT
    spoilt: Spoilt = Spoilt.NOTHING

    @property
    def source(self) -> SourceDisk:
        return SourceDisk(self.name, f"/vms/{self.name}", ImageFormat.QCOW2, DiskStorage.FILE, SIZE)

    @property
    def delta(self) -> Delta | None:
        if self.before is Before.ABSENT:
            return None
        return Delta(self.name, f"deltas/{self.name}.0001.qcow2", self.before.value, 0)


@dataclass(frozen=True)
class State:
    disks: tuple[DiskState, ...]
    seeded: bool = True
    checkpoint_there: bool = True
    copying: Copying = Copying.AS_NEEDED

    @property
    def newest(self) -> BootPoint:
        deltas = tuple(disk.delta for disk in self.disks if disk.delta)
        spoilt = tuple(
            SpoiltDisk(disk.name, disk.spoilt.ranges)
            for disk in self.disks
            if disk.delta and disk.spoilt.ranges
        )
        made = point(START, deltas=deltas)
        return replace(made, checkpoint=CHECKPOINT, spoilt=spoilt)

    @property
    def manifest(self) -> Manifest:
        return replace(EMPTY, points=(self.newest,) if self.seeded else (), next_delta=7)

    @property
    def source(self) -> SourceObservation:
        tracked = tuple(
            TrackedDisk(disk.name, "its bitmap is broken" if disk.history is History.LOST else None)
            for disk in self.disks
            if disk.history is not History.NOT_OF_THIS_DISK
        )
        known = (TrackedCheckpoint(CHECKPOINT, tracked),) if self.checkpoint_there else ()
        return source(*(disk.source for disk in self.disks), checkpoints=known)

    def plan(self) -> CyclePlan:
        return planned(self.source, self.manifest, CycleRequest(self.copying))


def source(
    *disks: SourceDisk,
    checkpoints: tuple[TrackedCheckpoint, ...] = (),
    identity: MachineIdentity = IDENTITY,
    left_out: tuple[DiskLeftOut, ...] = (),
) -> SourceObservation:
    definition = MachineDefinition("<domain/>", None)
    return SourceObservation(identity, PowerState.RUNNING, definition, disks, left_out, checkpoints)


def planned(
    there: SourceObservation,
    manifest: Manifest,
    request: CycleRequest | None = None,
    *,
    head: HeadObservation | None = None,
    keep: Keep | None = None,
    target: TargetObservation | None = None,
) -> CyclePlan:
    return plan_cycle(
        there,
        target or observed(manifest, head),
        request or CycleRequest(),
        consistency=Consistency.CRASH,
        keep=keep or Keep(22),
        checkpoint_prefix=PREFIX,
        now=NOW,
    )


DISKS = st.builds(
    DiskState,
    name=st.just("vda"),
    before=st.sampled_from(Before),
    history=st.sampled_from(History),
    spoilt=st.sampled_from(Spoilt),
)
STATES = st.builds(
    State,
    disks=st.lists(DISKS, min_size=1, max_size=3).map(
        lambda disks: tuple(replace(disk, name=f"vd{'abc'[n]}") for n, disk in enumerate(disks))
    ),
    seeded=st.booleans(),
    checkpoint_there=st.booleans(),
    copying=st.sampled_from(Copying),
)


def plan_or_refusal(state: State) -> CyclePlan | None:
    """Return the plan, None when it is refused; and then it had to be."""
    shrank = state.seeded and any(disk.before is Before.LARGER for disk in state.disks)
    unknown = state.seeded and any(
        disk.before is Before.SAME and disk.spoilt is Spoilt.WHOLE for disk in state.disks
    )
    try:
        plan = state.plan()
    except RepairSource:
        assert shrank
        return None
    except RepairStore:
        assert unknown
        assert state.copying is not Copying.EVERYTHING
        return None
    assert not shrank
    assert not unknown or state.copying is Copying.EVERYTHING
    return plan


@given(STATES)
def test_a_disk_that_is_there_is_copied_whole_only_when_asked_for(state: State) -> None:
    plan = plan_or_refusal(state)
    for disk, made in zip(state.disks, plan.capture.disks if plan else (), strict=False):
        is_there = state.seeded and disk.before is not Before.ABSENT
        asked = state.copying is Copying.EVERYTHING
        assert (made.way is Way.SEED) is (asked or not is_there), made.reason


def test_a_disk_under_another_name_begins_from_what_the_newest_point_has_of_it() -> None:
    before = replace(DiskState("vda").delta or Delta("", "", 0, 0), image="inode 7")
    newest = replace(point(START, deltas=(before,)), checkpoint=CHECKPOINT)
    manifest = replace(EMPTY, points=(newest,), next_delta=7)
    there = replace(DiskState("sda").source, image="inode 7")
    (disk,) = planned(source(there), manifest).capture.disks
    assert (disk.image, disk.below) == (before.file, None)
    assert "vda of the newest boot point" in disk.reason
    for other in (
        replace(there, image="inode 8"),
        replace(there, image=""),
        replace(there, size=before.size - 1),
    ):
        (disk,) = planned(source(other), manifest).capture.disks
        assert disk.image is None
    (disk,) = planned(source(there), manifest, CycleRequest(Copying.EVERYTHING)).capture.disks
    assert disk.image is None


def test_the_image_of_a_first_copy_stands_in_the_way_of_no_later_change() -> None:
    """It is not needed any more then: its owner may have removed it."""
    request = CycleRequest(images=SeedImages(only="/srv/old.raw"))
    two = State((DiskState("vda"), DiskState("vdb", Before.ABSENT)))
    plan = planned(two.source, two.manifest, request)
    assert [disk.image for disk in plan.capture.disks] == [None, None]
    before = replace(DiskState("vda").delta or Delta("", "", 0, 0), image="inode 7")
    manifest = replace(EMPTY, points=(point(START, deltas=(before,)),), next_delta=7)
    there = replace(DiskState("sda").source, image="inode 7")
    (disk,) = planned(source(there), manifest, request).capture.disks
    assert disk.image == before.file
    named = CycleRequest(images=SeedImages({"vdb": "/srv/b.raw", "vdc": "/srv/c.raw"}))
    plan = planned(two.source, two.manifest, named)
    assert [disk.image for disk in plan.capture.disks] == [None, "/srv/b.raw"]


def test_of_disks_whose_images_were_exchanged_no_history_is_believed() -> None:
    states = (DiskState("vda"), DiskState("vdb"))
    state = State(states)
    deltas = tuple(replace(d, image=f"inode {d.disk}") for d in state.newest.deltas)
    manifest = replace(state.manifest, points=(replace(state.newest, deltas=deltas),))
    exchanged = tuple(
        replace(disk.source, image=f"inode {other.name}")
        for disk, other in zip(states, reversed(states), strict=True)
    )
    plan = planned(replace(state.source, disks=exchanged), manifest)
    assert {disk.way for disk in plan.capture.disks} == {Way.RESYNC}
    same = tuple(replace(disk.source, image=f"inode {disk.name}") for disk in states)
    plan = planned(replace(state.source, disks=same), manifest)
    assert {disk.way for disk in plan.capture.disks} == {Way.INCREMENTAL}


@given(STATES)
def test_only_a_history_that_is_whole_is_believed(state: State) -> None:
    plan = plan_or_refusal(state)
    for disk, made in zip(state.disks, plan.capture.disks if plan else (), strict=False):
        believed = (
            state.seeded
            and disk.before is not Before.ABSENT
            and state.checkpoint_there
            and disk.history is History.KEPT
            and state.copying is Copying.AS_NEEDED
        )
        assert (made.way is Way.INCREMENTAL) is believed, made.reason
    if plan:
        any_believed = any(made.way is Way.INCREMENTAL for made in plan.capture.disks)
        assert plan.capture.since == (CHECKPOINT if any_believed else None)


@given(STATES)
def test_what_is_spoilt_in_the_newest_point_is_sent_anew(state: State) -> None:
    plan = plan_or_refusal(state)
    for disk, made in zip(state.disks, plan.capture.disks if plan else (), strict=False):
        is_there = state.seeded and disk.before is not Before.ABSENT
        if is_there and made.way is not Way.SEED:
            assert made.again == disk.spoilt.ranges
            assert not made.again or "spoilt" in made.reason


@given(STATES)
def test_a_delta_stands_on_what_the_newest_point_has_of_its_disk(state: State) -> None:
    plan = plan_or_refusal(state)
    if plan is None:
        return
    for disk, made in zip(state.disks, plan.capture.disks, strict=True):
        below = disk.delta.file if state.seeded and disk.delta else None
        assert made.below == below
    numbers = [made.number for made in plan.capture.disks]
    assert numbers == list(range(7, 7 + len(numbers)))


@given(STATES)
def test_every_plan_says_why_and_names_what_no_other_has(state: State) -> None:
    plan = plan_or_refusal(state)
    if plan is None:
        return
    assert plan.reason
    assert all(made.reason for made in plan.capture.disks)
    assert plan.capture.checkpoint == f"{PREFIX}{plan.point}"
    assert plan.capture.checkpoint not in plan.known_checkpoints
    assert all(plan.point > made.name for made in state.manifest.points)


@pytest.mark.parametrize(
    ("use", "reverted", "move"),
    [
        (HeadUse.DORMANT, False, HeadMove.MOVE),
        (HeadUse.ABSENT, False, HeadMove.MOVE),
        (HeadUse.DORMANT, True, HeadMove.STAY),
        (HeadUse.ABSENT, True, HeadMove.STAY),
        (HeadUse.RUNNING, False, HeadMove.LEAVE),
        (HeadUse.RUNNING, True, HeadMove.LEAVE),
        (HeadUse.REPLACED, False, HeadMove.LEAVE),
        (HeadUse.REPLACED, True, HeadMove.LEAVE),
        (HeadUse.RAN, False, HeadMove.SET_ASIDE),
        (HeadUse.RAN, True, HeadMove.SET_ASIDE),
    ],
)
def test_a_head_that_somebody_uses_or_chose_is_not_moved(
    use: HeadUse, *, reverted: bool, move: HeadMove
) -> None:
    state = State((DiskState("vda"),))
    name = state.newest.name
    manifest = replace(state.manifest, reverted_to=name if reverted else None)
    assert planned(state.source, manifest, head=HeadObservation(use, name)).head is move


def test_another_machine_is_never_taken_for_this_one() -> None:
    state = State((DiskState("vda"),))
    other = replace(state.source, identity=MachineIdentity("web", "another"))
    with pytest.raises(RepairSource, match="UUID"):
        planned(other, state.manifest)
    assert planned(other, EMPTY).way is Way.SEED  # nothing of the former is there


def test_where_boot_points_were_everything_is_sent_again_only_when_asked_for() -> None:
    state = State((DiskState("vda"),), seeded=False)
    unmounted = replace(observed(state.manifest), domain=DomainFound.OURS)
    for copying in (Copying.AS_NEEDED, Copying.WHAT_DIFFERS):
        with pytest.raises(RepairStore, match="none of its boot points"):
            planned(state.source, state.manifest, CycleRequest(copying), target=unmounted)
    full = planned(state.source, state.manifest, CycleRequest(Copying.EVERYTHING), target=unmounted)
    assert full.way is Way.SEED


def test_no_first_copy_is_made_for_a_standby_whose_name_another_domain_has() -> None:
    state = State((DiskState("vda"),), seeded=False)
    taken = replace(observed(state.manifest), domain=DomainFound.FOREIGN)
    for copying in Copying:
        with pytest.raises(ChooseOtherName, match="not of this standby"):
            planned(state.source, state.manifest, CycleRequest(copying), target=taken)
    state = State((DiskState("vda"),))
    taken = replace(observed(state.manifest), domain=DomainFound.FOREIGN)
    assert planned(state.source, state.manifest, target=taken).way is Way.INCREMENTAL


def test_nothing_is_added_to_a_point_of_which_a_file_is_gone_nor_is_it_called_still_true() -> None:
    state = State((DiskState("vda"),))
    (delta,) = state.newest.deltas
    target = replace(observed(state.manifest), missing=(delta.file,))
    with pytest.raises(RepairStore, match=f"{delta.file} gone"):
        planned(state.source, state.manifest, target=target)
    table = replace(target, missing=(delta.digests,))
    assert planned(state.source, state.manifest, target=table)  # the disk itself is whole


def test_a_machine_without_disks_makes_no_point() -> None:
    with pytest.raises(RepairSource, match="no disk"):
        planned(source(), EMPTY)


def test_at_the_hard_cap_no_point_is_made() -> None:
    limit = 2
    pinned = tuple(
        replace(made, pinned=True) for made in hourly_points(limit + HARD_CAP_ABOVE_LIMIT)
    )
    with pytest.raises(TryLater):
        planned(source(DiskState("vda").source), replace(EMPTY, points=pinned), keep=Keep(limit))


def test_unfinished_merges_are_named_by_the_point_that_was_given_up() -> None:
    older, younger = hourly_points(2)
    points = (replace(older, standing=Standing.GIVEN_UP), younger)
    plan = planned(source(DiskState("vda").source), replace(EMPTY, points=points))
    assert plan.unfinished_merges == (older.name,)


def test_only_disks_that_shall_be_empty_are_blank() -> None:
    excluded = LeftOutBecause.EXCLUDED
    left_out = (
        DiskLeftOut("vdb", excluded, 1 << 20, ExcludedAs.EMPTY),
        DiskLeftOut("vdc", excluded, 1 << 20, ExcludedAs.ABSENT),
    )
    plan = planned(source(DiskState("vda").source, left_out=left_out), EMPTY)
    assert plan.blanks == (BlankDisk("vdb", 1 << 20),)


def test_checkpoints_are_still_ours_when_the_profile_was_renamed() -> None:
    """Or the next cycle would read everything, and what is on the source stay there for ever."""
    assert checkpoint_owner("web", EMPTY) == PREFIX
    made = replace(EMPTY, points=(replace(point(START), checkpoint=CHECKPOINT),))
    assert checkpoint_owner("shop", made) == PREFIX
    raw_only = replace(EMPTY, points=(point(START),))
    assert checkpoint_owner("shop", raw_only) == PREFIX.replace("web", "shop")
