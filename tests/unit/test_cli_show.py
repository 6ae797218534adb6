"""The health page of `show`: what nobody knows is called unknown, and never a number."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from chain_world import START, observed
from cli_world import look, manifest
from health_world import run

from standby.app.health_page import HealthPage, Pending
from standby.cli.show import page_as_json, page_facts
from standby.model.point import Way
from standby.model.run import RunResult
from standby.planning.statistics import Statistics, measure

DAY = timedelta(days=1)
PENDING = Pending({"vda": 3 << 20, "vdb": 1 << 20})


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


def page(
    tmp_path: Path, pending: Pending = PENDING, statistics: Statistics | None = None
) -> HealthPage:
    return HealthPage(look(tmp_path, observed(manifest(2))), pending, statistics)


def told(page_: HealthPage) -> dict[str, str]:
    return dict(page_facts(page_))


def counted(*results: RunResult) -> Statistics:
    runs = [run(n, result, seconds=2 + n) for n, result in enumerate(results)]
    return measure(runs, START - DAY, START + DAY)


def test_without_a_history_and_a_daemon_it_says_unknown(tmp_path: Path) -> None:
    facts = told(page(tmp_path))
    assert facts["statistics"] == "unknown, there is no history here"
    assert facts["next run"] == "unknown"
    assert facts["health"] == "Normal"
    assert json.loads(json.dumps(page_as_json(page(tmp_path))))["statistics"] is None


def test_what_changed_since_the_newest_point_is_told(tmp_path: Path) -> None:
    facts = told(page(tmp_path))
    assert facts["pending"] == "4.0 MiB changed since the newest boot point"
    assert page_as_json(page(tmp_path))["pending"] == {
        "bytes": 4 << 20,
        "disks": {"vda": 3 << 20, "vdb": 1 << 20},
        "unknown": None,
    }


@pytest.mark.parametrize(
    ("pending", "text", "total"),
    [
        (Pending({}, unknown="hv1: no answer"), "unknown: hv1: no answer", None),
        (
            Pending({"vda": 1024}, ("vdb",)),
            "1.0 KiB changed since the newest boot point; unknown of vdb",
            None,
        ),
        (Pending({}, ("vda",)), "unknown of vda", None),
        (Pending({"vda": 0}), "0 B changed since the newest boot point", 0),
    ],
)
def test_what_nobody_can_tell_is_no_zero(
    tmp_path: Path, pending: Pending, text: str, total: int | None
) -> None:
    assert told(page(tmp_path, pending))["pending"] == text
    assert page_as_json(page(tmp_path, pending))["pending"]["bytes"] == total  # type: ignore[index,call-overload]


def test_statistics_are_those_of_the_period(tmp_path: Path) -> None:
    seen = counted(RunResult.PUBLISHED, RunResult.PUBLISHED, RunResult.FAILED, RunResult.BUSY)
    facts = told(page(tmp_path, statistics=seen))
    assert facts["cycles"].startswith("2 good of 3")
    assert facts["duration"] == "2.5 s on average, 3.0 s at most"
    assert facts["latency"] == "not applicable"
    assert facts["last sync"].startswith("2026-11-22 05:57:02")
    assert "kvm1: no answer" in facts["run r2"]


def test_of_many_errors_the_last_are_told_and_how_many_there_were(tmp_path: Path) -> None:
    seen = counted(*[RunResult.FAILED] * 7)
    lines = list(page_facts(page(tmp_path, statistics=seen)))
    assert sum(name.startswith("run r") for name, _ in lines) == 5
    assert ("errors", "7") in lines


def test_without_a_good_cycle_there_was_no_sync(tmp_path: Path) -> None:
    seen = measure([], START, START + DAY)
    facts = told(page(tmp_path, statistics=seen))
    assert facts["last sync"] == facts["size"] == "not applicable"
    only_seed = measure([replace(run(1), way=Way.SEED)], START, START + DAY)
    assert told(page(tmp_path, statistics=only_seed))["duration"] == "not applicable"
