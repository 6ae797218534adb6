"""The systemd unit: valid, and in accord with what the daemon does."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from standby.errors import ExitStatus
from standby.profile.manager import ManagerSettings

UNIT = Path(__file__).parents[2] / "contrib/systemd/standby.service"


def values(key: str) -> list[str]:
    lines = UNIT.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/bin/standby", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if str(unit) in line]
    assert (done.returncode, ours) == (0, [])


def test_it_waits_for_longer_than_a_stop_may_take() -> None:
    limit = ManagerSettings(Path("/")).stop_limit
    assert timedelta(seconds=int(values("TimeoutStopSec")[0])) > limit


def test_on_a_source_the_guard_that_thaws_outlives_the_daemon() -> None:
    _, _, override = UNIT.read_text().partition("systemctl edit standby")
    assert "KillMode=process" in override


def test_what_trying_again_does_not_mend_is_not_tried_again() -> None:
    statuses = values("RestartPreventExitStatus")[0].split()
    wanted = {str(ExitStatus.USAGE.value), str(ExitStatus.TRY_LATER.value)}
    assert wanted <= set(statuses)


def test_the_daemon_tells_systemd_of_itself() -> None:
    assert values("Type") == ["notify"]
    assert values("ExecReload") == ["/usr/bin/standby --config /etc/standby reload"]
