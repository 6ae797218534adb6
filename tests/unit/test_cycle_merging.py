"""Merges that waited for their turn: who uses the standby by then is looked at anew."""

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
from standby.cycle.interfaces import MergeTurn, ProgressReport
from standby.cycle.replicate import Cycle, Policy
from standby.cycle.report import Journal
from standby.model.keep import Keep
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

    def observe(self) -> TargetObservation:
        head = HeadObservation(HeadUse.ABSENT)
        return TargetObservation(self.manifest, head, DomainFound.ABSENT, 1 << 40)

    def users(self) -> Sequence[User]:
        return self.standing

    def merge(self, older: PointName, progress: ProgressReport) -> None:
        assert callable(progress)
        self.merged.append(older)


@pytest.mark.parametrize("comes", [False, True])
def test_who_came_while_a_merge_waited_for_its_turn_keeps_what_he_stands_on(*, comes: bool) -> None:
    clock, store = Clock(), Store()
    (oldest, *_, newest) = store.manifest.points

    @contextmanager
    def gate(_turn: MergeTurn) -> Generator[None]:
        clock.time += timedelta(hours=1)
        store.standing = [User("a test machine", newest.name)] if comes else []
        yield

    nothing = cast("Any", None)
    cycle = Cycle(
        source=nothing,
        store=cast("Any", store),
        transfer=nothing,
        hooks=nothing,
        clock=clock,
        policy=Policy("web", Consistency.CRASH, Keep(3), "/standbys", 0),
        request=CycleRequest(),
        journal=Journal("web", Session(Path("/etc/standby")).require_wanted),
        progress=lambda *_: None,
        gate=gate,
    )
    cycle.merge()
    assert store.merged == ([] if comes else [oldest.name])
