"""A boot point served read-only is the one that was asked for, whatever merges do meanwhile."""

from __future__ import annotations

from pathlib import Path

import nbd
import pytest

from standby.errors import TryLater
from standby.target.export import serve_point
from tests.integration.store_world import KIB, MIB, Change, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A standby with three points of one disk."""
    made = World(tmp_path)
    made.publish(Change("vda", 0, MIB, 1), sizes={"vda": MIB})
    made.publish(Change("vda", 0, 4 * KIB, 2))
    made.publish(Change("vda", 0, 4 * KIB, 3))
    return made


def test_a_point_is_served_as_it_was_captured(world: World) -> None:
    point = world.manifest.points[1]
    with (
        serve_point(world.host, world.directory, point.name, point.deltas) as daemon,
        daemon.endpoint("vda") as endpoint,
    ):
        handle = nbd.NBD()
        handle.set_export_name(endpoint.export)
        handle.connect_unix(endpoint.socket)
        assert handle.pread(MIB, 0) == world.kept[point.name]["vda"]
        handle.shutdown()


def test_a_point_that_was_merged_after_it_was_looked_up_is_not_served_with_anothers_state(
    world: World,
) -> None:
    older, younger, _ = world.manifest.points
    world.merge(2)
    with (
        pytest.raises(TryLater),
        serve_point(world.host, world.directory, older.name, older.deltas),
    ):
        pytest.fail("the older's file holds the younger's state now")
    with (
        pytest.raises(TryLater),
        serve_point(world.host, world.directory, younger.name, younger.deltas),
    ):
        pytest.fail("the younger's file is gone")
