"""Processes that write the history at the same time, and are killed in the midst of it."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standby.history import History
from standby.model.run import RunResult

WRITER = Path(__file__).with_name("history_writer.py")
KILLS = 15
WRITERS_APART = 10**6  # the numbers of their runs


@contextmanager
def writer(path: Path, first: int) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, str(WRITER), str(path), str(first)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], lines: int) -> list[int]:
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(lines)]


def is_whole(path: Path) -> bool:
    with sqlite3.connect(path) as connection:
        return [row[0] for row in connection.execute("PRAGMA integrity_check")] == ["ok"]


def kept(path: Path) -> set[int]:
    return {int(run.id) for run in History.open(path).each() if run.result.is_good}


def test_after_every_kill_the_history_is_whole_and_has_what_it_promised(tmp_path: Path) -> None:
    path, dice, promised = tmp_path / "history.db", random.Random(5), set[int]()
    for kill in range(KILLS):
        with writer(path, kill * WRITERS_APART) as process:
            promised.update(said(process, dice.randint(1, 40)))
            process.send_signal(signal.SIGKILL)
            rest, _ = process.communicate()
            promised.update(map(int, rest.splitlines()))
        assert is_whole(path)
        assert promised <= kept(path)
    assert list(tmp_path.glob("*damaged*")) == []


def test_what_a_killed_writer_began_is_under_way_or_over_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with writer(path, 0) as process:
        said(process, 20)
        process.kill()
    results = [run.result for run in History.open(path).each()]
    assert set(results) <= {RunResult.PUBLISHED, RunResult.RUNNING}
    assert results.count(RunResult.RUNNING) <= 1
    lost = History.open(path).lost(lambda _: False)
    assert len(lost) == results.count(RunResult.RUNNING)


def test_two_processes_write_at_the_same_time_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with writer(path, 0) as first, writer(path, WRITERS_APART) as second:
        promised = {*said(first, 60), *said(second, 60)}
        for process in (first, second):
            process.kill()
            promised.update(map(int, process.communicate()[0].splitlines()))
    assert is_whole(path)
    assert promised <= kept(path)


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_kill_and_the_loss_of_what_lies_beside_leave_a_whole_database(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / "history.db"
    with writer(path, 0) as process:
        said(process, 30)
        process.kill()
    Path(f"{path}{suffix}").unlink(missing_ok=True)
    history = History.open(path)
    assert len(list(history.each())) >= 0
    history.close()
    assert is_whole(path)
