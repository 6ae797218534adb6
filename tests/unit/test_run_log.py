"""The log of a run: bounded, and its beginning and its end are always there."""

from __future__ import annotations

import errno
import logging
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from standby.history import run_log
from standby.history.run_log import (
    LEFT_OUT,
    RunLog,
    log_path,
    read_log,
    remove_log,
    remove_old_logs,
)

LIMIT = 8000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return log_path(tmp_path, "abcdefgh")


def write(path: Path, lines: int, limit: int = LIMIT) -> RunLog:
    file = RunLog(path, lambda _: True, limit)
    for number in range(lines):
        file.say(logging.INFO, f"line {number}")
    return file


def numbers(path: Path) -> list[int]:
    return [int(line.split()[-1]) for line in read_log(path) if line != LEFT_OUT]


def test_every_line_of_a_short_log_is_kept(path: Path) -> None:
    write(path, 50).close()
    assert numbers(path) == list(range(50))
    assert LEFT_OUT not in list(read_log(path))


def test_a_log_is_read_while_it_is_written(path: Path) -> None:
    file = write(path, 3)
    assert numbers(path) == [0, 1, 2]
    file.close()


@pytest.mark.parametrize("lines", [200, 300, 1000, 5000])
def test_a_long_log_keeps_its_beginning_and_its_end(path: Path, lines: int) -> None:
    write(path, lines).close()
    kept = numbers(path)
    assert kept[:50] == list(range(50))
    assert kept[-40:] == list(range(lines - 40, lines))
    assert kept == sorted(set(kept))
    assert list(read_log(path)).count(LEFT_OUT) == 1
    assert sum(it.stat().st_size for it in path.parent.iterdir()) <= LIMIT


def test_a_line_longer_than_everything_is_cut(path: Path) -> None:
    file = RunLog(path, lambda _: True, LIMIT)
    for _ in range(20):
        file.say(logging.INFO, "x" * 10**6)
    file.close()
    assert sum(it.stat().st_size for it in path.parent.iterdir()) <= LIMIT


def test_lines_say_when_in_utc_and_how_grave(path: Path) -> None:
    file = RunLog(path, lambda _: True)
    record = logging.LogRecord("standby", logging.WARNING, "", 0, "two\nlines", None, None)
    record.created = datetime(2026, 11, 1, 12, 0, 0, 250000, tzinfo=UTC).timestamp()
    file.handle(record)
    file.close()
    assert [*read_log(path)] == ["2026-11-01T12:00:00.250Z WARNING two\n", "    lines\n"]


def test_lone_surrogates_do_not_stop_it(path: Path) -> None:
    file = RunLog(path, lambda _: True)
    file.say(logging.INFO, "\udcff")
    file.close()
    assert "INFO ?" in next(iter(read_log(path)))


def test_what_was_printed_cannot_command_a_terminal(path: Path) -> None:
    file = RunLog(path, lambda _: True)
    file.say(logging.INFO, "\x1b[2J\x07\x9b31m tab\t\r\n\x7fend ä")
    file.close()
    said = "".join(read_log(path))
    assert said.endswith("INFO \\x1b[2J\\x07\\x9b31m tab\t\\x0d\n    \\x7fend ä\n")


def test_a_file_that_cannot_be_begun_costs_lines_only(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(path, 1)
    really = run_log.open_private

    def full(wanted: Path, flags: int) -> int:
        if wanted != path:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(wanted, flags)

    monkeypatch.setattr(run_log, "open_private", full)
    for length in (LIMIT // 2 - 200, 200, 1, 200, 1):  # only the long ones need a new file
        file.say(logging.INFO, "x" * length)
    assert file.lost_lines == 2
    monkeypatch.undo()
    file.say(logging.INFO, "y" * 200)
    file.close()
    assert list(read_log(path))[-1].endswith("y\n")


def test_a_log_is_removed_with_all_its_parts(path: Path) -> None:
    write(path, 5000).close()
    remove_log(path)
    remove_log(path)
    assert list(path.parent.iterdir()) == []


def test_logs_that_nobody_wrote_to_for_long_are_removed(path: Path) -> None:
    write(path, 1).close()
    young = path.with_name("young.log")
    young.touch()
    week = timedelta(days=7)
    old = time.time() - 2 * week.total_seconds()
    os.utime(path, (old, old))
    remove_old_logs(path.parent, datetime.now(UTC) - week)
    assert [*path.parent.iterdir()] == [young]
    remove_old_logs(path.parent / "gone", datetime.now(UTC))
