"""A manifest that is damaged or gone costs no point: its copy takes its place, damage is kept."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from standby.errors import CommandFailed, Overtaken, RepairStore, UseOtherVersion
from standby.model.manifest import Manifest
from standby.model.pause import Pause
from standby.model.point import REMADE, Standing
from standby.model.seed import SeedOrigin
from standby.model.state import State
from standby.target import layout
from standby.target.healing import Healing
from standby.target.layout import SeedFile
from standby.target.looking import look
from tests.integration.nbd_servers import run
from tests.integration.store_world import MIB, Change, World

SIZES = {"vda": MIB, "vdb": MIB}
Damage = Callable[[Path], object]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A standby with two points."""
    made = World(tmp_path)
    made.publish(Change("vda", 0, MIB, 1), Change("vdb", 0, 512, 1), sizes=SIZES)
    made.publish(Change("vda", 0, 512, 2))
    return made


def flip(manifest: Path) -> None:
    text = bytearray(manifest.read_bytes())
    text[len(text) // 2] ^= 0xFF
    manifest.write_bytes(text)


def add_a_digit(manifest: Path) -> None:
    text = manifest.read_text()
    manifest.write_text(text.replace('"generation": ', '"generation": 1'))
    assert manifest.read_text() != text


def empty(manifest: Path) -> None:
    manifest.write_text("")


DAMAGES = [flip, add_a_digit, empty, Path.unlink]
QUICK = [
    (flip, flip),
    (flip, empty),
    (add_a_digit, empty),
    (empty, flip),
    (Path.unlink, Path.unlink),
]


def everything(world: World) -> dict[str, bytes]:
    """Return all files but what opening a store touches in any case."""
    files = (path for path in world.path.rglob("*") if path.is_file() and "lock" not in path.name)
    return {str(path.relative_to(world.path)): path.read_bytes() for path in files}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_manifest_is_kept_and_its_copy_takes_its_place(
    world: World, damage: Damage
) -> None:
    points, manifest = world.points, world.path / "standby.json"
    generation = world.manifest.generation
    damage(manifest)
    damaged = manifest.read_bytes() if manifest.exists() else b""
    world.publish(Change("vdb", 4096, 512, 3))
    assert world.points[:-1] == points
    assert world.manifest.generation > generation + 1
    world.expect_exact()
    world.expect_tidy()
    kept = [path.read_bytes() for path in world.path.glob("kept/damaged-*/standby.json")]
    assert kept == ([damaged] if damage is not Path.unlink else [])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_copy_that_is_one_point_behind_lets_nothing_of_it_be_deleted(
    world: World, damage: Damage
) -> None:
    copy = world.path / "kept/standby.json"
    behind, points = copy.read_bytes(), world.points
    world.publish(Change("vda", 8192, 512, 3))
    newest = world.manifest.points[-1]
    files = {file: (world.path / file).read_bytes() for file in (newest.deltas[0].file,)}
    copy.write_bytes(behind)  # the publication died before its copy was made
    damage(world.path / "standby.json")
    world.publish(Change("vdb", 4096, 512, 4))
    assert world.points[:-1] == points
    world.expect_exact()
    world.expect_tidy()
    for file, content in files.items():
        (kept,) = world.path.glob(f"kept/damaged-*/{file.replace('/', '-')}")
        assert kept.read_bytes() == content
    assert list(world.path.glob(f"kept/damaged-*/points-{newest.name}"))


@pytest.mark.parametrize(
    ("damage", "damage_of_copy"),
    [
        pytest.param(one, other, marks=() if (one, other) in QUICK else pytest.mark.long)
        for one in DAMAGES
        for other in (flip, empty, Path.unlink)
    ],
)
def test_without_a_whole_copy_the_manifest_is_made_anew_from_the_files(
    world: World, damage: Damage, damage_of_copy: Damage
) -> None:
    world.publish(Change("vdb", 8192, 512, 3))
    points, generation, token = world.points, world.manifest.generation, world.manifest.token
    damage_of_copy(world.path / "kept/standby.json")
    damage(world.path / "standby.json")
    newest = world.publish(Change("vda", 4096, 512, 4))
    assert world.points == (*points, newest)
    world.expect_exact()
    world.expect_head(newest)
    world.expect_tidy()
    made_anew = world.manifest.points[:-1]
    assert all(point.pinned and point.checkpoint is None for point in made_anew)
    if damage in (flip, add_a_digit) or damage_of_copy is flip:
        assert world.manifest.token == token
        assert world.manifest.generation > generation
    kept = [path.name for path in world.path.glob("kept/damaged-*/*")]
    assert ("kept-standby.json" in kept) is (damage_of_copy is not Path.unlink)
    for point in made_anew:
        with world.opened() as store:
            store.change(store.manifest.without_pin(point.name))
    world.merge(1)
    world.expect_exact()
    world.expect_tidy()


def break_a_point(manifest: Path) -> None:
    text = manifest.read_text()
    manifest.write_text(text.replace('"standing": "whole"', '"standing": "w', 1))


def pause(world: World) -> Pause:
    asked = Pause(datetime(2026, 11, 26, 12, tzinfo=UTC), None, "the storage is moved", "ops")
    with world.opened() as store:
        store.change(store.manifest.with_pause(asked))
    return asked


@pytest.mark.parametrize("damage_of_copy", [Path.unlink, break_a_point])
def test_a_pause_outlives_the_manifest_as_long_as_a_text_tells_it(
    world: World, damage_of_copy: Damage
) -> None:
    asked = pause(world)
    break_a_point(world.path / "standby.json")
    damage_of_copy(world.path / "kept/standby.json")
    world.publish(Change("vda", 4096, 512, 4))
    assert world.manifest.points[0].reason == REMADE
    assert world.manifest.paused == asked


def test_a_pause_that_the_copy_does_not_know_yet_is_kept(world: World) -> None:
    copy = world.path / "kept/standby.json"
    behind = copy.read_bytes()
    asked = pause(world)
    copy.write_bytes(behind)  # the publication died before its copy was made
    break_a_point(world.path / "standby.json")
    world.publish(Change("vda", 4096, 512, 4))
    assert world.manifest.paused == asked


@pytest.mark.parametrize("choice", ["pin", "revert", "failover"])
def test_what_somebody_chose_and_the_copy_does_not_know_yet_is_kept(
    world: World, choice: str
) -> None:
    first = world.points[0]
    copy = world.path / "kept/standby.json"
    behind = copy.read_bytes()
    with world.opened() as store:
        manifest = store.manifest
        changed = {
            "pin": manifest.with_pin(first),
            "revert": manifest.reverted(first),
            "failover": replace(manifest, failover=State.PREPARED),
        }[choice]
        store.change(changed)
    copy.write_bytes(behind)  # the publication died before its copy was made
    add_a_digit(world.path / "standby.json")
    with world.opened() as store:
        healed = store.manifest
    assert (healed.points, healed.failover) == (changed.points, changed.failover)
    assert healed.reverted_to == changed.reverted_to


@pytest.mark.parametrize("damage_of_copy", [Path.unlink, empty])
def test_a_pause_that_nothing_tells_any_more_is_said_to_be_lost(
    world: World, damage_of_copy: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    pause(world)
    (world.path / "standby.json").unlink()
    damage_of_copy(world.path / "kept/standby.json")
    world.publish(Change("vda", 4096, 512, 4))
    assert world.manifest.paused is None
    assert "Whether it was paused nothing tells" in caplog.text


def test_a_damaged_manifest_that_is_kept_is_flushed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "flushed"
    place = tmp_path / "bin"
    place.mkdir()
    (place / "sync").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {log}\nexec /bin/sync "$@"\n')
    (place / "sync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    flip(world.path / "standby.json")
    world.publish(Change("vda", 4096, 512, 4))
    flushed = log.read_text().splitlines()
    (kept,) = world.path.glob("kept/damaged-*/standby.json")
    assert str(kept.relative_to(world.path)) in flushed
    assert "kept/standby.json.new" in flushed


def test_a_copy_from_before_a_merge_is_not_believed_but_the_files_are(world: World) -> None:
    behind = (world.path / "kept/standby.json").read_bytes()
    world.merge(1)
    points = world.points
    (world.path / "kept/standby.json").write_bytes(behind)
    flip(world.path / "standby.json")
    world.publish(Change("vda", 4096, 512, 4))
    assert world.points[:-1] == points
    world.expect_exact()


def test_a_point_that_a_merge_may_have_written_to_is_not_offered_again(world: World) -> None:
    older, younger = world.points
    with world.opened() as store:
        store.change(store.manifest.giving_up(older))
    flip(world.path / "kept/standby.json")
    flip(world.path / "standby.json")
    with world.opened() as store:
        assert [point.standing for point in store.manifest.points] == [
            Standing.GIVEN_UP,
            Standing.WHOLE,
        ]
    world.merge(22)  # which finishes what was begun
    assert world.points == (younger,)
    world.expect_exact()


def test_a_disk_whose_digests_are_lost_too_counts_as_spoilt(world: World) -> None:
    (oldest, _) = world.manifest.points
    (world.path / oldest.deltas[1].digests).unlink()
    flip(world.path / "kept/standby.json")
    flip(world.path / "standby.json")
    with world.opened() as store:
        spoilt = [[it.disk for it in point.spoilt] for point in store.manifest.points]
    assert spoilt == [["vdb"], []]


def lose_a_delta(world: World) -> None:
    (world.path / world.manifest.points[0].deltas[1].file).unlink()


def lose_a_point(world: World) -> None:
    shutil.rmtree(world.path / f"points/{world.points[0]}")


def leave_a_publication_half_done(world: World) -> None:
    last = world.manifest.points[-1].deltas[-1]
    for file in (last.file, last.digests):
        (world.path / file).rename(world.path / f"incoming/9.{file.removeprefix('deltas/')}")


@pytest.mark.parametrize("happening", [lose_a_delta, lose_a_point, leave_a_publication_half_done])
def test_where_the_files_do_not_agree_nothing_is_touched(
    world: World, happening: Callable[[World], None]
) -> None:
    happening(world)
    flip(world.path / "kept/standby.json")
    flip(world.path / "standby.json")
    before = everything(world)
    with pytest.raises(RepairStore, match="do not agree"), world.opened():
        pytest.fail("the store was opened")
    assert everything(world) == before


@pytest.mark.parametrize(
    "change",
    [('"version": 1,', '"version": 2,'), ('"token"', '"tokens"'), ('"whole"', '"half"')],
)
def test_a_manifest_of_another_version_is_left_as_it_is(
    world: World, change: tuple[str, str]
) -> None:
    for path in (world.path / "standby.json", world.path / "kept/standby.json"):
        above, _, _ = path.read_text().replace(*change).partition('  "checksum"')
        digest = hashlib.sha256(above.encode()).hexdigest()
        path.write_text(f'{above}  "checksum": "{digest}"\n}}\n')
    before = everything(world)
    with pytest.raises(UseOtherVersion), world.opened():
        pytest.fail("the store was opened")
    assert everything(world) == before


def test_a_copy_that_calls_a_given_up_point_whole_is_not_believed(world: World) -> None:
    """A copy may fail to be made, on a full storage, while a merge begins all the same."""
    older, younger = world.points
    copy = world.path / "kept/standby.json"
    behind = copy.read_bytes()
    with world.opened() as store:
        store.change(store.manifest.giving_up(older))
    copy.write_bytes(behind)
    flip(world.path / "standby.json")
    with world.opened() as store:
        found = {point.name: point.standing for point in store.manifest.points}
    assert found == {older: Standing.GIVEN_UP, younger: Standing.WHOLE}


def test_no_merge_begins_that_cannot_be_marked(world: World) -> None:
    folder = world.path / f"points/{world.points[0]}"
    shutil.rmtree(folder)
    folder.write_text("in the way")
    deltas = {path: path.read_bytes() for path in (world.path / "deltas").iterdir()}
    with pytest.raises(CommandFailed):
        world.merge(1)
    assert {path: path.read_bytes() for path in (world.path / "deltas").iterdir()} == deltas


def test_a_manifest_that_is_whole_again_keeps_all_its_files(world: World) -> None:
    """Storage may fail to read once: then the copy, which may be older, must move nothing away."""
    manifest, copy = world.path / "standby.json", world.path / "kept/standby.json"
    behind = copy.read_bytes()
    world.publish(Change("vda", 8192, 512, 3))
    copy.write_bytes(behind)
    whole = manifest.read_bytes()
    flip(manifest)
    listing = look(world.host, world.directory)
    assert listing is not None
    manifest.write_bytes(whole)
    before = everything(world)
    with pytest.raises(Overtaken):
        Healing(world.host, world.directory, listing, None).manifest()
    assert everything(world) == before
    world.expect_exact()


def made_anew(world: World) -> Manifest:
    flip(world.path / "kept/standby.json")
    flip(world.path / "standby.json")
    with world.opened() as store:
        return store.manifest


def test_a_disk_that_was_added_is_known_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(Change("vda", 0, 512, 1), sizes={"vda": MIB})
    world.publish(Change("vdb", 0, 512, 2), sizes=SIZES)
    world.publish(Change("vda", 0, 512, 3))
    made_anew(world)
    world.expect_exact()


@pytest.mark.parametrize(
    "disks",
    [
        [["vda", "vdb"], ["vdb"], ["vda", "vdb"]],  # the first is away for a while
        [["vda"], ["vdb", "vda"], ["vdb", "vda"]],  # one is added before it
    ],
)
def test_disks_that_numbers_cannot_put_into_their_points_are_not_guessed(
    tmp_path: Path, disks: list[list[str]]
) -> None:
    world = World(tmp_path)
    for number, names in enumerate(disks, 1):
        world.publish(Change(names[0], 0, 512, number), sizes=dict.fromkeys(names, MIB))
    with pytest.raises(RepairStore, match="do not agree"):
        made_anew(world)


def test_a_first_copy_that_was_published_in_part_is_no_point(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(Change("vda", 0, 512, 1), Change("vdb", 0, 512, 1), sizes=SIZES)
    last = world.manifest.points[-1].deltas[-1]
    seed = SeedFile(1, SeedOrigin.NOTHING, MIB, "vdb", 2)
    (world.path / last.file).rename(world.path / seed.image)
    (world.path / last.digests).rename(world.path / seed.digests)
    with pytest.raises(RepairStore, match="do not agree"):
        made_anew(world)


def test_a_resync_that_was_interrupted_is_no_publication(world: World) -> None:
    last = layout.delta_number(world.manifest.points[-1].deltas[-1].file)
    seed = SeedFile(1, SeedOrigin.RESYNC, MIB, "vda", last + 1, last - 1)
    for path in (seed.image, seed.digests):
        (world.path / path).write_bytes(b"")
    assert len(made_anew(world).points) == 2
    world.expect_exact()


def test_a_failover_outlives_the_manifest(world: World) -> None:
    with world.opened() as store:
        store.change(replace(store.manifest, failover=State.FAILED_OVER))
    assert made_anew(world).failover is State.FAILED_OVER


def test_a_standby_that_was_run_is_not_taken_for_dormant(world: World) -> None:
    run("qemu-io", "-f", "qcow2", "-c", "write 0 64k", world.path / "head/vda.qcow2")
    for path in (world.path / "standby.json", world.path / "kept/standby.json"):
        path.unlink()
    with pytest.raises(RepairStore, match="somebody ran the standby"), world.opened():
        pytest.fail("the store was opened")


@pytest.mark.parametrize("xml", [b"\xff\xfe", b"<domain/>", None])
def test_points_of_a_machine_that_nobody_knows_are_not_taken_over(
    world: World, xml: bytes | None
) -> None:
    definition = world.path / f"points/{world.points[-1]}/machine.xml"
    definition.unlink() if xml is None else definition.write_bytes(xml)
    with pytest.raises(RepairStore, match="of the machine unknown"):
        made_anew(world)


def test_a_damaged_manifest_of_another_version_is_left_to_that(world: World) -> None:
    for path in (world.path / "standby.json", world.path / "kept/standby.json"):
        path.write_text(path.read_text().replace('"version": 1,', '"version": 2,'))
    before = everything(world)
    with pytest.raises(UseOtherVersion), world.opened():
        pytest.fail("the store was opened")
    assert everything(world) == before


def test_boot_points_whose_deltas_are_not_to_be_seen_make_no_new_standby(world: World) -> None:
    """It would begin with no points, and take the deltas for debris once they are seen again."""
    shutil.move(world.path / "deltas", world.path.parent / "away")
    (world.path / "deltas").mkdir()
    for path in (world.path / "standby.json", world.path / "kept/standby.json"):
        path.unlink()
    with pytest.raises(RepairStore), world.opened():
        pytest.fail("the store was opened")
