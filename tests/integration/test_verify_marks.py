"""Verifying beside merges, and what cannot be read: what is damaged is marked, nothing else."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from standby.app.places import Place
from standby.app.scanning import BrokenTable, find_broken_tables
from standby.app.session import Session
from standby.app.verify import VerifyReport, VerifyRequest, verify
from standby.errors import TransferFailed
from standby.model.manifest import Manifest
from standby.transfer.connection import Role
from standby.transfer.scan import DigestedDisk, Pace
from standby.transfer.unreadable import verify_through
from standby.transfer.verify import OwnLayer, Verified, VerifyScope
from tests.integration.store_world import MIB, Change, World


@dataclass
class Quiet:
    """What a verify needs of a session."""

    cancel: threading.Event = field(default_factory=threading.Event)
    clock: Any = field(default_factory=lambda: SimpleNamespace(now=lambda: datetime.now(UTC)))

    def report(self, what: str, done: int, total: int) -> None:
        """Tell nobody."""


def verified(world: World) -> VerifyReport:
    profile = SimpleNamespace(
        source=SimpleNamespace(read_rate=None), schedule=SimpleNamespace(zone=UTC)
    )
    place = SimpleNamespace(
        called="web",
        where="here",
        profile=profile,
        host=world.host,
        directory=world.directory,
        domain=world.domain,
    )
    session = cast("Session", Quiet())
    return verify(session, cast("Place", place), VerifyRequest(None, UTC))


def damage(world: World, point: int) -> None:
    """Change a byte of a point's first block, as its own file has it."""
    with (world.path / world.manifest.points[point].deltas[0].file).open("r+b") as file:
        content = file.read()
        file.seek(content.index(bytes([point + 1]) * 65536) + 9)
        file.write(b"x")


def at_the_look_for_tables(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen after the manifest was read, before its tables are looked at."""
    once = [happens]

    def late(place: Place, manifest: Manifest) -> tuple[BrokenTable, ...]:
        while once:
            once.pop()()
        return find_broken_tables(place, manifest)

    monkeypatch.setattr("standby.app.verify.find_broken_tables", late)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three points, the second of which holds a block that the others do not."""
    world = World(tmp_path)
    world.publish(Change("vda", 0, MIB, 1), sizes={"vda": 4 * MIB})
    world.publish(Change("vda", MIB, MIB, 2))
    world.publish(Change("vda", 2 * MIB, MIB, 3))
    return world


def test_a_table_that_a_merge_takes_away_is_not_a_broken_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_look_for_tables(monkeypatch, lambda: world.merge(2))
    report = verified(world)
    assert len(world.points) == 2
    assert [point.spoilt for point in world.manifest.points] == [(), ()]
    assert report.sound
    assert {it.point.name for it in report.points} == set(world.points)


def test_what_stood_on_a_table_that_was_taken_away_is_verified_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(world, 1)
    at_the_look_for_tables(monkeypatch, lambda: world.merge(2))
    verified(world)
    damaged = ((MIB, MIB + 65536),)
    assert [p.spoilt_ranges("vda") for p in world.manifest.points] == [damaged, damaged]


def test_what_was_found_is_marked_though_an_older_point_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(world, 2)

    def fails(
        subject: DigestedDisk, scope: VerifyScope, size: int, pace: Pace
    ) -> tuple[Verified, bool]:
        if isinstance(scope, OwnLayer):
            raise TransferFailed(f"{subject.disk} {Role.TABLE.value}", "EIO", errno=errno.EIO)
        return verify_through(subject, scope, size, pace)

    monkeypatch.setattr("standby.app.scanning.verify_through", fails)
    with pytest.raises(TransferFailed):
        verified(world)
    assert [p.spoilt_ranges("vda") for p in world.manifest.points] == [
        (),
        (),
        ((2 * MIB, 2 * MIB + 65536),),
    ]
