"""Merges keep every surviving point exact, whatever the deltas hold and whoever looks on."""

from __future__ import annotations

from pathlib import Path

import pytest

from standby.errors import TryLater
from tests.integration.store_world import KIB, MIB, Change, World, random_changes, seeded

SIZES = {"vda": 2 * MIB, "vdb": 1 * MIB + 3 * 512}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_zeroes_in_the_younger_mask_data_far_below_where_the_older_has_nothing(
    world: World,
) -> None:
    base = world.publish(Change("vda", 0, MIB, 0x77), sizes={"vda": 2 * MIB})
    world.publish(Change("vda", MIB + 512, 512, 1))  # nothing where the zeroes will be
    world.publish(
        Change("vda", 0, 128 * KIB, 0),  # whole clusters
        Change("vda", 256 * KIB + 512, 100 * KIB, 0),  # not aligned
        Change("vda", 512 * KIB + 4 * KIB, 4 * KIB, 0),  # a part of one
    )
    with world.opened() as store:
        store.change(store.manifest.with_pin(base))  # so that the two above are merged
    world.merge(2)
    assert len(world.points) == 2
    world.expect_exact()
    world.expect_tidy()
    with world.opened() as store:
        store.change(store.manifest.without_pin(base))
    world.merge(1)
    world.expect_exact()
    world.expect_tidy()


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 6))]
)
def test_random_points_survive_merging_to_any_limit(world: World, seed: int) -> None:
    rnd = seeded(seed)
    world.publish(*random_changes(rnd, SIZES, 12), sizes=SIZES)
    for _ in range(5):
        world.publish(*random_changes(rnd, SIZES, 6))
    for limit in (4, 2, 1):
        planned = world.merge(limit)
        assert planned.deferred == ()
        assert len(world.points) == limit
        world.expect_exact()
        world.expect_tidy()
        world.expect_head(world.points[-1])


def test_a_disk_that_grew_keeps_its_size_at_every_point(world: World) -> None:
    world.publish(Change("vda", MIB - 512, 512, 7), sizes={"vda": MIB})
    world.publish(Change("vda", MIB, 64 * KIB, 8), sizes={"vda": 2 * MIB})
    world.publish(Change("vda", 0, 512, 9))
    world.publish(sizes={"vda": 3 * MIB + 512})
    world.expect_exact()
    for limit in (3, 2, 1):
        world.merge(limit)
        world.expect_exact()
    world.expect_tidy()


def test_a_disk_that_was_absent_in_between_starts_anew(world: World) -> None:
    both, one = {"vda": MIB, "vdb": MIB}, {"vda": MIB}
    world.publish(Change("vdb", 0, MIB, 5), Change("vda", 0, 512, 5), sizes=both)
    world.publish(Change("vdb", 512, 512, 6))
    world.publish(Change("vda", 512, 512, 6), sizes=one)
    world.publish(Change("vdb", 4 * KIB, 4 * KIB, 7), sizes=both)
    world.publish(Change("vdb", 8 * KIB, 4 * KIB, 8))
    world.expect_exact()
    for limit in (4, 3, 2, 1):
        world.merge(limit)
        world.expect_exact()
        world.expect_tidy()


def test_the_head_on_the_younger_of_the_last_pair_follows_the_merge(world: World) -> None:
    world.publish(Change("vda", 0, MIB, 1), sizes={"vda": 2 * MIB})
    newest = world.publish(Change("vda", 512, 512, 2))
    world.merge(1)
    assert world.points == (newest,)
    world.expect_head(newest)


def test_a_running_standby_defers_every_merge_below_it(world: World) -> None:
    world.publish(Change("vda", 0, MIB, 1), sizes={"vda": 2 * MIB})
    for pattern in (2, 3):
        world.publish(Change("vda", 512, 512, pattern))
    world.domain.active = True
    planned = world.merge(1)
    assert planned.merges == ()
    assert all("runs" in merge.obstacle for merge in planned.deferred)
    assert len(world.points) == 3
    world.domain.active = False
    world.merge(1)
    world.expect_exact()


def test_pinned_and_reverted_points_stay_what_they_are(world: World) -> None:
    first = world.publish(Change("vda", 0, MIB, 1), sizes={"vda": 2 * MIB})
    points = [first, *(world.publish(Change("vda", 0, 512, n)) for n in range(2, 6))]
    with world.opened() as store:
        store.change(store.manifest.with_pin(points[1]).reverted(points[3]))
    world.merge(1)
    assert world.points == (points[1], points[3], points[4])
    world.expect_exact()
    world.expect_tidy()


def test_an_image_of_a_stranger_on_a_delta_defers_the_merges_that_would_change_it(
    world: World,
) -> None:
    first = world.publish(Change("vda", 0, MIB, 1), sizes={"vda": 2 * MIB})
    world.publish(Change("vda", 0, 512, 2))
    third = world.publish(Change("vda", 0, 512, 3))
    world.publish(Change("vda", 0, 512, 4))
    delta = world.manifest.point(third).deltas[0].file
    stranger = world.path / "deltas/mine.qcow2"
    world.create_overlay(stranger, Path(delta).name)
    planned = world.merge(1)
    assert planned.merges == ()
    assert {"deltas/mine.qcow2" in merge.obstacle for merge in planned.deferred} == {True}
    assert first in world.points
    stranger.unlink()
    world.merge(1)
    world.expect_exact()


def test_an_image_of_a_stranger_on_a_file_we_do_not_know_defers_all_merges(world: World) -> None:
    world.publish(Change("vda", 0, MIB, 1), sizes={"vda": 2 * MIB})
    world.publish(Change("vda", 0, 512, 2))
    world.create_overlay(world.path / "kept/strange.qcow2", "/nowhere/else.qcow2")
    planned = world.merge(1)
    assert planned.merges == ()
    assert len(world.points) == 2


def test_a_file_that_somebody_has_open_makes_its_merge_wait(world: World) -> None:
    world.publish(Change("vda", 0, MIB, 1), sizes={"vda": 2 * MIB})
    world.publish(Change("vda", 0, 512, 2))
    older = world.manifest.points[0].deltas[0].file
    with world.opened_by_somebody(older), pytest.raises(TryLater):
        world.merge(1)
    world.merge(1)
    world.expect_exact()
    world.expect_tidy()
