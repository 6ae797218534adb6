"""What a manager knows of its machines, and how it shows in what is looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from chain_world import EMPTY, START, observed
from cli_world import manifest, place
from health_world import run

from standby.app.inspect import StandbyLook, judge, not_seen
from standby.app.known import NOTHING_KNOWN, Known
from standby.app.live import BrokenProfile, Live, LiveRun, LiveStep, Outlook
from standby.cli.look_output import next_run
from standby.errors import ReachHost
from standby.model.health import Concern, Health
from standby.model.observation import TargetObservation
from standby.model.pause import Pause
from standby.model.run import Cause, RunKind
from standby.model.state import State

MINUTE = timedelta(minutes=1)
NOW = START + timedelta(hours=2)
LIVE = Live(NOW, 7, Path("/etc/standby"), START)
RUNNING = LiveRun("k3x9", "web1", RunKind.CYCLE, Cause.SCHEDULE, NOW, "transfer")


def looked(tmp_path: Path, known: Known, target: TargetObservation | None = None) -> StandbyLook:
    return judge(place(tmp_path, 3), target or observed(manifest(2)), NOW, known)


def doing(tmp_path: Path, running: LiveRun, target: TargetObservation | None = None) -> str:
    look = looked(tmp_path, Known(replace(LIVE, running=(running,))), target)
    return look.doing.text if look.doing else ""


def test_without_a_daemon_nothing_is_done_and_the_next_run_is_unknown(tmp_path: Path) -> None:
    look = looked(tmp_path, NOTHING_KNOWN)
    assert (look.doing, look.next_run, look.runs) == (None, None, None)
    assert look.state is State.PROTECTED


def test_what_is_done_shows_with_how_far_it_is(tmp_path: Path) -> None:
    steps = (LiveStep("vda", 20, 40), LiveStep("vdb", 40, 60))
    assert doing(tmp_path, replace(RUNNING, steps=steps)) == "replicating (60 %)"
    assert doing(tmp_path, RUNNING) == "replicating"
    assert doing(tmp_path, RUNNING, observed(EMPTY)) == "seeding"
    assert doing(tmp_path, replace(RUNNING, phase="merge")) == "merging"
    assert doing(tmp_path, replace(RUNNING, profile="web2")) == ""


@pytest.mark.parametrize(("done", "text"), [(999, "99 %"), (1000, "100 %"), (1001, "100 %")])
def test_nothing_is_all_there_before_it_is(tmp_path: Path, done: int, text: str) -> None:
    steps = (LiveStep("vda", done, 1000),)
    assert doing(tmp_path, replace(RUNNING, steps=steps)) == f"replicating ({text})"


def test_the_next_run_is_a_retry_when_that_comes_sooner(tmp_path: Path) -> None:
    outlook = Outlook("web1", next_run=NOW + 9 * MINUTE)
    known = Known(replace(LIVE, outlooks=(outlook,)))
    assert looked(tmp_path, known).next_run == NOW + 9 * MINUTE
    retry = Known(replace(LIVE, outlooks=(replace(outlook, retry=NOW + MINUTE),)))
    assert looked(tmp_path, retry).next_run == NOW + MINUTE
    none = Known(replace(LIVE, outlooks=(Outlook("web1"),)))
    assert looked(tmp_path, none).next_run is None


def test_no_run_is_promised_while_the_machine_is_paused(tmp_path: Path) -> None:
    known = Known(replace(LIVE, outlooks=(Outlook("web1", next_run=NOW + MINUTE),)))

    def paused(until: datetime | None) -> StandbyLook:
        target = observed(manifest(2).with_pause(Pause(START, until)))
        return looked(tmp_path, known, target)

    assert paused(NOW + 5 * MINUTE).next_run == NOW + 5 * MINUTE
    assert paused(NOW - MINUTE).next_run == NOW + MINUTE  # it ended by itself
    assert (paused(None).next_run, next_run(paused(None), NOW)) == (None, "when resumed")


def test_a_profile_whose_earlier_version_goes_on_is_a_warning(tmp_path: Path) -> None:
    broken = BrokenProfile("web1", "web1.yaml:3: unknown key", keeps_older=True)
    look = looked(tmp_path, Known(replace(LIVE, broken=(broken,))))
    assert [it.concern for it in look.problems] == [Concern.PROFILE]
    other = Known(replace(LIVE, broken=(replace(broken, keeps_older=False),)))
    assert looked(tmp_path, other).problems == ()


def test_a_host_that_does_not_answer_leaves_what_the_history_knows(tmp_path: Path) -> None:
    profile = place(tmp_path, 3).profile
    error = ReachHost("kvm1", "no answer")
    unknown = not_seen(profile, error, NOW, NOTHING_KNOWN)
    assert (unknown.condition.health, unknown.lag) == (Health.UNKNOWN, None)
    last = replace(run(1), begun=NOW - MINUTE)
    known = not_seen(profile, error, NOW, Known(LIVE, runs=lambda _: (last,)))
    assert known.lag == MINUTE
    assert known.condition.health is not Health.UNKNOWN
