"""Merges that are killed anywhere: no point and no image ever changes its content.

A machine of random events works on an imitation of the KVM host's store (chain_world). After
every single step of every merge, each whole point and each image that stands on the chain is
compared with what it held when it was made.
"""

from __future__ import annotations

from datetime import timedelta

from chain_world import START, Image, World
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from test_planning_retention_properties import keeps

from standby.model.keep import Keep
from standby.model.names import PointName
from standby.model.observation import HeadUse
from standby.model.point import Standing
from standby.planning.retention import ChainLevel, chain_level, point_allowed

BLOCKS = st.dictionaries(st.integers(0, 7), st.integers(1, 9), max_size=4)


class Standby(RuleBasedStateMachine):
    """One standby over months of good and bad luck."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.keep = Keep(3)
        self.writes = 0

    # ---- cycles ------------------------------------------------------------------------

    @initialize(first=BLOCKS)
    def seed(self, first: dict[int, int]) -> None:
        self.world.publish({"vda": first})
        self.world.move_head()

    @precondition(lambda self: point_allowed(self.world.manifest.points, self.keep))
    @rule(
        vda=BLOCKS,
        vdb=st.none() | BLOCKS,
        killed_before_head_moved=st.booleans(),
        pause=st.integers(-7200, 4 * 86400),
    )
    def publish(
        self,
        *,
        vda: dict[int, int],
        vdb: dict[int, int] | None,
        killed_before_head_moved: bool,
        pause: int,
    ) -> None:
        self.world.now += timedelta(seconds=pause)
        self.world.remove_debris()
        self.world.publish({"vda": vda} if vdb is None else {"vda": vda, "vdb": vdb})
        if not killed_before_head_moved:
            self.world.move_head()

    @rule()
    def move_head(self) -> None:
        self.world.move_head()

    @rule(killed_after=st.none() | st.integers(1, 12))
    def merge(self, killed_after: int | None) -> None:
        self.world.remove_debris()
        for merge in self.world.plan(self.keep).merges:
            if not self.world.merge(merge.older, killed_after):
                break
        else:
            self._everything_due_is_done()

    def _everything_due_is_done(self) -> None:
        points = self.world.manifest.points
        plan = self.world.plan(self.keep)
        assert not plan.merges
        unobstructed = not self.world.others and not self.world.stranger
        if unobstructed and self.world.head_use is HeadUse.DORMANT:
            assert all(p.standing is Standing.WHOLE for p in points)
            kept = {p.name for p in points[:-1] if p.pinned}
            kept |= {entry.point for entry in self.world.obstacles().protected}
            assert len(points) <= max(self.keep.limit, len(kept | {points[-1].name}))
        if chain_level(len(points), self.keep) is not ChainLevel.WITHIN_LIMIT:
            assert plan.deferred

    # ---- people ------------------------------------------------------------------------

    @rule(keep=keeps())
    def change_keep(self, keep: Keep) -> None:
        self.keep = keep

    @rule(data=st.data())
    def pin(self, data: st.DataObject) -> None:
        self.world.manifest = self.world.manifest.with_pin(self._whole(data))

    @rule(data=st.data())
    def unpin(self, data: st.DataObject) -> None:
        self.world.manifest = self.world.manifest.without_pin(self._whole(data))

    @precondition(lambda self: self.world.head_use is HeadUse.DORMANT)
    @rule(data=st.data(), killed_before_head_moved=st.booleans())
    def revert(self, *, data: st.DataObject, killed_before_head_moved: bool) -> None:
        self.world.manifest = self.world.manifest.reverted(self._whole(data))
        if not killed_before_head_moved:
            self.world.move_head()

    @rule()
    def revert_to_latest(self) -> None:
        assume(self.world.head_use is not HeadUse.RUNNING)
        self.world.manifest = self.world.manifest.reverted(None)
        self.world.move_head()

    @precondition(lambda self: self.world.head is not None)
    @rule()
    def start(self) -> None:
        self.world.head_use = HeadUse.RUNNING

    @precondition(lambda self: self.world.head_use is HeadUse.RUNNING)
    @rule()
    def stop(self) -> None:
        self.world.head_use = HeadUse.RAN

    @rule(data=st.data())
    def mount(self, data: st.DataObject) -> None:
        self.world.mount(self._whole(data))

    @precondition(lambda self: self.world.others)
    @rule(data=st.data())
    def unmount_or_delete_kept_head(self, data: st.DataObject) -> None:
        gone: Image = data.draw(st.sampled_from(self.world.others))
        self.world.others = [image for image in self.world.others if image is not gone]

    @rule()
    def a_stranger_comes_or_goes(self) -> None:
        self.world.stranger = not self.world.stranger

    def _whole(self, data: st.DataObject) -> PointName:
        return data.draw(st.sampled_from([p.name for p in self.world.manifest.whole_points]))

    # ---- always ------------------------------------------------------------------------

    @invariant()
    def contents_are_exact(self) -> None:
        self.world.check()

    @invariant()
    def pinned_points_are_never_given_up(self) -> None:
        assert not any(
            p.pinned and p.standing is Standing.GIVEN_UP for p in self.world.manifest.points
        )

    @invariant()
    def what_the_standby_is_reverted_to_is_there(self) -> None:
        reverted_to = self.world.manifest.reverted_to
        assert reverted_to is None or (
            self.world.manifest.point(reverted_to).standing is Standing.WHOLE
        )


TestStandby = Standby.TestCase
TestStandby.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_a_disk_that_was_absent_for_a_while_stays_exact_when_that_while_is_merged_away() -> None:
    world = World(now=START)
    world.publish({"vda": {0: 1}, "vdb": {0: 1, 1: 1}})
    world.publish({"vda": {1: 2}})
    world.publish({"vda": {2: 3}, "vdb": {0: 3}})
    world.publish({"vda": {2: 4}, "vdb": {2: 4}})
    oldest, without, back, _ = (p.name for p in world.manifest.points)
    world.merge(without)
    world.check()
    world.merge(oldest)
    world.merge(back)
    world.check()
    assert world.truth[world.manifest.points[0].name]["vdb"] == {0: 3, 2: 4}


def test_the_point_that_a_head_reads_stays_when_a_killed_merge_had_moved_the_head() -> None:
    world = World(now=START)
    world.publish({"vda": {}})
    world.publish({"vda": {0: 2}})
    world.move_head()
    world.publish({"vda": {0: 1}})  # killed before the head followed
    oldest, read_by_head, _ = (p.name for p in world.manifest.points)
    assert not world.merge(oldest, steps=4)  # the head stands on the given-up point's file now
    head = world.observe().head
    assert head.stands_on == oldest
    keep = Keep(limit=1)
    assert [merge.older for merge in world.plan(keep).merges] == [oldest]
    world.merge(oldest)
    world.check()
    assert read_by_head in {p.name for p in world.manifest.points}
