"""What commands print: times, ages, facts and tables that people can read, and JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from standby.cli.output import (
    local,
    print_facts,
    print_json,
    print_table,
    readable_age,
    utc,
)
from standby.profile.zone import local_zone

MOMENT = datetime(2026, 11, 22, 3, 56, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (None, "-"),
        (timedelta(0), "now"),
        (timedelta(milliseconds=900), "now"),
        (timedelta(seconds=-5), "now"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=1), "1 min"),
        (timedelta(minutes=1, seconds=1), "1 min 1 s"),
        (timedelta(hours=2, seconds=30), "2 h"),
        (timedelta(hours=2, minutes=5, seconds=30), "2 h 5 min"),
        (timedelta(days=3, hours=4, minutes=59), "3 d 4 h"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_an_age_has_its_two_largest_units(age: timedelta | None, text: str) -> None:
    assert readable_age(age) == text


def test_people_see_local_time_with_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert local(MOMENT) == "2026-11-22 04:56:07 CET"
    assert local(MOMENT - timedelta(days=150)) == "2026-06-25 05:56:07 CEST"


def test_programs_see_utc_whatever_the_zone() -> None:
    there = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert utc(there) == "2026-11-22T03:56:07Z"


@pytest.mark.parametrize(
    ("named", "hours"),
    [
        ("Europe/Berlin", 1),
        (":Europe/Berlin", 1),
        ("", 0),
        ("UTC", 0),
    ],
)
def test_the_zone_is_the_one_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, named: str, hours: int
) -> None:
    monkeypatch.setenv("TZ", named)
    assert local_zone().utcoffset(MOMENT.replace(tzinfo=None)) == timedelta(hours=hours)


def test_a_zone_that_nobody_knows_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "../../etc/shadow")
    assert local_zone().utcoffset(MOMENT.replace(tzinfo=None)) is not None


def test_facts_stand_in_columns_and_empty_ones_are_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_facts((("way", "seed: first copy"), ("merged away", ""), ("boot point", "V1")))
    assert capsys.readouterr().out == "way         seed: first copy\nboot point  V1\n"


def test_a_table_in_a_pipe_is_wide_and_takes_no_markup_from_its_cells(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "x" * 120
    print_table("points", ("a", "b"), [("[red]plain[/red]", long)])
    printed = capsys.readouterr().out
    assert "[red]plain[/red]" in printed
    assert long in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_no_cell_is_cut_off_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    named = ("V20261122_035600", "2026-11-22 03:56:00 UTC", "7 min 6 s", "application", "29.1 MiB")
    why = "incremental: changes since the newest point"
    print_table("", ("point", "time", "age", "worth", "delta", "why", ""), [(*named, why, "head")])
    printed = capsys.readouterr().out
    for cell in (*named, "head"):
        assert cell in printed
    for word in why.split():
        assert word in printed


def test_json_is_one_document_and_keeps_letters(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": "Füße", "none": None})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": "Füße", "none": None}
    assert "Füße" in printed
