"""What `standby run` says about a cycle, done or only planned."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from chain_world import IDENTITY, START, hourly_points

from standby.app.replicate import Estimate
from standby.app.reports import CycleReport, Outcome, PhaseTime
from standby.cli import run_output
from standby.cycle.report import Phase
from standby.model.disk import DiskStorage, ImageFormat, SourceDisk
from standby.model.keep import Keep
from standby.model.machine import MachineDefinition, PowerState
from standby.model.names import PointName
from standby.model.observation import SourceObservation
from standby.model.plan import CapturePlan, CyclePlan, DiskPlan, HeadMove
from standby.model.point import Consistency, Way
from standby.planning.forecast import Forecast
from standby.planning.retention import plan_merges

MIB = 1 << 20
GIB = 1 << 30
NAME = PointName.at(START)
REPORT = CycleReport(
    outcome=Outcome.PUBLISHED,
    point=NAME,
    way=Way.INCREMENTAL,
    reason="changes since the newest point",
    data=3 * MIB,
    zero=64 * 1024,
    unchanged=0,
    merged=(NAME,),
    deferred=("V1: is pinned",),
    head=HeadMove.MOVE,
    warnings=("disk vdc is left out",),
    started=START,
    seconds=1.26,
    phases=(PhaseTime(Phase.OBSERVE, 0.1004),),
)
DISK = SourceDisk("vda", "/i/vda.qcow2", ImageFormat.QCOW2, DiskStorage.FILE, GIB)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


def estimate(changed: int | None, *, needed: int = MIB, available: int = GIB) -> Estimate:
    disk = DiskPlan(DISK, Way.INCREMENTAL, "changes since the newest point", "deltas/vda.qcow2")
    plan = CyclePlan(
        machine=IDENTITY,
        point=NAME,
        way=Way.INCREMENTAL,
        reason="changes since the newest point",
        capture=CapturePlan((disk,), "c", "c2", "c1", Consistency.CRASH),
        debris=("incoming/vda.0009.qcow2",),
        known_checkpoints=(),
        unfinished_merges=(),
        head=HeadMove.STAY,
    )
    source = SourceObservation(IDENTITY, PowerState.PAUSED, MachineDefinition("-"), (DISK,), (), ())
    merges = plan_merges(hourly_points(3), Keep(2), START)
    forecast = Forecast(22, GIB, 10 * MIB, 4)
    return Estimate(
        plan, source, merges, ((disk, changed),), needed, available, "/srv on kvm1", forecast
    )


def test_a_report_says_what_was_made_how_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    run_output.print_report(REPORT)
    lines = capsys.readouterr().out.splitlines()
    told = dict(re.split(r"  +", line, maxsplit=1) for line in lines)
    assert told["boot point"] == "V20261122_035600 (published)"
    assert told["way"] == "incremental: changes since the newest point"
    assert told["sent"] == "3.0 MiB, and 64.0 KiB told as zeroes"
    assert told["merged away"] == "V20261122_035600"
    assert told["merge waits"] == "V1: is pinned"
    assert told["warning"] == "disk vdc is left out"
    assert told["head"] == "on the newest point"


def test_a_report_gives_programs_bytes_seconds_and_utc() -> None:
    told = json.loads(json.dumps(run_output.report_as_json(REPORT)))
    assert told["sent_bytes"] == 3 * MIB
    assert told["started"] == "2026-11-22T03:56:00Z"
    assert told["phases"] == [{"phase": "observe", "seconds": 0.1}]
    assert told["merged"] == ["V20261122_035600"]


def test_a_plan_says_what_would_be_done_and_that_nothing_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_output.print_estimate(estimate(3 * MIB))
    text = capsys.readouterr().out
    for part in (
        "web (paused)",
        "up to 3.0 MiB",
        "1.0 MiB needed, 1.0 GiB free, in /srv on kvm1",
        "stays: the standby is reverted to a point",
        "V20261122_035600 into V20261122_045600: above the limit",
        "incoming/vda.0009.qcow2",
        "about 1.2 GiB: 1.0 GiB for the oldest, 10.0 MiB for each other, as measured on 4",
        "Nothing was changed.",
    ):
        assert part in text


def test_a_plan_says_how_much_room_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    run_output.print_estimate(estimate(3 * MIB, needed=3 * GIB, available=GIB))
    assert "3.0 GiB needed, 1.0 GiB free: 2.0 GiB too little" in capsys.readouterr().out


def test_what_only_reading_would_tell_is_not_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = estimate(None)
    run_output.print_estimate(unknown)
    assert "known only once it is read" in capsys.readouterr().out
    told = run_output.estimate_as_json(unknown)
    assert isinstance(told, dict)
    assert told["to_send_bytes"] is None
    early = replace(unknown, forecast=Forecast(22, GIB, None, 0))
    run_output.print_estimate(early)
    assert "1.0 GiB for the oldest; the others show" in capsys.readouterr().out
