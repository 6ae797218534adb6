"""What a look at a store tells without its lock, while others work on it or took files away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from standby.host.interface import Completed
from standby.host.local import LocalHost
from standby.model.plan import HeadMove
from standby.target.looking import observe_unlocked
from tests.integration.store_world import MIB, Change, World, merge_down


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A standby with three points of one disk."""
    made = World(tmp_path)
    made.publish(Change("vda", 0, MIB, 1), sizes={"vda": MIB})
    made.publish(Change("vda", 0, 512, 2))
    made.publish(Change("vda", 512, 512, 3))
    return made


def missing(world: World, host: LocalHost | None = None) -> Sequence[str]:
    seen = observe_unlocked(host or world.host, world.directory, world.domain)
    assert seen is not None
    return seen.missing


def test_a_point_is_not_given_up_to_a_file_that_is_gone(world: World) -> None:
    first, second, _ = world.manifest.points
    (world.path / second.deltas[0].file).unlink()
    assert missing(world) == (second.deltas[0].file,)
    with world.opened() as store:
        assert store.observe().missing == (second.deltas[0].file,)
        assert first.name not in [merge.older for merge in merge_down(store, 2).merges]
        store.change(store.manifest.reverted(first.name))
        store.move_head(HeadMove.MOVE)
    world.expect_head(first.name)


class BusyHost(LocalHost):
    """A host on which something happens in the midst of the first look, once files are listed."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__("kvm")
        self._happens = happens
        self._looks = 0

    def run(self, argv: Sequence[str], **how: Any) -> Completed:
        done = super().run(argv, **how)
        self._looks += 1
        if self._looks > 1:
            return done
        self._happens()
        files, mark, _ = done.stdout.partition(b"== manifest\n")
        _, _, manifest = super().run(argv, **how).stdout.partition(mark)
        return replace(done, stdout=files + mark + manifest)


def test_what_is_published_in_the_midst_of_a_look_is_not_missed(world: World) -> None:
    host = BusyHost(lambda: world.publish(Change("vda", 1024, 512, 4)))
    assert missing(world, host) == ()
