"""A storage daemon on a host, as those who read and write images use it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from standby.host.local import LocalHost
from standby.host.storage_daemon import DaemonSettings, storage_daemon
from standby.model.priority import GIVES_WAY, NO_PRIORITY, Priority


@pytest.mark.parametrize(
    ("priority", "nice", "scheduling"),
    [(NO_PRIORITY, 0, ("none", "best-effort")), (GIVES_WAY, 19, ("idle",))],
)
def test_a_daemon_of_low_priority_takes_what_others_leave(
    tmp_path: Path, priority: Priority, nice: int, scheduling: tuple[str, ...]
) -> None:
    pidfile = tmp_path / "daemon.pid"
    with storage_daemon(LocalHost("kvm"), DaemonSettings(str(pidfile), (), (), priority)):
        pid = int(pidfile.read_text())
        said = subprocess.run(["ionice", "-p", str(pid)], check=True, capture_output=True)
        assert os.getpriority(os.PRIO_PROCESS, pid) == max(nice, os.getpriority(0, 0))
        assert said.stdout.decode().startswith(scheduling)
