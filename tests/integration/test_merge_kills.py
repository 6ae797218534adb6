"""A merge that is killed anywhere leaves every surviving point exact, and is finished by the next.

Points of two disks; the manager is killed at every moment it passes (a command has ended, progress
was told), and so is the storage daemon; every time the same merge is then finished by another.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from standby.errors import StandbyError, TryLater
from standby.model.point import Standing
from standby.target.merging import UNLIMITED, MergeSpeed
from tests.integration.nbd_servers import wait_until
from tests.integration.store_world import (
    KIB,
    MIB,
    Change,
    Merger,
    World,
    random_changes,
    seeded,
    was_killed,
)

SIZES = {"vda": 2 * MIB, "vdb": 1 * MIB + 3 * 512}


@pytest.fixture
def three_points(tmp_path: Path) -> World:
    """A standby with three points that differ at random."""
    world, rnd = World(tmp_path), seeded(1)
    world.publish(*random_changes(rnd, SIZES, 8), Change("vda", 0, MIB, 7), sizes=SIZES)
    world.publish(*random_changes(rnd, SIZES, 8), Change("vda", 0, 256 * KIB, 0))
    world.publish(*random_changes(rnd, SIZES, 8))
    return world


def finish(world: World, limit: int) -> None:
    """Be the next manager: finish what is unfinished, as soon as the lock is free."""

    def merged() -> bool:
        try:
            world.merge(limit)
        except TryLater:
            return False
        return True

    wait_until(merged, 40)
    world.expect_exact()
    world.expect_tidy()
    assert len(world.points) == limit


def restore(world: World, saved: Path) -> None:
    """Put the store back to what it was."""
    shutil.rmtree(world.path)
    shutil.copytree(saved, world.path, symlinks=True)


@pytest.mark.parametrize("limit", [2, 1], ids=["oldest pair", "head on the younger"])
@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.long)])
def test_a_manager_killed_at_any_moment_of_a_merge_loses_no_point(
    three_points: World, tmp_path: Path, limit: int, every: int
) -> None:
    saved = tmp_path / "saved"
    shutil.copytree(three_points.path, saved, symlinks=True)
    moment = 1 + limit
    while was_killed(Merger(place=tmp_path, limit=limit, last=moment)):
        three_points.expect_exact()
        finish(three_points, limit)
        three_points.expect_head(three_points.points[-1])
        restore(three_points, saved)
        moment += every
    assert moment > 20


def test_a_storage_daemon_killed_in_a_merge_ends_it_with_an_error_and_loses_no_point(
    three_points: World,
) -> None:
    three_points.speed = MergeSpeed(MIB)  # slow enough to be killed at its first progress

    def kill() -> None:
        for pidfile in (three_points.path / "run").glob("cycle-merge.*.pid"):
            os.kill(int(pidfile.read_text()), signal.SIGKILL)

    with pytest.raises(StandbyError) as caught:
        three_points.merge(2, kill)
    assert not isinstance(caught.value, TryLater), caught.value
    assert three_points.manifest.points[0].standing is Standing.GIVEN_UP
    three_points.expect_exact()
    three_points.speed = UNLIMITED
    finish(three_points, 2)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_merges_killed_again_and_again_at_random_moments_lose_no_point(
    three_points: World, tmp_path: Path, seed: int
) -> None:
    world, rnd = three_points, seeded(seed)
    for _ in range(4):
        limit = rnd.choice((1, 2))
        for _ in range(rnd.randrange(1, 4)):
            speed = rnd.choice((UNLIMITED, MergeSpeed(2 * MIB), MergeSpeed(8 * MIB)))
            process = Merger(place=tmp_path, limit=limit, speed=speed).start()
            process.join(rnd.uniform(0.05, 2))
            process.kill()
            process.join()
            world.expect_exact()
        finish(world, limit)
        for _ in range(3 - limit):
            world.publish(*random_changes(rnd, SIZES, 6))
