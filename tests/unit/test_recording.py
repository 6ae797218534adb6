"""Recording: a run is never stopped by it, and nothing that happened is left out silently."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from history_runs import BEGIN, ended

from standby.app.recording import Recording
from standby.app.session import WallClock
from standby.app.state import StateDirectory
from standby.cycle.interfaces import Moved
from standby.cycle.report import Phase
from standby.errors import (
    Cancelled,
    FreeSpace,
    Overtaken,
    ReachHost,
    Retry,
    StandbyError,
    TransferFailed,
    TryLater,
)
from standby.history import History
from standby.history.owners import Records
from standby.history.run_log import log_path, read_log
from standby.host.helpers import helper
from standby.model.names import PointName
from standby.model.point import Base, BootPoint, Consistency, Delta, Way
from standby.model.records import RunFilter
from standby.model.run import Amounts, Cause, Failure, Run, RunKind, RunResult
from standby.profile import Profile

POINT = PointName.at(BEGIN)
CYCLE = RunKind.CYCLE
log = logging.getLogger("standby.cycle")


@dataclass
class Clock(WallClock):
    """Goes on by a second whenever it is looked at."""

    moment: datetime = field(default=datetime(2026, 11, 2, tzinfo=UTC))

    def now(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


def profile(name: str = "web1", keep: timedelta | None = None) -> Profile:
    hosts = {"source_host": SimpleNamespace(name="hv1"), "target_host": SimpleNamespace(name="k1")}
    history = SimpleNamespace(keep=keep)
    return cast("Profile", SimpleNamespace(name=name, history=history, **hosts))


def plan(way: Way = Way.INCREMENTAL, point: PointName = POINT) -> Any:
    return SimpleNamespace(way=way, reason="what changed", point=point)


def boot_point(name: PointName = POINT) -> BootPoint:
    delta = Delta(disk="vda", file="deltas/vda.0001.qcow2", size=9, stored=5, base=Base.BELOW)
    return BootPoint(
        name=name, made=Way.INCREMENTAL, reason="", consistency=Consistency.CRASH, deltas=(delta,),
        sent=3, true_at=name.moment, checkpoint=None, definition="",
    )  # fmt: skip


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "state")


@pytest.fixture
def recording(state: StateDirectory) -> Iterator[Recording]:
    with Recording(state, Clock()) as opened:
        yield opened


@pytest.fixture(autouse=True)
def phases_are_logged() -> Iterator[None]:
    logger = logging.getLogger("standby")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(before)


def only(recording: Recording) -> Run:
    (run,) = recording.history.runs().runs
    return run


def log_of(recording: Recording, run: Run) -> str:
    return "".join(read_log(log_path(recording.state.logs, run.id)))


def test_a_cycle_tells_all_of_itself(recording: Recording) -> None:
    with recording.run(profile(), CYCLE, Cause.RETRY, "after a failure") as recorder:
        assert recording.history.run(recorder.run.id).result is RunResult.RUNNING
        recorder.planned(plan())
        recorder.begins(Phase.CAPTURE)
        assert recorder.phase is not None
        assert recorder.phase[0] == "capture"
        recorder.ends(Phase.CAPTURE, 0.5)
        recorder.replicated(plan(), boot_point(), Moved(3, 2, 1, 7, 4))
        recorder.merged(PointName.at(BEGIN - timedelta(days=1)))
    run = only(recording)
    assert run == recorder.run
    assert (run.source_host, run.kvm_host, run.cause) == ("hv1", "k1", Cause.RETRY)
    assert (run.result, run.point, run.way) == (RunResult.PUBLISHED, POINT, Way.INCREMENTAL)
    assert run.reason == "after a failure; what changed"
    assert run.amounts == Amounts(read=7, sent=3, stored=5, changed=4)
    assert [it.name for it in run.phases] == ["capture"]
    assert [str(name) for name in run.merged] == ["V20261031_120000"]
    assert run.ended is not None


def test_a_point_that_is_still_true_was_not_made_by_the_run(recording: Recording) -> None:
    with recording.run(profile(), CYCLE) as recorder:
        later = plan(point=PointName.at(BEGIN + timedelta(hours=1)))
        recorder.replicated(later, boot_point(), Moved(0, 0))
    run = only(recording)
    assert (run.result, run.point) == (RunResult.STILL_TRUE, POINT)
    assert run.amounts.stored == 0


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (FreeSpace("kvm1", "full", needed_bytes=9), RunResult.FAILED),
        (ReachHost("kvm1", "no answer", "one", "ask it"), RunResult.FAILED),
        (TryLater("standby web1", "another manager"), RunResult.BUSY),
        (Overtaken("standby web1", "another manager took over"), RunResult.FAILED),
        (Cancelled("cycle", "stopped"), RunResult.CANCELLED),
    ],
)
def test_an_error_is_recorded_with_its_type_and_goes_on(
    recording: Recording, error: Exception, result: RunResult
) -> None:
    with pytest.raises(type(error)), recording.run(profile(), CYCLE):
        raise error
    run = only(recording)
    assert run.result is result
    assert run.failure is not None
    assert run.failure.kind == type(error).__name__
    assert str(error).startswith(run.failure.subject)
    assert str(error) in log_of(recording, run)


def test_a_cycle_that_fails_after_its_point_was_published_keeps_the_point(
    recording: Recording,
) -> None:
    def published_and_lost_the_host() -> None:
        with recording.run(profile(), CYCLE) as recorder:
            recorder.replicated(plan(), boot_point(), Moved(3, 2))
            raise ReachHost("kvm1", "gone")

    with pytest.raises(ReachHost):
        published_and_lost_the_host()
    assert (only(recording).result, only(recording).point) == (RunResult.FAILED, POINT)


@pytest.mark.parametrize("error", [TransferFailed("vda", "gone"), Cancelled("cycle", "stopped")])
def test_what_was_moved_before_a_transfer_ended_badly_is_known(
    recording: Recording, error: StandbyError
) -> None:
    def fails() -> None:
        with recording.run(profile(), CYCLE) as recorder:
            recorder.moving(Moved(1, 0, 0, 2, 1))
            recorder.moving(Moved(4 << 20, 0, 1, 9 << 20, 64))
            raise error

    with pytest.raises(type(error)):
        fails()
    assert only(recording).amounts == Amounts(read=9 << 20, sent=4 << 20, stored=0, changed=64)


def test_what_a_long_transfer_moved_is_kept_while_it_goes_on(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standby.app.recorder._AMOUNTS_EVERY_S", 0.0)
    with recording.run(profile(), CYCLE) as recorder:
        recorder.moving(Moved(4 << 20, 0, 1, 9 << 20, 64))
        assert only(recording).amounts.sent == 4 << 20


def test_a_mistake_of_ours_is_a_failed_run_too(recording: Recording) -> None:
    with pytest.raises(ZeroDivisionError), recording.run(profile(), CYCLE):
        raise ZeroDivisionError
    run = only(recording)
    assert run.result is RunResult.FAILED
    assert run.failure is not None
    assert run.failure.kind == "ZeroDivisionError"


def test_work_that_is_no_cycle_says_what_it_did(recording: Recording) -> None:
    with recording.run(profile(), RunKind.VERIFY) as recorder:
        recorder.done(POINT, Amounts(read=9))
    assert (only(recording).result, only(recording).point) == (RunResult.DONE, POINT)


def test_damage_found_fails_a_run_that_came_to_its_end(recording: Recording) -> None:
    with recording.run(profile(), RunKind.VERIFY) as recorder:
        recorder.fails(Failure("RepairStore", "web1", "damaged", "", "", Retry.NEVER))
    assert only(recording).result is RunResult.FAILED


def test_the_id_is_that_of_who_asked(recording: Recording) -> None:
    with recording.run(profile(), CYCLE, run_id="0a1b2c3d"):
        pass
    assert only(recording).id == "0a1b2c3d"


def test_each_run_has_what_was_said_of_it_in_its_log(recording: Recording) -> None:
    barrier = threading.Barrier(2)

    def run(name: str) -> None:
        with recording.run(profile(name), CYCLE):
            barrier.wait(30)
            log.info("profile=%s does\nits work", name)
            log.debug("not worth a line")
            barrier.wait(30)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("web1", "web2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, other in (("web1", "web2"), ("web2", "web1")):
        found = recording.history.last(RunFilter(name))
        assert found is not None
        said = log_of(recording, found)
        assert f"INFO cycle of {name} begins (hand)" in said
        assert f"INFO profile={name} does\n    its work\n" in said
        assert other not in said
        assert "not worth" not in said
        assert "INFO done" in said


def joined(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("others", [0, 2])
def test_every_line_of_those_who_help_a_run_is_in_its_log_and_in_no_other(
    recording: Recording, others: int
) -> None:
    barrier = threading.Barrier(others + 1)

    def run(name: str) -> None:
        with recording.run(profile(name), CYCLE):
            barrier.wait(30)
            joined(helper(lambda: joined(helper(partial(log.warning, "%s is slow", name)))))
            barrier.wait(30)

    names = [f"web{number}" for number in range(others + 1)]
    joined(*(threading.Thread(target=run, args=(name,)) for name in names))
    for name in names:
        (found,) = recording.history.runs(RunFilter(name)).runs
        said = log_of(recording, found)
        assert f"WARNING {name} is slow" in said
        assert [it for it in names if f"{it} is slow" in said] == [name]


def test_what_serves_every_run_speaks_for_none_though_only_one_is_under_way(
    recording: Recording,
) -> None:
    with recording.run(profile(), CYCLE):
        joined(threading.Thread(target=log.warning, args=("a profile was removed",)))
    assert "removed" not in log_of(recording, only(recording))


def test_all_that_a_process_says_belongs_to_the_one_run_that_it_is_for(
    state: StateDirectory,
) -> None:
    with Recording(state, Clock(), does=Records.ONE_RUN) as recording:
        with recording.run(profile(), CYCLE):
            joined(threading.Thread(target=log.warning, args=("the link is slow",)))
        assert "WARNING the link is slow" in log_of(recording, only(recording))


def test_what_is_said_between_runs_belongs_to_none(recording: Recording) -> None:
    with recording.run(profile(), CYCLE):
        pass
    log.warning("nobody's")
    assert "nobody's" not in log_of(recording, only(recording))


def test_runs_go_on_while_nothing_can_be_written_and_are_written_later(
    recording: Recording, state: StateDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    recording.history.close()
    state.database.unlink()
    state.database.mkdir()
    for name in ("web1", "web2"):
        with recording.run(profile(name), CYCLE) as recorder:
            recorder.replicated(plan(), boot_point(), Moved(3, 2))
    assert "unable to open" in recording.trouble
    assert caplog.text.count("runs are not recorded, and go on") == 1
    state.database.rmdir()
    with recording.run(profile("web3"), CYCLE):
        pass
    assert recording.trouble == ""
    kept = recording.history.runs().runs
    assert [run.profile for run in kept] == ["web3", "web2", "web1"]
    assert kept[1].result is RunResult.PUBLISHED


def test_a_database_that_somebody_holds_locked_stops_no_run(
    recording: Recording, state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standby.history.database.BUSY_MS", 10)
    recording.history.close()
    with sqlite3.connect(state.database) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        with recording.run(profile(), CYCLE) as recorder:
            recorder.replicated(plan(), boot_point(), Moved(3, 2))
        assert "locked" in recording.trouble
        somebody.execute("ROLLBACK")
    with recording.run(profile("web2"), CYCLE):
        pass
    assert [run.profile for run in recording.history.runs().runs] == ["web2", "web1"]
    somebody.close()


def test_a_clock_that_was_set_back_makes_no_run_end_before_it_began(state: StateDirectory) -> None:
    clock = Clock()
    with Recording(state, clock) as recording:
        with recording.run(profile(), CYCLE) as recorder:
            clock.moment -= timedelta(hours=3)
        assert recorder.run.duration == timedelta()


def test_more_than_memory_shall_hold_becomes_a_gap_that_says_how_many(
    recording: Recording, state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standby.app.recording._MOST_PENDING", 3)
    recording.history.close()
    state.database.unlink()
    state.database.mkdir()
    runs = []
    for _ in range(5):
        with recording.run(profile(), CYCLE) as recorder:
            pass
        runs.append(recorder.run)
    state.database.rmdir()
    with recording.run(profile(), CYCLE) as recorder:
        pass
    kept = {run.id for run in recording.history.runs().runs}
    assert kept == {run.id for run in runs[3:]} | {recorder.run.id}
    (gap,) = recording.history.gaps()
    assert (gap.runs, gap.since, gap.until) == (3, runs[0].begun, runs[2].ended)
    assert "unable to open" in gap.why


def test_a_log_that_cannot_be_written_costs_lines_only(
    recording: Recording, state: StateDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    state.logs.write_text("in the way")
    with recording.run(profile(), CYCLE):
        log.warning("said")
    assert only(recording).result is RunResult.DONE
    assert "lines of the log" in caplog.text


def test_a_run_of_a_dead_manager_is_lost_and_of_a_live_one_is_not(state: StateDirectory) -> None:
    with Recording(state, Clock()) as first, first.run(profile(), CYCLE) as recorder:
        history = History.open(state.database)
        history.begin(ended(1, RunResult.RUNNING), "4711-00000000")
        with Recording(state, Clock()) as second:
            found = {run.id: run.result for run in second.history.runs().runs}
    assert found == {recorder.run.id: RunResult.RUNNING, ended(1).id: RunResult.LOST}


def test_a_profile_may_have_its_own_runs_forgotten_sooner(state: StateDirectory) -> None:
    with Recording(state, Clock()) as first:
        for name in ("web1", "db1"):
            with first.run(profile(name), CYCLE) as old:
                pass
    late = Clock(datetime(2026, 12, 2, tzinfo=UTC))
    with (
        Recording(state, late, timedelta(days=365)) as second,
        second.run(profile("web1", timedelta(days=7)), CYCLE) as new,
    ):
        pass
    history = History.open(state.database)
    assert [run.id for run in history.runs().runs] == [new.run.id, old.run.id]
    assert log_path(state.logs, old.run.id).exists()


def test_what_is_older_than_it_shall_be_kept_goes_with_its_log(state: StateDirectory) -> None:
    with Recording(state, Clock()) as first, first.run(profile(), CYCLE) as old:
        pass
    path = log_path(state.logs, old.run.id)
    assert path.exists()
    late = Clock(datetime(2026, 12, 2, tzinfo=UTC))
    with Recording(state, late, timedelta(days=7)) as second, second.run(profile(), CYCLE) as new:
        pass
    history = History.open(state.database)
    assert [run.id for run in history.runs().runs] == [new.run.id]
    assert not path.exists()
    assert log_path(state.logs, new.run.id).exists()


def test_more_than_is_forgotten_at_once_is_forgotten_by_the_next_run(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standby.app.recording._BATCHES_AT_ONCE", 1)
    monkeypatch.setattr("standby.history.history._AT_ONCE", 1)
    with Recording(state, Clock()) as first:
        for _ in range(3):
            with first.run(profile(), CYCLE):
                pass
    late = Clock(datetime(2026, 12, 2, tzinfo=UTC))
    with Recording(state, late, timedelta(days=7)) as second:
        for _ in range(3):
            with second.run(profile(), CYCLE):
                pass
        assert second.history.count() == 3


def test_the_state_is_for_its_owner_alone(recording: Recording, state: StateDirectory) -> None:
    with recording.run(profile(), CYCLE):
        pass
    for path in [state.path, *state.path.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
