"""What Prometheus is told: in its format, and nothing that nobody knows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from health_world import NOW, run
from hypothesis import given
from hypothesis import strategies as st

from standby.model.health import Concern, Condition, Health, Problem, Severity
from standby.model.run import RunResult
from standby.model.state import State
from standby.planning.metrics import (
    DaemonFigures,
    MachineFigures,
    Report,
    StandbyFigures,
    exposition,
)

CHECKOUT = Path(__file__).parents[2]
ALERTS = CHECKOUT / "contrib/prometheus/alerts.yml"
ALERT_TESTS = CHECKOUT / "contrib/prometheus/alerts.test.yml"
_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (-?[0-9.]+)')
# lab/setup.sh puts it beside the interpreter.
PROMTOOL = shutil.which("promtool", path=f"{Path(sys.executable).parent}:{os.defpath}")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is in Debian's package prometheus"
)

DAEMON = DaemonFigures(NOW - timedelta(days=1), running=2, merging=1, waiting=3, troubles=0)
MACHINE = MachineFigures(
    profile="web1",
    condition=Condition(Health.WARNING, (Problem(Concern.RPO, Severity.WARNING, "late", "look"),)),
    machine="web",
    source_host="hv1",
    kvm_host="kvm1",
    state=State.PROTECTED,
    newest=NOW - timedelta(minutes=5),
    rpo=timedelta(minutes=2),
    next_run=NOW + timedelta(seconds=30),
    standby=StandbyFigures(points=3, limit=22, merges_due=1, stored=3 << 20, available=1 << 40),
    last=run(1, seconds=4.5),
    last_good=NOW,
)
UNKNOWN = MachineFigures("web2", Condition(Health.UNKNOWN))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def samples(report: Report) -> dict[str, str]:
    """Every sample by its name and labels; none twice, and each family in one piece."""
    found: dict[str, str] = {}
    families: list[str] = []
    for line in exposition(report).split("\n")[:-1]:
        if line.startswith("# HELP "):
            families.append(line.split()[2])
        elif line.startswith("# TYPE "):
            assert line.split()[2:] == [families[-1], "gauge"]
        else:
            sample = _SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1] == families[-1]
            key = line.rpartition(" ")[0]
            assert key not in found
            found[key] = sample[3]
    assert len(families) == len(set(families))
    return found


def test_a_machine_is_told_with_all_that_is_known_of_it() -> None:
    told = samples(Report(NOW, (MACHINE,), DAEMON))
    one = '{profile="web1"}'
    assert told[f"standby_newest_point_timestamp_seconds{one}"] == str(int(NOW.timestamp()) - 300)
    assert told[f"standby_rpo_seconds{one}"] == "120"
    assert told[f"standby_last_run_duration_seconds{one}"] == "4.500"
    assert told[f"standby_last_run_success{one}"] == "1"
    assert told[f"standby_points{one}"] == "3"
    assert told[f"standby_available_bytes{one}"] == str(1 << 40)
    assert told['standby_health{profile="web1",health="Warning"}'] == "1"
    assert told['standby_health{profile="web1",health="Normal"}'] == "0"
    assert told['standby_state{profile="web1",state="protected"}'] == "1"
    key = 'standby_problem{profile="web1",concern="RPO missed",severity="warning"}'
    assert told[key] == "1"
    assert told["standby_runs_waiting"] == "3"
    assert told['standby_machines{health="Warning"}'] == "1"


def test_what_nobody_knows_is_left_out_and_is_no_zero() -> None:
    told = samples(Report(NOW, (UNKNOWN,)))
    about = {key.partition("{")[0] for key in told if 'profile="web2"' in key}
    assert about == {"standby_info", "standby_health", "standby_seen"}
    assert told['standby_seen{profile="web2"}'] == "0"
    assert told['standby_health{profile="web2",health="unknown"}'] == "1"
    assert told["standby_daemon_up"] == "0"
    assert "standby_runs_waiting" not in told


def test_a_run_that_failed_is_no_success() -> None:
    failed = replace(MACHINE, last=run(1, RunResult.FAILED))
    assert samples(Report(NOW, (failed,)))['standby_last_run_success{profile="web1"}'] == "0"


def test_two_problems_of_one_concern_are_one_sample_the_gravest() -> None:
    both = tuple(
        Problem(Concern.DAMAGE, severity, "", "") for severity in (Severity.CRITICAL, Severity.NOTE)
    )
    report = Report(NOW, (replace(MACHINE, condition=Condition(Health.CRITICAL, both)),))
    about = [key for key in samples(report) if key.startswith("standby_problem")]
    assert about == ['standby_problem{profile="web1",concern="damage",severity="critical"}']


@given(TEXTS, TEXTS)
def test_no_name_gets_out_of_its_label(profile: str, host: str) -> None:
    odd = replace(MACHINE, profile=profile, kvm_host=host)
    assert len(samples(Report(NOW, (odd,)))) == len(samples(Report(NOW, (MACHINE,))))


def test_nothing_at_all_is_still_a_report() -> None:
    told = samples(Report(datetime(2026, 1, 1, tzinfo=UTC), ()))
    assert told["standby_profiles"] == "0"


def test_every_figure_that_alerts_look_at_is_told() -> None:
    told = {key.partition("{")[0] for key in samples(Report(NOW, (MACHINE,), DAEMON))}
    rules = [line for line in ALERTS.read_text().splitlines() if "summary" not in line]
    named = set(re.findall(r"standby_[a-z_]+", "\n".join(rules)))
    assert named
    assert named <= told


@needs_promtool
def test_promtool_finds_nothing_wrong_with_the_text() -> None:
    text = exposition(Report(NOW, (MACHINE, UNKNOWN), DAEMON))
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_promtool
def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    for argv in (["check", "rules", str(ALERTS)], ["test", "rules", str(ALERT_TESTS)]):
        done = subprocess.run([PROMTOOL, *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried_and_has_a_next_step() -> None:
    rules, tests = ALERTS.read_text(), ALERT_TESTS.read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) == rules.count("description:")
    for alert in alerts:
        fires = rf"alertname: {alert}\n +exp_alerts:"
        assert re.search(fires, tests), f"no test in which {alert} fires"
        assert f"eval_time: 1h, alertname: {alert}}}" in tests, (
            f"no test in which {alert} is silent"
        )
