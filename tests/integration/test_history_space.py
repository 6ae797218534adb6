"""Disks that are full, or that nobody may write to: runs go on, and the history says so later."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from standby.app.recording import Recording
from standby.app.session import WallClock
from standby.app.state import StateDirectory
from standby.history.run_log import log_path, read_log
from standby.model.run import RunKind, RunResult
from standby.profile import Profile

log = logging.getLogger("standby.cycle")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
pytestmark = needs_root


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def profile() -> Profile:
    host = SimpleNamespace(name="kvm1")
    kept = SimpleNamespace(keep=None)
    made = SimpleNamespace(name="web1", source_host=host, target_host=host, history=kept)
    return cast("Profile", made)


def fill(place: Path) -> Path:
    """Leave no room at all."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


def test_runs_go_on_while_the_disk_is_full_and_are_recorded_when_there_is_room(
    small: Path, profile: Profile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "standby")
    with Recording(StateDirectory(small / "state"), WallClock()) as recording:
        with recording.run(profile, RunKind.CYCLE) as before:
            log.info("with room")
        ballast = fill(small)
        runs = []
        for _ in range(3):
            with recording.run(profile, RunKind.CYCLE) as during:
                log.info("without")
            runs.append(during.run)
        assert "full" in recording.trouble or "I/O" in recording.trouble
        assert all(run.result is RunResult.DONE for run in runs)
        ballast.unlink()
        with recording.run(profile, RunKind.CYCLE) as after:
            log.info("with room again")
        assert recording.trouble == ""
        kept = {run.id for run in recording.history.runs().runs}
        assert kept == {before.run.id, after.run.id, *(run.id for run in runs)}
        assert list(small.glob("state/*damaged*")) == []
        path = log_path(recording.state.logs, after.run.id)
        assert any("with room again" in line for line in read_log(path))
    assert caplog.text.count("runs are not recorded") == 1
    assert "lines of the log" in caplog.text


def test_a_disk_that_is_full_from_the_beginning_stops_nothing(
    small: Path, profile: Profile
) -> None:
    fill(small)
    with Recording(StateDirectory(small / "state"), WallClock()) as recording:
        with recording.run(profile, RunKind.CYCLE) as recorder:
            pass
        assert recorder.run.result is RunResult.DONE
        assert recording.trouble


def test_a_history_that_becomes_read_only_stops_nothing(small: Path, profile: Profile) -> None:
    with Recording(StateDirectory(small / "state"), WallClock()) as recording:
        with recording.run(profile, RunKind.CYCLE):
            pass
        recording.history.close()
        state = str(small / "state")
        subprocess.run(["mount", "--bind", state, state], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", state], check=True)
        with recording.run(profile, RunKind.CYCLE) as recorder:
            pass
        assert recorder.run.result is RunResult.DONE
        assert recording.trouble
        subprocess.run(["umount", state], check=True)
        with recording.run(profile, RunKind.CYCLE):
            pass
        assert recording.trouble == ""
        assert len(recording.history.runs().runs) == 3
