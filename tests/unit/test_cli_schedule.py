"""`standby schedule` prints the coming runs, and what is odd about them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from configuration_files import PROFILE, loaded, write_root
from typer.testing import CliRunner

from standby.cli.main import app
from standby.cli.schedule import Outlook, look_ahead, notes, outlook_as_json

NIGHTLY = "schedule: {weekly: [{at: 02:30}], timezone: Europe/Berlin}\n"


def outlook(root: Path, text: str, now: str, number: int) -> Outlook:
    profile = loaded(root, {"profiles/web1.yaml": PROFILE + text})
    return look_ahead(profile, datetime.fromisoformat(now).replace(tzinfo=UTC), number)


def test_a_run_that_clocks_jump_over_is_said_to_be_moved(tmp_path: Path) -> None:
    printed = outlook_as_json(outlook(tmp_path, NIGHTLY, "2027-03-27 12:00", 2))
    assert isinstance(printed, dict)
    assert printed["timezone"] == "Europe/Berlin"
    assert printed["runs"] == [
        {
            "at": "2027-03-28T01:00:00Z",
            "local": "2027-03-28T03:00:00+02:00",
            "because_of": ["daily at 02:30"],
            "moved": [{"shown": "2027-03-28T02:30", "change": "skipped"}],
            "application_consistent": False,
        },
        {
            "at": "2027-03-29T00:30:00Z",
            "local": "2027-03-29T02:30:00+02:00",
            "because_of": ["daily at 02:30"],
            "moved": [],
            "application_consistent": False,
        },
    ]


def test_a_run_whose_time_comes_twice_is_the_first(tmp_path: Path) -> None:
    due = outlook(tmp_path, NIGHTLY, "2026-10-24 12:00", 2)
    assert [it.moment.hour for it in due.runs] == [0, 1]
    assert '"twice"' in json.dumps(outlook_as_json(due))


def test_dates_that_months_lack_are_said(tmp_path: Path) -> None:
    text = "schedule: {monthly: [{dates: [31], at: 03:00}], timezone: UTC}\n"
    found = outlook(tmp_path, text, "2027-01-31 12:00", 2)
    assert [f"{it.moment:%m-%d}" for it in found.runs] == ["03-31", "05-31"]
    assert list(notes(found)) == ["no run: 2027-02 has no 31.", "no run: 2027-04 has no 31."]


def test_what_has_no_time_is_said(tmp_path: Path) -> None:
    text = "schedule: {once: [now], on_event: [shutdown], seed_at: 2026-12-24 22:00}\n"
    found = outlook(tmp_path, text, "2026-11-26 12:00", 5)
    assert found.runs == ()
    assert list(notes(found)) == [
        "besides: once, as soon as the daemon sees it",
        "besides: whenever the machine has one of: shutdown",
        "a first copy does not begin before 2026-12-24 22:00",
    ]


def test_a_profile_without_a_schedule_and_one_that_is_over_say_so(tmp_path: Path) -> None:
    (note,) = notes(outlook(tmp_path, "", "2026-11-26 12:00", 5))
    assert "web1 has no schedule" in note
    over = "schedule: {every: 5m, effective: {until: 2026-11-25}}\n"
    (note,) = notes(outlook(tmp_path, over, "2026-11-26 12:00", 5))
    assert "holds until 2026-11-26 00:00" in note


def test_runs_that_make_application_consistent_points_are_told(tmp_path: Path) -> None:
    source = PROFILE.replace("web1}", "web1, consistency: application}")
    text = f"{source}schedule: {{every: 30m, application_every: 4h}}\n"
    profile = loaded(tmp_path, {"profiles/web1.yaml": text})
    found = look_ahead(profile, datetime(2026, 11, 26, 12, tzinfo=UTC), 24)
    assert len(found.application) == 3  # 12 hours
    places = [found.runs.index(due) for due in found.application]
    assert [later - sooner for sooner, later in pairwise(places)] == [8, 8]


def printed(root: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["--config", str(root), "schedule", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_prints_local_time_and_utc(tmp_path: Path) -> None:
    text = PROFILE + "schedule: {every: 1h, timezone: Asia/Kathmandu}\n"
    root = write_root(tmp_path, {"profiles/web1.yaml": text})
    lines = printed(root, "web1", "--next", "3").splitlines()
    assert sum("+0545" in line and "every 1h" in line for line in lines) == 3
    assert len(json.loads(printed(root, "web1", "--next", "7", "--json"))["runs"]) == 7


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_number_of_runs_is_a_number(tmp_path: Path, number: str) -> None:
    root = write_root(tmp_path, {"profiles/web1.yaml": PROFILE})
    arguments = ["--config", str(root), "schedule", "web1", "--next", number]
    assert CliRunner().invoke(app, arguments).exit_code == 2
