"""A manifest that is damaged or gone costs no point: its copy takes its place, damage is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from standby.errors import RepairStore
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


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_whole_copy_nothing_is_touched(world: World, damage: Damage) -> None:
    flip(world.path / "kept/standby.json")
    damage(world.path / "standby.json")
    before = everything(world)
    with pytest.raises(RepairStore), world.opened():
        pytest.fail("the store was opened")
    assert everything(world) == before


def test_a_copy_from_before_a_merge_is_not_believed(world: World) -> None:
    behind = (world.path / "kept/standby.json").read_bytes()
    world.merge(1)
    (world.path / "kept/standby.json").write_bytes(behind)
    flip(world.path / "standby.json")
    before = everything(world)
    with pytest.raises(RepairStore, match="gone"), world.opened():
        pytest.fail("the store was opened")
    assert everything(world) == before
