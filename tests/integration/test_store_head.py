"""The head: always one whole point, never touched while somebody uses it, kept if it was run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from standby.errors import (
    GrantAccess,
    ReachHost,
    Retry,
    StandbyError,
    StandbyStarted,
    StopStandbyFirst,
)
from standby.model.machine import MachineDefinition
from standby.model.manifest import DefinedDomain, JsonObject
from standby.model.observation import HeadUse
from standby.model.plan import HeadMove
from standby.model.point import BootPoint
from tests.integration.nbd_servers import qemu_io
from tests.integration.store_world import (
    DEFINITION,
    KIB,
    MIB,
    Change,
    Domain,
    Publisher,
    Reverter,
    SetsAside,
    World,
    merge_down,
    was_killed,
)

SIZES = {"vda": MIB, "vdb": MIB}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A standby with two points of two disks."""
    made = World(tmp_path)
    made.publish(Change("vda", 0, MIB, 1), Change("vdb", 0, MIB, 2), sizes=SIZES)
    made.publish(Change("vda", 0, 512, 3), Change("vdb", 0, 512, 4))
    return made


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def head_of(world: World) -> Path:
    return (world.path / "head").resolve()


def run_and_stop(world: World, disk: str = "vda") -> None:
    """Do to the head what a standby does that is started, writes and ends."""
    qemu_io(world.path / f"head/{disk}.qcow2", "write -P 99 0 512")


def use(world: World) -> HeadUse:
    with world.opened() as store:
        return store.observe().head.use


def test_the_head_follows_the_newest_point_and_old_heads_go(world: World) -> None:
    for pattern in (5, 6):
        newest = world.publish(Change("vda", 0, 512, pattern))
        world.expect_head(newest)
        assert [path.name for path in (world.path / "heads").iterdir()] == [head_of(world).name]
    assert use(world) is HeadUse.DORMANT


def test_a_head_that_was_run_is_kept_and_a_fresh_one_takes_its_place(world: World) -> None:
    ran = head_of(world)
    run_and_stop(world)
    assert use(world) is HeadUse.RAN
    with world.opened() as store:
        world.publish_in(store, [Change("vda", 0, 512, 7)], move=HeadMove.SET_ASIDE)
    world.expect_head(world.points[-1])
    kept = world.path / "kept" / ran.name
    assert world.read(f"kept/{ran.name}/vda.qcow2")[:512] == bytes([99]) * 512
    assert world.read(f"kept/{ran.name}/vdb.qcow2") == world.kept[world.points[1]]["vdb"]
    # Whoever kept it still needs what lies below: nothing of that is merged.
    planned = world.merge(1)
    assert [merge.older for merge in planned.merges] == []
    shutil.rmtree(kept)
    world.merge(1)
    world.expect_exact()


def test_a_head_that_is_run_again_during_the_cycle_is_not_moved_from_below_the_machine(
    world: World, opened: ExitStack
) -> None:
    run_and_stop(world)
    before = head_of(world)
    with world.opened() as store:
        assert store.observe().head.use is HeadUse.RAN
        opened.enter_context(world.opened_by_somebody("head/vda.qcow2"))
        with pytest.raises(StandbyStarted):
            world.publish_in(store, [Change("vda", 0, 512, 7)], move=HeadMove.SET_ASIDE)
    assert head_of(world) == before
    opened.close()
    assert world.read("head/vda.qcow2")[:512] == bytes([99]) * 512
    world.expect_exact()


@pytest.mark.parametrize("disk", ["vda", "vdb"])
def test_a_head_run_after_the_last_look_is_kept_too(world: World, disk: str) -> None:
    with world.opened() as store:
        plan = world.plan(store)
        assert plan.head is HeadMove.MOVE
        ran = head_of(world).name
        run_and_stop(world, disk)
        world.publish_in(store, [Change("vda", 0, 512, 7)])
    world.expect_head(world.points[-1])
    assert world.read(f"kept/{ran}/{disk}.qcow2")[:512] == bytes([99]) * 512


