"""A database that is damaged, deleted or replaced: nothing of it is lost that could be kept."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from history_runs import BEGIN, begun, ended

from standby.errors import RepairHistory
from standby.history import History
from standby.history.database import Damaged, Database, Use


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def kept_in(path: Path) -> list[Path]:
    return sorted(path.parent.glob("history-damaged-*.db"))


def test_a_file_full_of_garbage_is_kept_and_the_history_begins_anew(path: Path) -> None:
    garbage = os.urandom(1 << 16)
    path.write_bytes(garbage)
    history = History.open(path)
    history.end(ended(1))
    assert history.runs().runs == (ended(1),)
    (kept,) = kept_in(path)
    assert kept.read_bytes() == garbage
    (gap,) = history.gaps()
    assert (gap.since, gap.runs) == (None, None)
    assert str(kept) in gap.why


def test_pages_that_rot_while_it_is_open_are_found_when_they_are_used(path: Path) -> None:
    writer = History.open(path)
    writer.end(*map(ended, range(200)))
    writer.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + os.urandom(len(whole) - 4096))
    history = History.open(path)
    history.end(ended(1))
    assert history.runs().runs == (ended(1),)
    assert len(kept_in(path)) == 1
    assert len(history.gaps()) == 1


def test_a_file_cut_short_loses_no_run_that_comes_after(path: Path) -> None:
    writer = History.open(path)
    writer.end(*map(ended, range(500)))
    writer.close()
    os.truncate(path, path.stat().st_size // 2)
    history = History.open(path)
    history.end(ended(999))
    assert history.run("00000999") == ended(999)


def test_who_finds_the_damage_second_does_not_set_aside_what_the_first_began(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    second = Database(path, lambda: BEGIN)
    with pytest.raises(Damaged):
        second.run(Use.READ, lambda it: it.info)
    first = History.open(path)
    first.end(ended(1))
    assert second.set_aside() is None
    assert first.runs().runs == (ended(1),)
    assert len(kept_in(path)) == 1


def test_two_that_use_a_damaged_file_set_it_aside_once(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    first, second = History.open(path), History.open(path)
    first.end(ended(1))
    second.end(ended(2))
    assert len(kept_in(path)) == 1
    assert len(first.gaps()) == 1
    assert first.runs().runs == (ended(2), ended(1))


def test_a_second_damage_takes_nothing_from_what_the_first_left(path: Path) -> None:
    for text in (b"first" * 100, b"second" * 100):
        path.write_bytes(text)
        history = History.open(path)
        history.end(ended(1))
        history.close()
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
    assert sorted(it.read_bytes()[:5] for it in kept_in(path)) == [b"first", b"secon"]


def test_a_database_deleted_while_it_is_open_is_begun_anew_with_runs_under_way(path: Path) -> None:
    history = History.open(path)
    history.begin(begun(1))
    path.unlink()
    history.progress(begun(1))
    history.end(ended(1))
    assert history.runs().runs == (ended(1),)
    assert History.open(path).runs().runs == (ended(1),)


def test_the_log_of_a_deleted_database_is_not_taken_for_that_of_the_next(path: Path) -> None:
    history = History.open(path)
    history.end(*map(ended, range(50)))
    wal = Path(f"{path}-wal").read_bytes()
    path.unlink()
    assert wal
    assert History.open(path).runs().runs == ()
    assert kept_in(path) == []


def test_a_whole_directory_that_vanishes_comes_again(path: Path) -> None:
    history = History.open(path.parent / "state" / "history.db")
    history.begin(begun(1))
    for file in history.path.parent.iterdir():
        file.unlink()
    history.path.parent.rmdir()
    history.end(ended(1))
    assert history.runs().runs == (ended(1),)


def test_a_database_replaced_by_an_older_copy_is_used_as_it_is(path: Path, tmp_path: Path) -> None:
    history = History.open(path)
    history.end(ended(1))
    history.close()
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    history.end(ended(2))
    copy.rename(path)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    assert history.runs().runs == (ended(1),)


def test_what_is_no_file_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(RepairHistory, match=str(path)):
        History.open(path).end(ended(1))
    assert path.is_dir()


def test_a_word_that_no_version_of_us_wrote_is_named_and_not_set_aside(path: Path) -> None:
    history = History.open(path)
    history.end(ended(1))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE runs SET result = 'splendid'")
    with pytest.raises(RepairHistory, match="splendid"):
        history.runs()
    assert kept_in(path) == []
