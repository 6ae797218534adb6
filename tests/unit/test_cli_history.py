"""`standby history`, `log` and `stats`: what they print of the runs of this host."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from configuration_files import write_root
from history_runs import BEGIN, begun, ended

from standby.app.history import LookBack
from standby.app.session import Session
from standby.app.state import StateDirectory
from standby.cli.main import main
from standby.history import History
from standby.history.run_log import RunLog, log_path
from standby.model.point import Way
from standby.model.records import Gap
from standby.model.run import Run, RunKind, RunResult

Said = tuple[int, str, str]
Command = Callable[..., Said]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateDirectory:
    monkeypatch.setenv("STANDBY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TZ", "Europe/Berlin")
    return StateDirectory(tmp_path / "state")


@pytest.fixture
def history(state: StateDirectory) -> History:
    return History.open(state.database, lambda: BEGIN - timedelta(days=1))


@pytest.fixture
def standby(
    tmp_path: Path,
    state: StateDirectory,  # noqa: ARG001 - so that no other is used
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    root = write_root(tmp_path, {})

    def command(*words: str) -> Said:
        monkeypatch.setattr("sys.argv", ["standby", "--config", str(root), *words])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, told.out, told.err

    return command


def listed(standby: Command, *words: str) -> list[str]:
    status, out, _ = standby("history", *words, "--json")
    assert status == 0
    return [run["run"].lstrip("0") for run in json.loads(out)["runs"]]


def log_of(state: StateDirectory, run: Run, *lines: str) -> Path:
    path = log_path(state.logs, run.id)
    file = RunLog(path, lambda _: True)
    for line in lines:
        file.say(20, line)
    file.close()
    return path


def test_runs_of_a_clock_that_was_ahead_are_not_the_last_ones(
    tmp_path: Path, history: History
) -> None:
    now = datetime.now(UTC)
    ahead = [
        replace(ended(n), begun=now + timedelta(days=n), ended=now + timedelta(days=n))
        for n in range(1, 120)
    ]
    failed = replace(ended(0, RunResult.FAILED), begun=now - timedelta(hours=1))
    history.end(*ahead, failed)
    with Session(write_root(tmp_path, {})) as session, LookBack(session) as back:
        assert [run.id for run in back.last("web1")] == [failed.id]
        assert back.profile_meant("web1") == "web1"


# ---- history ------------------------------------------------------------------------------


def test_nothing_is_listed_before_the_first_run(standby: Command) -> None:
    assert standby("history") == (0, "", "no runs\n")
    status, out, _ = standby("history", "--json")
    assert (status, json.loads(out)["runs"]) == (0, [])


def test_a_run_is_a_line_in_local_time(standby: Command, history: History) -> None:
    history.end(ended(1), ended(2, RunResult.FAILED))
    status, out, _ = standby("history")
    assert status == 0
    failed, published = out.splitlines()[-2:]
    assert "2026-11-01 13:01:00 CET" in published
    assert "published V20261101_120100" in published
    assert "4.0 s" in published
    assert "100 B" in published
    assert "failed" in failed
    assert "kvm1: no answer (expected: one); ask" in failed


def test_runs_are_filtered_as_asked(standby: Command, history: History) -> None:
    now = datetime.now(UTC)
    fresh = replace(ended(7), begun=now - timedelta(hours=3), ended=now)
    history.end(
        ended(1), ended(2, RunResult.FAILED), ended(3, kind=RunKind.VERIFY, profile="web2"), fresh
    )
    assert listed(standby) == ["7", "3", "2", "1"]
    assert listed(standby, "web2") == ["3"]
    assert listed(standby, "--kind", "verify", "--kind", "resync") == ["3"]
    assert listed(standby, "--result", "failed") == ["2"]
    assert listed(standby, "--last", "4h") == ["7"]
    assert listed(standby, "--since", "2026-11-01 13:02", "--until", "2026-11-01 13:03") == ["2"]
    assert listed(standby, "--sort", "oldest", "--until", "2026-11-02") == ["1", "2", "3"]


@pytest.mark.parametrize(
    "words",
    [
        ("--last", "7 years"),
        ("--since", "whenever"),
        ("--last", "1d", "--since", "yesterday 12:00"),
        ("--since", "2026-11-02", "--until", "2026-11-01"),
        ("--csv", "--json"),
        ("--page", "0"),
        ("--result", "splendid"),
    ],
)
def test_what_cannot_be_asked_is_wrong_usage(standby: Command, words: tuple[str, ...]) -> None:
    status, out, err = standby("history", *words)
    assert (status, out) == (2, "")
    assert err


def test_fifty_are_on_a_page_and_the_next_is_named(standby: Command, history: History) -> None:
    history.end(*map(ended, range(120)))
    _, out, err = standby("history")
    assert len(out.splitlines()) == 52
    assert err == "there are more: --page 2\n"
    _, out, err = standby("history", "--page", "3")
    assert (len(out.splitlines()), err) == (22, "")
    assert standby("history", "--page", "4")[2] == "no more runs\n"


def test_csv_has_all_runs_the_oldest_first(standby: Command, history: History) -> None:
    awkward = replace(ended(60), reason='says "no", and\nmore', point=None)
    history.end(*map(ended, range(60)), awkward)
    status, out, _ = standby("history", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert [int(row["run"]) for row in rows] == list(range(61))
    assert rows[0]["begun"] == "2026-11-01T12:00:00Z"
    assert (rows[0]["seconds"], rows[0]["sent_bytes"]) == ("4.0", "100")
    assert rows[0]["merged"] == "V20261101_120000 V20261102_120000"
    assert rows[60]["reason"] == awkward.reason


def test_json_says_all_of_a_run(standby: Command, history: History) -> None:
    history.end(ended(1, RunResult.FAILED))
    (run,) = json.loads(standby("history", "--json")[1])["runs"]
    assert run["error"]["type"] == "ReachHost"
    assert run["error"]["retry"] == "later"
    assert run["phases"][1] == {"phase": "capture", "begun": "2026-11-01T12:01:00Z", "seconds": 1.5}
    assert (run["read_bytes"], run["stored_bytes"], run["changed_blocks"]) == (1 << 40, 3, 4)


def test_what_is_not_known_is_said(standby: Command, history: History) -> None:
    history.end(ended(1))
    history.miss(Gap(BEGIN, BEGIN + timedelta(minutes=1), 7, "not recorded: disk full"))
    _, _, err = standby("history")
    assert "not known: 7 runs from 2026-11-01 13:00:00 CET until" in err
    assert "disk full" in err
    assert standby("history", "--since", "2026-11-02")[2] == "no runs\n"
    assert "not known: anything before 2026-10-31" in standby("history", "--since", "2025-01-01")[2]
    told = json.loads(standby("history", "--json")[1])
    assert told["missing"][0]["runs"] == 7


def test_a_run_whose_manager_died_is_lost(standby: Command, history: History) -> None:
    history.begin(begun(1), "4711-deadbeef")
    assert "lost" in standby("history")[1]


def test_a_damaged_history_is_kept_and_that_is_said(
    standby: Command, state: StateDirectory
) -> None:
    state.path.mkdir()
    state.database.write_bytes(b"no database" * 1000)
    status, out, err = standby("history")
    assert (status, out) == (0, "")
    (kept,) = state.path.glob("history-damaged-*.db")
    assert str(kept) in err


def test_a_history_that_cannot_be_read_is_an_error_with_its_remedy(
    standby: Command, state: StateDirectory
) -> None:
    state.database.mkdir(parents=True)
    status, _, err = standby("history")
    assert status == 1
    assert err.startswith(f"standby: history {state.database}: ")
    assert "protection goes on without it" in err


# ---- log ----------------------------------------------------------------------------------


def test_a_log_is_printed_in_local_time(
    standby: Command, history: History, state: StateDirectory
) -> None:
    history.end(ended(1))
    path = log_of(state, ended(1), "first", "second\nwith more")
    path.write_text(path.read_text().replace(path.read_text()[:24], "2026-07-01T12:00:00.250Z", 1))
    status, out, _ = standby("log", "00000001")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "2026-07-01T14:00:00.250+02:00 INFO first"
    assert lines[1].endswith("+01:00 INFO second") or lines[1].endswith("+02:00 INFO second")
    assert lines[2] == "    with more"


def test_a_log_is_saved_as_it_is(
    standby: Command, history: History, state: StateDirectory, tmp_path: Path
) -> None:
    history.begin(begun(1), "")
    path = log_of(state, begun(1), "so far")
    saved = tmp_path / "saved.log"
    assert standby("log", "0000", "--save", str(saved)) == (0, "", f"written: {saved}\n")
    assert saved.read_text() == path.read_text()
    status, _, err = standby("log", "0000", "--save", "/proc/no/file")
    assert status == 2
    assert "/proc/no/file" in err


def test_a_run_or_a_log_that_is_not_there_is_named(standby: Command, history: History) -> None:
    history.end(ended(1))
    status, _, err = standby("log", "7777")
    assert (status, "list them: standby history" in err) == (2, True)
    status, _, err = standby("log", "00000001")
    assert (status, "log of run 00000001: there is none" in err) == (2, True)


# ---- stats --------------------------------------------------------------------------------


def counted(standby: Command, *words: str) -> Any:
    status, out, _ = standby("stats", *words, "--json")
    assert status == 0
    return json.loads(out)


PERIOD = ("--from", "2026-11-01 13:00", "--to", "2026-11-01 14:00")


def test_statistics_are_those_of_the_period(standby: Command, history: History) -> None:
    history.end(
        ended(0, seconds=2, sent=100), ended(5, seconds=6, sent=300), ended(6, RunResult.FAILED),
        ended(7, RunResult.CANCELLED), ended(8, profile="web2"), ended(60),
    )  # fmt: skip
    told = counted(standby, "web1", *PERIOD)
    assert (told["cycles"], told["good"], told["failed"]) == (3, 2, 1)
    assert told["cancelled_or_busy"] == 1
    assert told["size_bytes"] == {"average": 200.0, "largest": 300.0}
    assert told["duration_seconds"] == {"average": 4.0, "largest": 6.0}
    assert told["last_sync"] == "2026-11-01T12:05:06Z"
    assert [it["run"] for it in told["errors"]] == ["00000006"]
    out = standby("stats", "web1", *PERIOD)[1]
    assert "2026-11-01 13:00:00 CET to 2026-11-01 14:00:00 CET" in out
    assert "2 good of 3 (66.67 %); 1 cancelled or busy" in out
    assert "200 B on average, 300 B at most" in out
    assert "run 00000006" in out


def test_without_cycles_figures_are_not_applicable(standby: Command, history: History) -> None:
    history.end(replace(ended(1, RunResult.FAILED), way=Way.SEED))
    out = standby("stats", "web1", *PERIOD)[1]
    assert out.count("not applicable") == 4
    assert counted(standby, "web1", *PERIOD)["size_bytes"] is None


def test_statistics_can_be_counted_anew(standby: Command, history: History) -> None:
    now = datetime.now(UTC)
    history.end(replace(ended(1), begun=now - timedelta(minutes=1), ended=now))
    assert counted(standby, "web1")["good"] == 1
    _, out, err = standby("stats", "web1", "--reset", "--json")
    assert json.loads(out)["good"] == 1
    assert err == "cycles of web1 are counted anew from now on\n"
    assert counted(standby, "web1")["good"] == 0
    assert counted(standby, "web1", "--last", "1h")["good"] == 1
    assert listed(standby) == ["1"]


def test_statistics_are_saved_as_they_would_be_printed(
    standby: Command, history: History, tmp_path: Path
) -> None:
    history.end(ended(1))
    saved = tmp_path / "stats.txt"
    for words in (PERIOD, (*PERIOD, "--json")):
        printed = standby("stats", "web1", *words)[1]
        assert standby("stats", "web1", *words, "--save", str(saved))[1] == ""
        assert saved.read_text() == printed


def test_a_machine_that_is_protected_no_more_has_statistics_still(
    standby: Command, history: History
) -> None:
    history.end(ended(1, profile="gone"))
    assert counted(standby, "gone", *PERIOD)["good"] == 1
    status, _, err = standby("stats", "nobody")
    assert (status, "nobody" in err) == (2, True)
