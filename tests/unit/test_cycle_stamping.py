"""A cycle that finds nothing changed stamps the newest point, and with the right moment."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from chain_world import EMPTY, IDENTITY, START, point

from standby.app.session import Session
from standby.cycle.interfaces import Pending
from standby.cycle.replicate import Cycle, Policy, nothing_changed
from standby.cycle.report import Journal
from standby.model.disk import DiskStorage, ImageFormat, SourceDisk
from standby.model.keep import Keep
from standby.model.machine import MachineDefinition
from standby.model.names import PointName
from standby.model.plan import CapturePlan, CyclePlan, CycleRequest, DiskPlan, HeadMove
from standby.model.point import BlankDisk, BootPoint, Consistency, Way

DEFINITION = MachineDefinition("<domain/>")
NEWEST = replace(point(START), checkpoint="c", definition=DEFINITION.digest)
NOTHING = Pending(0, 0)


@dataclass
class Clock:
    """A clock that the test sets."""

    time: datetime = START + timedelta(hours=1)

    def now(self) -> datetime:
        return self.time


@dataclass
class Capture:
    """A capture in which nothing changed."""

    definition: MachineDefinition = DEFINITION
    consistency: Consistency = Consistency.CRASH
    disks: Sequence[object] = field(default_factory=lambda: [None] * len(NEWEST.deltas))

    def seal(self) -> str | None:
        raise AssertionError("no point is to be published")

    def require_alive(self) -> None:
        """Say nothing: it lives."""


@dataclass
class Source:
    """A machine that nobody writes to."""

    @contextmanager
    def capture(self, _plan: CapturePlan) -> Generator[Capture]:
        yield Capture()


@dataclass
class Store:
    """A standby with one point."""

    manifest: Any = field(default_factory=lambda: replace(EMPTY, points=(NEWEST,)))
    stamps: list[datetime] = field(default_factory=list)

    def stamp(self, moment: datetime) -> None:
        self.stamps.append(moment)


class Transfer:
    """Surveys."""

    def survey(self, _disk: object) -> Pending:
        return NOTHING


@dataclass
class Hooks:
    """A script that runs for an hour once the capture is taken."""

    clock: Clock

    @contextmanager
    def around_capture(self, _plan: CyclePlan) -> Generator[None]:
        yield
        self.clock.time += timedelta(hours=1)


def plan(newest: BootPoint, *blanks: BlankDisk) -> CyclePlan:
    """Plan an incremental of all disks of a point."""
    disks = tuple(
        DiskPlan(
            SourceDisk(it.disk, f"/{it.disk}", ImageFormat.QCOW2, DiskStorage.FILE, it.size),
            Way.INCREMENTAL,
            "",
            it.file,
        )
        for it in newest.deltas
    )
    name = PointName.at(START + timedelta(hours=1))
    capture = CapturePlan(disks, "standby-web-", f"standby-web-{name}", "c", Consistency.CRASH)
    way, head = Way.INCREMENTAL, HeadMove.MOVE
    return CyclePlan(IDENTITY, name, way, "", capture, (), (), (), head, tuple(blanks))


def test_the_stamp_is_of_the_capture_not_of_what_followed_it() -> None:
    clock, store = Clock(), Store()
    captured = clock.time
    nothing = cast("Any", None)
    cycle = Cycle(
        source=cast("Any", Source()),
        store=cast("Any", store),
        transfer=cast("Any", Transfer()),
        hooks=cast("Any", Hooks(clock)),
        clock=clock,
        policy=Policy("web", Consistency.CRASH, Keep(22), "/standbys", 0),
        request=CycleRequest(),
        journal=Journal("web", Session(Path("/etc/standby")).require_wanted),
        progress=lambda *_: None,
        gate=nothing,
    )
    cycle.replicate(plan(NEWEST))
    assert store.stamps == [captured]


def test_another_empty_disk_in_place_of_an_excluded_one_is_a_change() -> None:
    """Or a machine that nobody writes to would never get it."""
    pending = [NOTHING] * len(NEWEST.deltas)
    capture = cast("Any", Capture())
    assert nothing_changed(plan(NEWEST), pending, capture, NEWEST)
    blank = BlankDisk("vdz", 1 << 20)
    assert not nothing_changed(plan(NEWEST, blank), pending, capture, NEWEST)
    there = replace(NEWEST, blanks=(blank,))
    assert nothing_changed(plan(there, blank), pending, capture, there)
    assert not nothing_changed(plan(there), pending, capture, there)