def test_a_head_whose_writes_went_to_an_overlay_that_somebody_put_beside_it_is_kept(
    world: World,
) -> None:
    before = head_of(world)
    world.create_overlay(before / "vda.snap1", "vda.qcow2")  # as virsh snapshot-create-as does
    qemu_io(before / "vda.snap1", "write -P 98 0 512")
    assert use(world) is HeadUse.RAN
    world.publish(Change("vda", 0, 512, 7))  # as planned before it was run
    world.expect_head(world.points[-1])
    assert world.read(f"kept/{before.name}/vda.snap1")[:512] == bytes([98]) * 512
    assert [merge.older for merge in world.merge(1).merges] == []


def make_by_hand(world: World, name: str, *, link: str = "") -> Path:
    """Make a head on the oldest point as README tells people to whose manager is dead."""
    head = world.path / "heads" / name
    head.mkdir()
    for delta in world.manifest.points[0].deltas:
        world.create_overlay(head / f"{delta.disk}.qcow2", f"../../{delta.file}")
    (world.path / "head").unlink()
    (world.path / "head").symlink_to(link or f"heads/{name}")
    return head


@pytest.mark.parametrize("name", ["V20261122_035600.900", "by-hand"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_head_made_by_hand_and_run_is_never_deleted(
    world: World, name: str, *, absolute: bool
) -> None:
    ran = make_by_hand(world, name, link=str(world.path / "heads" / name) if absolute else "")
    run_and_stop(world)
    content = (ran / "vda.qcow2").read_bytes()
    newest = world.publish(Change("vda", 0, 512, 9), Change("vdb", 0, 512, 9))
    world.expect_head(newest)
    (kept,) = [path for path in world.path.rglob("vda.qcow2") if path.read_bytes() == content]
    assert kept.parent != head_of(world)
    world.expect_exact()


def test_nothing_is_merged_below_a_head_that_was_open_when_it_was_to_be_retired(
    world: World, opened: ExitStack
) -> None:
    # A manager was killed when it had turned the link and somebody was just starting the old head.
    ran = world.path / "heads" / head_of(world).name
    world.publish(Change("vda", 0, 512, 7))
    ran.mkdir()
    for delta in world.manifest.points[0].deltas:
        world.create_overlay(ran / f"{delta.disk}.qcow2", f"../../{delta.file}")
    opened.enter_context(world.opened_by_somebody(f"heads/{ran.name}/vda.qcow2"))
    with world.opened() as store:
        store.discard(store.observe().debris)  # as a cycle begins
        assert ran.exists()
        opened.close()  # and while it copies the machine is shut down
        qemu_io(ran / "vda.qcow2", "write -P 99 0 512")
        content = world.read(f"heads/{ran.name}/vda.qcow2")
        assert merge_down(store, 1).merges == ()
    assert world.read(f"kept/{ran.name}/vda.qcow2") == content


def test_nothing_is_merged_below_a_head_that_somebody_made_and_no_link_names(world: World) -> None:
    head = world.path / "heads/to-look-at"
    head.mkdir()
    for delta in world.manifest.points[0].deltas:
        world.create_overlay(head / f"{delta.disk}.qcow2", f"../../{delta.file}")
    qemu_io(head / "vda.qcow2", "write -P 99 0 512")
    content = world.read("heads/to-look-at/vda.qcow2")
    world.publish(Change("vda", 0, 4 * KIB, 7))
    world.merge(1)
    assert world.read("heads/to-look-at/vda.qcow2") == content


def test_a_head_that_nobody_ran_and_a_kill_left_keeps_no_merge_up(world: World) -> None:
    left = world.path / "heads" / "V20261122_035600.77"
    shutil.copytree(head_of(world), left)
    with world.opened() as store:
        assert list(store.users()) == []
    assert world.merge(1).merges


def test_what_a_killed_manager_left_of_a_head_that_nobody_saw_goes(world: World) -> None:
    left = world.path / "heads/V20261122_045600.77.new"
    left.mkdir()
    (left / "vda.qcow2").write_bytes(b"half")
    world.publish(Change("vda", 0, 512, 9))
    assert not left.exists()
    assert not list((world.path / "kept").glob("V*"))


def test_a_running_standby_keeps_its_head(world: World) -> None:
    world.domain.active = True
    before = head_of(world)
    with world.opened() as store:
        world.publish_in(store, [Change("vda", 0, 512, 7)], move=HeadMove.LEAVE)
    assert head_of(world) == before
    world.expect_exact()


def test_a_head_somebody_has_open_is_not_moved(world: World, opened: ExitStack) -> None:
    before = head_of(world)
    opened.enter_context(world.opened_by_somebody("head/vdb.qcow2"))
    with world.opened() as store, pytest.raises(StopStandbyFirst) as started:
        world.publish_in(store, [Change("vda", 0, 512, 7)])
    assert started.value.retry is Retry.LATER  # the next cycle leaves the head alone
    assert head_of(world) == before
    opened.close()
    newest = world.publish(Change("vda", 0, 512, 8))
    world.expect_head(newest)
    world.expect_tidy()


class StartedJustNow(Domain):
    """A standby that somebody starts in the moment in which its head has been turned.

    It looked at the old head, and opens what the link names: it is active until that fails.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._before = head_of(world)
        self.said = ""

    def is_active(self) -> bool:
        if self.said or head_of(self._world) == self._before:
            return False
        image = str(self._world.path / "head/vda.qcow2")
        argv = ["qemu-io", "-f", "qcow2", "-c", "write -P 97 0 512", image]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.said = done.stderr + done.stdout
        return True


def test_a_start_that_looked_at_the_old_head_does_not_run_on_the_new_one(world: World) -> None:
    world.domain = domain = StartedJustNow(world)
    newest = world.publish(Change("vda", 0, 512, 7))
    assert 'Failed to get "write" lock' in domain.said
    world.expect_head(newest)
    assert use(world) is HeadUse.DORMANT
    run_and_stop(world)  # nobody holds it any more
    world.expect_tidy()


def test_a_revert_turns_the_head_and_cycles_leave_it_there(world: World) -> None:
    first, _ = world.points
    with world.opened() as store:
        store.change(store.manifest.reverted(first))
        store.move_head(HeadMove.MOVE)
    world.expect_head(first)
    with world.opened() as store:
        world.publish_in(store, [Change("vda", 0, 512, 7)], move=HeadMove.STAY)
    world.expect_head(first)
    with world.opened() as store:
        store.change(store.manifest.reverted(None))
        store.move_head(HeadMove.MOVE)
    world.expect_head(world.points[-1])
    world.expect_tidy()


class DiesBeforeItIsDefined(Domain):
    """A KVM host that is gone in the moment in which the domain is to be defined."""

    def define(
        self, definition: MachineDefinition, point: BootPoint, known: DefinedDomain | None
    ) -> DefinedDomain:
        del definition, point, known
        raise ReachHost("kvm", "hung up")


def defined_for(world: World) -> str | None:
    """Return the point that the domain was defined for last, as the test's domain tells it."""
    return world.manifest.domain.digest if world.manifest.domain else None


def move_head(world: World, profile: JsonObject | None = None) -> None:
    """Do what a cycle does that finds nothing changed."""
    with world.opened(profile=profile) as store:
        store.move_head(HeadMove.MOVE)


def test_a_machine_that_got_a_disk_is_defined_with_it_though_the_cycle_died_before(
    world: World,
) -> None:
    whole, world.domain = world.domain, DiesBeforeItIsDefined()
    with pytest.raises(ReachHost):
        world.publish(Change("vdc", 0, 512, 7), sizes={**SIZES, "vdc": MIB})
    newest = world.points[-1]
    world.expect_head(newest)  # turned already: only the definition is missing
    assert defined_for(world) != str(newest)
    world.domain = whole
    move_head(world)
    assert defined_for(world) == str(newest)


def test_a_changed_profile_reaches_the_domain_of_a_machine_that_did_not_change(
    world: World,
) -> None:
    asked: JsonObject = {"standby": {"memory": "4GiB"}}
    world.domain = DiesBeforeItIsDefined()
    with pytest.raises(ReachHost):
        move_head(world, asked)
    with pytest.raises(ReachHost):  # a manager that died so has told the manifest of the profile
        move_head(world, asked)
    world.domain = Domain()
    move_head(world, asked)
    assert world.manifest.domain is not None
    assert not world.manifest.domain.due
    world.domain = DiesBeforeItIsDefined()
    move_head(world, asked)  # nothing is due


class WithTpm(Domain):
    """Remembers what was put into its TPM."""

    placed: Sequence[str] = ()
    holds = b""
    refusal: StandbyError | None = None

    def define(
        self, definition: MachineDefinition, point: BootPoint, known: DefinedDomain | None
    ) -> DefinedDomain:
        assert definition.tpm == b"sealed"
        return super().define(DEFINITION, point, known)

    def keep_tpm(self, file: str) -> None:
        Path(file).write_bytes(self.holds)

    def place_tpm(self, definition: MachineDefinition, state: str) -> StandbyError | None:
        assert definition.tpm == b"sealed"
        if self.refusal is None:
            self.placed = (*self.placed, state)
        return self.refusal


def test_a_standby_that_was_started_meanwhile_keeps_what_its_tpm_holds(world: World) -> None:
    folder = world.path / f"points/{world.points[0]}"
    (folder / "machine.xml").write_text("<domain><devices><tpm/></devices></domain>")
    (folder / "tpm.permall").write_bytes(b"sealed")
    world.domain = domain = WithTpm()
    with world.opened() as store:
        store.change(store.manifest.reverted(world.points[0]))
        store.move_head(HeadMove.MOVE)
        assert domain.placed == (str(folder / "tpm.permall"),)
        store.change(store.manifest.with_profile({"standby": {"memory": "4GiB"}}))
        domain.active = True
        store.move_head(HeadMove.STAY)  # as was planned while it was off
        assert len(domain.placed) == 1
        domain.active = False
        store.move_head(HeadMove.STAY)
        assert len(domain.placed) == 2


def test_what_the_tpm_holds_of_a_standby_that_ran_after_the_last_look_is_kept_with_its_head(
    world: World,
) -> None:
    folder = world.path / f"points/{world.points[0]}"
    (folder / "machine.xml").write_text("<domain><devices><tpm/></devices></domain>")
    (folder / "tpm.permall").write_bytes(b"sealed")
    world.domain = domain = WithTpm()
    ran = head_of(world).name
    with world.opened() as store:
        assert store.observe().head.use is HeadUse.DORMANT
        domain.holds = b"what it sealed to its disks"
        run_and_stop(world)
        store.change(store.manifest.reverted(world.points[0]))
        store.move_head(HeadMove.MOVE)  # as was planned before
        assert len(domain.placed) == 1
        assert (world.path / f"kept/{ran}/tpm.permall").read_bytes() == domain.holds
        run_and_stop(world)
        store.change(store.manifest.with_profile({"standby": {"memory": "4GiB"}}))
        store.move_head(HeadMove.STAY)  # the domain has to be defined anew, and nothing else
        assert len(domain.placed) == 1
    world.expect_exact()


def test_a_tpm_that_could_not_get_its_state_is_told_of_until_it_has_it(world: World) -> None:
    folder = world.path / f"points/{world.points[0]}"
    (folder / "machine.xml").write_text("<domain><devices><tpm/></devices></domain>")
    (folder / "tpm.permall").write_bytes(b"sealed")
    world.domain = domain = WithTpm()
    domain.refusal = GrantAccess("/var/lib/libvirt/swtpm", "Permission denied")
    with world.opened() as store:
        store.change(store.manifest.reverted(world.points[0]))
        store.move_head(HeadMove.MOVE)
    with world.opened() as store:  # by the next manager
        assert store.manifest.domain is not None
        assert store.manifest.domain.lacks_tpm == "/var/lib/libvirt/swtpm: Permission denied"
        domain.refusal = None
        store.move_head(HeadMove.STAY)
        assert domain.placed == (str(folder / "tpm.permall"),)
        assert not store.manifest.domain.lacks_tpm
        store.move_head(HeadMove.STAY)
        assert len(domain.placed) == 1


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
def test_a_manager_killed_while_it_moves_the_head_leaves_a_head_of_one_point(
    world: World, tmp_path: Path, every: int
) -> None:
    saved = tmp_path / "saved"
    shutil.copytree(world.path, saved, symlinks=True)
    moment = 1
    changes = (Change("vda", 0, 4 * KIB, 7), Change("vdb", 0, 512, 8))
    publisher = Publisher(place=tmp_path, sizes=SIZES, changes=changes)
    while was_killed(replace(publisher, last=moment)):
        heads = {world.read(f"head/{disk}.qcow2")[:1] for disk in SIZES}
        assert heads in ({b"\x03", b"\x04"}, {b"\x07", b"\x08"}), moment
        for point in world.points[2:]:  # it was published before the kill
            content = {disk: bytearray(c) for disk, c in world.kept[world.points[1]].items()}
            for change in changes:
                change.apply(content)
            world.kept[point] = {disk: bytes(c) for disk, c in content.items()}
        newest = world.publish(Change("vda", 512, 512, 9))
        world.expect_head(newest)
        world.expect_tidy()
        shutil.rmtree(world.path)
        shutil.copytree(saved, world.path, symlinks=True)
        moment += every
    assert moment > 8


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.long)])
def test_a_standby_can_be_started_whenever_the_manager_dies_that_sets_its_head_aside(
    world: World, tmp_path: Path, every: int
) -> None:
    run_and_stop(world)
    ran = (head_of(world) / "vda.qcow2").read_bytes()
    saved = tmp_path / "saved"
    shutil.copytree(world.path, saved, symlinks=True)
    moment = 1
    while was_killed(SetsAside(place=tmp_path, last=moment)):
        assert world.read("head/vda.qcow2")[:1] in {b"\x03", bytes([99])}, moment
        with world.opened() as store:
            seen = store.observe()
            store.discard(seen.debris)
            ended = seen.head.use is not HeadUse.RAN
            store.move_head(HeadMove.MOVE if ended else HeadMove.SET_ASIDE)
        world.expect_head(world.points[-1])
        (kept,) = world.path.glob("kept/V*/vda.qcow2")
        assert kept.read_bytes() == ran
        shutil.rmtree(world.path)
        shutil.copytree(saved, world.path, symlinks=True)
        moment += every
    assert moment > 4


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.long)])
def test_a_revert_killed_at_any_moment_is_either_not_there_or_ended_by_the_next_cycle(
    world: World, tmp_path: Path, every: int
) -> None:
    first, second = world.points
    saved = tmp_path / "saved"
    shutil.copytree(world.path, saved, symlinks=True)
    moment, chosen = 1, set()
    while was_killed(Reverter(place=tmp_path, point=first, last=moment)):
        heads = {world.read(f"head/{disk}.qcow2")[:1] for disk in SIZES}
        assert heads in ({b"\x01", b"\x02"}, {b"\x03", b"\x04"}), moment
        reverted = world.manifest.reverted_to
        chosen.add(reverted)
        with world.opened() as store:
            store.move_head(HeadMove.STAY if reverted else HeadMove.MOVE)
            store.discard(store.observe().debris)
        world.expect_head(reverted or second)
        assert not (world.manifest.domain and world.manifest.domain.due)
        world.expect_tidy()
        shutil.rmtree(world.path)
        shutil.copytree(saved, world.path, symlinks=True)
        moment += every
    assert chosen == {None, first}
    world.expect_head(first)
