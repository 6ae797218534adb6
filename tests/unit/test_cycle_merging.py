"""Merges look at who uses the standby before each of them, and the report tells what was done."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from chain_world import EMPTY, START, hourly_points

from standby.app.session import Session
from standby.cycle.interfaces import MergeGate, MergeTurn, ProgressReport
from standby.cycle.replicate import Cycle, Policy
from standby.cycle.report import Journal, Phase
from standby.errors import TryLater
from standby.model.keep import Keep, KeepAll, Tier
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import (
    DomainFound,
    HeadObservation,
    HeadUse,
    TargetObservation,
    User,
)
from standby.model.plan import CycleRequest
from standby.model.point import Consistency


@dataclass
class Clock:
    """A clock that the test sets."""

    time: datetime = START

    def now(self) -> datetime:
        return self.time


@dataclass
class Store:
    """A standby with more points than its limit."""

    manifest: Manifest = field(default_factory=lambda: replace(EMPTY, points=hourly_points(4)))
    standing: Sequence[User] = ()
    merged: list[PointName] = field(default_factory=list)
    comes: dict[int, Sequence[User]] = field(default_factory=dict)  # after so many merges
    refused: PointName | None = None
    clock: datetime | None = None  # what the KVM host's shows

    def observe(self) -> TargetObservation:
        head = HeadObservation(HeadUse.ABSENT)
        found = TargetObservation(self.manifest, head, DomainFound.ABSENT, 1 << 40)
        return replace(found, clock=self.clock)

    def users(self) -> Sequence[User]:
        return self.standing

    def merge(self, older: PointName, progress: ProgressReport) -> None:
        assert callable(progress)
        if older == self.refused:
            raise TryLater(f"merge of {older}", "a file of the pair is in use")
        self.merged.append(older)
        self.manifest = self.manifest.giving_up(older).merged(older, {"vda": 1})
        self.standing = self.comes.get(len(self.merged), self.standing)


def cycle(
    store: Store, clock: Clock, gate: MergeGate, limit: int, tiers: tuple[Tier, ...] = ()
) -> Cycle:
    """Return a cycle of which only the merges can be run."""
    nothing = cast("Any", None)
    return Cycle(
        source=nothing,
        store=cast("Any", store),
        transfer=nothing,
        hooks=nothing,
        clock=clock,
        policy=Policy("web", Consistency.CRASH, Keep(limit, tiers), "/standbys", 0),
        request=CycleRequest(),
        journal=Journal("web", Session(Path("/etc/standby")).require_wanted),
        progress=lambda *_: None,
        gate=gate,
    )


@contextmanager
def at_once(_turn: MergeTurn) -> Generator[None]:
    """Let everybody merge."""
    yield


@pytest.mark.parametrize("comes", [False, True])
def test_who_came_while_a_merge_waited_for_its_turn_keeps_what_he_stands_on(*, comes: bool) -> None:
    clock, store = Clock(), Store()
    (oldest, *_, newest) = store.manifest.points

    @contextmanager
    def gate(_turn: MergeTurn) -> Generator[None]:
        clock.time += timedelta(hours=1)
        store.standing = [User("a test machine", newest.name)] if comes else []
        yield

    cycle(store, clock, gate, limit=3).merge()
    assert store.merged == ([] if comes else [oldest.name])


def test_merges_that_find_no_place_wait_for_the_next_cycle_and_are_not_called_done() -> None:
    store = Store()

    @contextmanager
    def full(_turn: MergeTurn) -> Generator[None]:
        raise TryLater("merge", "2 standbys merge and 9 wait")
        yield

    done = cycle(store, Clock(), full, limit=3).merge()
    assert store.merged == [] == list(done.merges)
    assert done.deferred[0].obstacle == "2 standbys merge and 9 wait"


def test_where_there_is_no_room_for_a_point_a_merge_without_a_place_ends_the_run() -> None:
    @contextmanager
    def full(_turn: MergeTurn) -> Generator[None]:
        raise TryLater("merge", "2 standbys merge and 9 wait")
        yield

    with pytest.raises(TryLater, match="9 wait"):
        cycle(Store(), Clock(), full, limit=3).merge(Phase.FINISH_MERGES)


def test_who_came_during_a_merge_keeps_what_he_stands_on_from_the_next() -> None:
    store = Store()
    oldest, *_, newest = store.manifest.points
    store.comes = {1: [User("a test machine", newest.name)]}
    done = cycle(store, Clock(), at_once, limit=1).merge()
    assert store.merged == [oldest.name]
    assert [merge.older for merge in done.merges] == [oldest.name]
    assert "a test machine" in done.deferred[0].obstacle


def test_a_merge_that_could_not_be_done_is_reported_as_waiting_and_not_as_done() -> None:
    store = Store()
    oldest, second, *_ = store.manifest.points
    store.refused = second.name
    done = cycle(store, Clock(), at_once, limit=1).merge()
    assert [merge.older for merge in done.merges] == [oldest.name] == store.merged
    (waits, *_) = done.deferred
    assert (waits.older, waits.obstacle) == (second.name, "a file of the pair is in use")


@pytest.mark.parametrize(("ours", "theirs"), [(900, 0), (0, 900), (900, None)])
def test_a_clock_that_is_ahead_makes_no_point_too_old(ours: int, theirs: int | None) -> None:
    day = timedelta(days=1)
    store = Store(clock=None if theirs is None else START + theirs * day)
    cycle(store, Clock(START + ours * day), at_once, 22, (KeepAll(3 * day),)).merge()
    assert bool(store.merged) is (theirs is None)  # nobody says so then
