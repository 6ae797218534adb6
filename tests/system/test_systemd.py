"""The unit of contrib/systemd under a real systemd: it keeps its promises and hinders nobody."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import MIB, Protect, Protection
from support_daemon import grows
from support_systemd import (
    MEMBER,
    STRANGER,
    SYSTEMD,
    Systemd,
    local_override,
    under_systemd,
)

from lab import Lab
from lab.waiting import wait_until

QUICK = {"every": "5s"}
WATCHDOG_S = 4
STOP_LIMIT_S = 8.0

pytestmark = pytest.mark.skipif(not SYSTEMD.exists(), reason="systemd is not installed here")


@pytest.fixture(scope="module")
def systemd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    place = tmp_path_factory.mktemp("systemd")
    with under_systemd(lab, place, f"WatchdogSec={WATCHDOG_S}", "RestartSec=1") as made:
        yield made


@pytest.fixture
def service(systemd: Systemd) -> Iterator[Systemd]:
    """The service, not started and without profiles."""
    yield systemd
    systemd.ctl("stop", "standby")
    systemd.does("sh", "-c", "rm -f /etc/standby/profiles/*")


def answer(systemd: Systemd, *words: str, user: str = "root") -> Any:
    command = ("standby", "--config", "/etc/standby", *words, "--json")
    return json.loads(systemd.does("env", "STANDBY_STATE=/var/lib/standby", *command, user=user))


def transfers(systemd: Systemd, protection: Protection) -> bool:
    running = answer(systemd, "watch")["running"]
    return any(it["profile"] == protection.name and it["steps"] for it in running)


def test_it_is_active_when_the_daemon_answers_and_not_before(service: Systemd) -> None:
    service.ctl("start", "--no-block", "standby")
    seen: list[str] = []

    def active() -> bool:
        seen.append(service.shows("ActiveState"))
        return seen[-1] == "active"

    wait_until(active, "the service", 30)
    # The job that starts it is queued first.
    assert list(dict.fromkeys(["inactive", *seen])) == ["inactive", "activating", "active"]
    assert answer(service, "watch")["running"] == []
    assert service.shows("StatusText") == "0 profiles"


@pytest.mark.long
def test_cycles_run_under_its_hardening_and_its_group_may_ask(
    protect: Protect, service: Systemd
) -> None:
    protection = protect(64 * MIB)
    service.protect(protection, schedule=QUICK)
    service.ctl("start", "standby")
    grows(protection, 2)
    socket = service.does("stat", "-c", "%a %U %G", "/var/lib/standby/control.sock")
    assert socket.split() == ["660", "standby", "operators"]
    assert answer(service, "watch", user=MEMBER)["pid"] == int(service.shows("MainPID"))
    assert service.run("ls", "/var/lib/standby", user=STRANGER).returncode != 0
    answer(service, "verify", protection.name)  # by root, in a process of its own
    assert service.does("find", "/var/lib/standby", "!", "-user", "standby") == ""
    assert "Traceback" not in service.said
    assert "ermitted" not in service.said, service.said


def test_a_reload_takes_in_what_changed_and_returns_when_it_holds(
    protect: Protect, service: Systemd
) -> None:
    service.ctl("start", "standby")
    before = service.shows("MainPID")
    service.protect(protect(32 * MIB))
    service.ctl("reload", "standby")
    assert service.shows("StatusText") == "1 profiles"
    service.does("sh", "-c", "echo wrong: 1 > /etc/standby/profiles/broken.yaml")
    assert service.run("systemctl", "reload", "standby").returncode != 0
    assert "profiles/broken.yaml:1" in service.said
    assert service.shows("ActiveState") == "active"
    assert service.shows("MainPID") == before


@pytest.mark.long
def test_a_daemon_that_hangs_is_ended_and_begun_anew(protect: Protect, service: Systemd) -> None:
    protection = protect(64 * MIB)
    service.protect(protection, schedule=QUICK)
    service.ctl("start", "standby")
    grows(protection)
    before = service.shows("MainPID")
    restarts = int(service.shows("NRestarts"))
    os.kill(service.main_pid, signal.SIGSTOP)
    wait_until(lambda: int(service.shows("NRestarts")) > restarts, "the watchdog", 30)
    wait_until(lambda: service.shows("ActiveState") == "active", "another daemon", 30)
    assert service.shows("MainPID") != before
    grows(protection)
    protection.expect_tidy()


@pytest.mark.long
def test_a_stop_ends_runs_in_time_and_leaves_nothing_behind(
    protect: Protect, service: Systemd
) -> None:
    protection = protect(32 * MIB)
    service.protect(protection, schedule=QUICK, transfer={"bandwidth": "1MiB/s"})
    for number in range(32):
        protection.guest.write(number * MIB, MIB, 1 + number)
    service.ctl("start", "standby")
    wait_until(lambda: transfers(service, protection), "the transfer", 60, 0.2)
    service.ctl("stop", "standby", limit=STOP_LIMIT_S * 3)
    assert service.shows("Result") == "success"
    assert service.shows("ExecMainStatus") == "0"
    assert service.run("pgrep", "--uid", "standby").stdout == ""
    left = service.does(
        "sh", "-c", "ls -A /run/standby-service /var/lib/standby/control.sock || true"
    )
    assert left == ""


def test_a_wrong_configuration_is_not_tried_again(service: Systemd) -> None:
    manager = "/etc/standby/manager.yaml"
    service.does("sh", "-c", f"cp {manager} {manager}.good; echo 'wrong: 1' >> {manager}")
    try:
        restarts = service.shows("NRestarts")
        assert service.run("systemctl", "start", "standby").returncode != 0
        assert service.shows("ActiveState") == "failed"
        assert service.shows("ExecMainStatus") == "2"
        assert service.shows("NRestarts") == restarts
        assert "manager.yaml:" in service.said
    finally:
        service.does("mv", f"{manager}.good", manager)
        service.ctl("reset-failed", "standby")


@pytest.mark.long
def test_a_manager_that_is_the_kvm_host_itself_works_with_the_units_override(
    lab: Lab, protect: Protect, tmp_path: Path
) -> None:
    protection = protect(64 * MIB, limit=2)
    with under_systemd(lab, tmp_path, *local_override(), host="kvm") as service:
        service.protect(protection, schedule=QUICK)
        service.ctl("start", "standby")
        grows(protection, 2)
        merged = protection.points[0]

        def is_merged() -> bool:
            protection.guest.write(0, 1 << 16, 0x10 + len(service.said) % 200)
            return merged not in protection.points

        wait_until(is_merged, "a merge", 30, 0.3)
        service.ctl("stop", "standby")
        assert "WARNING" not in service.said, service.said
    protection.expect_tidy()
