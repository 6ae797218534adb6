"""A standby as a look at its KVM host shows it, for tests of what is printed about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from chain_world import EMPTY, START, hourly_points, observed
from configuration_files import PROFILE, loaded

from standby.app.inspect import StandbyLook, judge
from standby.app.places import Place
from standby.host.local import LocalHost
from standby.model.manifest import Manifest
from standby.model.observation import HeadObservation, HeadUse, TargetObservation
from standby.model.point import BootPoint, Delta
from standby.target.layout import StandbyDirectory

MIB = 1 << 20


def points(count: int) -> tuple[BootPoint, ...]:
    """Points an hour apart, each with a delta of one disk."""
    return tuple(
        replace(point, deltas=(Delta("vda", f"deltas/vda.{n:04}.qcow2", 64 * MIB, n * MIB),))
        for n, point in enumerate(hourly_points(count), start=1)
    )


def manifest(count: int) -> Manifest:
    """A standby with so many points."""
    return replace(EMPTY, points=points(count))


def place(tmp_path: Path, limit: int) -> Place:
    """Where the standby of profile web1 lies; nothing is asked of its host."""
    profile = loaded(
        tmp_path, {"profiles/web1.yaml": PROFILE + f"boot_points: {{limit: {limit}}}\n"}
    )
    return Place("web1", profile, LocalHost("kvm1"), StandbyDirectory("/srv/standby/web1-standby"))


def look(
    tmp_path: Path,
    target: TargetObservation,
    *,
    limit: int = 3,
    now: datetime = START + timedelta(days=1),
) -> StandbyLook:
    """What a look at it shows."""
    return judge(place(tmp_path, limit), target, now)


def running(manifest_: Manifest) -> TargetObservation:
    """The standby while it runs."""
    newest = manifest_.newest
    return observed(manifest_, HeadObservation(HeadUse.RUNNING, newest.name if newest else None))
