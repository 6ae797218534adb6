"""What root leaves in the state directory of a service belongs to the service's user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from history_runs import begun

from standby.history import History
from standby.history.owners import Owner
from standby.history.private import make_private, open_private
from standby.history.run_log import RunLog, log_path

SOMEBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "state"
    directory.mkdir()
    os.chown(directory, SOMEBODY, SOMEBODY)
    return directory


def owners(directory: Path) -> set[tuple[int, int]]:
    return {(it.stat().st_uid, it.stat().st_gid) for it in directory.rglob("*")}


def test_a_run_that_root_records_leaves_nothing_that_the_service_cannot_write(state: Path) -> None:
    history = History.open(state / "history.db")
    log = RunLog(log_path(state / "logs", "7f3a"), lambda _: True, limit=100)
    with Owner(state / "recorders") as owner:
        history.begin(begun(), owner.name)
        for _ in range(10):
            log.say(20, "a line of some length")
        log.close()
        assert owners(state) == {(SOMEBODY, SOMEBODY)}
        assert len(list(state.rglob("*"))) > 6
    history.close()


def test_a_file_of_roots_elsewhere_is_not_given_away(state: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    (state / "symbolic").symlink_to(secret)
    (state / "hard").hardlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        open_private(state / "symbolic", os.O_RDWR)
    os.close(open_private(state / "hard", os.O_RDWR))
    assert secret.stat().st_uid == 0


def test_a_directory_that_is_there_stays_as_it_is(state: Path) -> None:
    kept = state / "logs"
    kept.mkdir(mode=0o750)
    make_private(kept)
    assert (kept.stat().st_uid, kept.stat().st_mode & 0o777) == (0, 0o750)
