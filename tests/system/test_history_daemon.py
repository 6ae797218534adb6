"""A daemon whose history is deleted, damaged or cannot be written: protection goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import MIB, Protect
from support_daemon import Served, grows, served
from support_manager import ManagerHost

from lab.waiting import wait_until

QUICK = {"every": "5s"}


@pytest.fixture
def daemon(managers: ManagerHost, tmp_path: Path) -> Iterator[Served]:
    with served(managers, tmp_path) as made:
        yield made


def seen(daemon: Served) -> dict[str, Any]:
    found: dict[str, Any] = daemon.cli.json("history", "--sort", "oldest")
    return found


def points_of(history: dict[str, Any]) -> set[str]:
    return {run["point"] for run in history["runs"] if run["result"] == "published"}


@pytest.mark.long
def test_protection_goes_on_whatever_becomes_of_the_history_and_what_is_missing_is_said(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(64 * MIB)
    database = daemon.state / "history.db"
    daemon.protect(protection, schedule=QUICK)
    daemon.start()
    grows(protection, 2)
    daemon.cli.run("verify", protection.name)  # another process writes to the same database
    kinds = {run["kind"] for run in seen(daemon)["runs"]}
    assert kinds == {"cycle", "verify"}

    for file in daemon.state.glob("history*"):
        file.unlink()
    grows(protection)
    wait_until(lambda: bool(points_of(seen(daemon))), "runs in a new history", 60, 2)
    assert seen(daemon)["missing"] == []

    garbage = daemon.state / "garbage"
    garbage.write_bytes(os.urandom(1 << 16))
    garbage.rename(database)
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    grows(protection)
    wait_until(lambda: bool(points_of(seen(daemon))), "runs after the damage", 60, 2)
    (gap,) = seen(daemon)["missing"]
    assert "damaged" in gap["why"]
    assert len(list(daemon.state.glob("history-damaged-*.db"))) == 1

    for file in daemon.state.glob("history.db*"):
        file.unlink()
    database.mkdir()
    before = set(protection.points)
    wait_until(lambda: any("not recorded" in it for it in daemon.live().problems), "trouble", 60, 1)
    grows(protection, 2)
    unrecorded = set(protection.points) - before
    database.rmdir()
    grows(protection)
    wait_until(lambda: unrecorded <= points_of(seen(daemon)), "what was kept in memory", 60, 2)
    assert daemon.live().problems == ()
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.said
    assert daemon.said.count("runs are not recorded, and go on") <= 2
