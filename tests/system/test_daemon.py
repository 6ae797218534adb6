"""`standby serve`: machines are protected by themselves, whatever happens to the daemon."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import MIB, Protect
from support_daemon import Served, grows, served
from support_manager import ManagerHost
from support_traces import expect_no_traces

from lab.waiting import wait_until

QUICK = {"every": "5s"}


@pytest.fixture
def daemon(managers: ManagerHost, tmp_path: Path) -> Iterator[Served]:
    with served(managers, tmp_path) as made:
        yield made


def test_a_machine_is_protected_by_itself_and_a_killed_daemon_costs_only_its_run(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(64 * MIB)
    daemon.protect(protection, schedule=QUICK)
    daemon.start()
    grows(protection, 3)
    daemon.kill()
    before = protection.points
    daemon.start()
    grows(protection, 2)
    assert set(before) <= set(protection.points)
    assert daemon.stop() == 0
    now = protection.copy()
    report = daemon.cli.json("run", protection.name)  # by itself: no daemon is there
    protection.kept[report["point"]] = now
    protection.expect_exact(only=report["point"])
    expect_no_traces(protection)
    assert "Traceback" not in daemon.said


def test_a_second_daemon_refuses_and_names_the_first(daemon: Served) -> None:
    daemon.start()
    pid = daemon.live().pid
    said = daemon.cli.fails("serve", status=75)
    assert f"process {pid}" in said
    assert str(daemon.root) in said
    assert daemon.stop(signal.SIGINT) == 0
    assert not (daemon.state / "control.sock").exists()


def test_the_command_line_has_the_daemon_run_and_shows_it(protect: Protect, daemon: Served) -> None:
    protection = protect(32 * MIB)
    daemon.protect(protection)
    daemon.start()
    protection.guest.write(0, 3 * MIB, 0x11)
    done = daemon.cli.run("run", protection.name)
    assert "(published)" in done.stdout
    assert "phase=transfer" in done.stderr
    assert f"profile={protection.name}" in daemon.said
    resync = daemon.cli.json("resync", protection.name)
    assert resync["way"] == "resync"
    assert daemon.cli.json("run", protection.name, "--dry-run")["way"] == "incremental"
    protection.configure(domain="nobody")
    daemon.protect(protection)
    said = daemon.cli.fails("run", protection.name, status=1)
    assert "domain nobody: not found on source" in said


def test_a_run_is_cancelled_by_the_command_or_by_the_ctrl_c_of_whoever_follows_it(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(32 * MIB)
    daemon.protect(protection, transfer={"bandwidth": "1MiB/s"})
    daemon.start()
    for number in range(32):
        protection.guest.write(number * MIB, MIB, 1 + number)
    for stop in ("cancel", "interrupt"):
        with daemon.cli.started("run", protection.name) as command:
            wait_until(lambda: _moves(daemon), "the transfer", 60, 0.2)
            assert "is under way" in daemon.cli.fails("run", protection.name, status=75)
            if stop == "cancel":
                daemon.cli.run("cancel", protection.name, "--yes")
            else:
                command.send_signal(signal.SIGINT)
            _, err = command.communicate(timeout=60)
        assert command.returncode == 130, err
    assert protection.points == ()
    runs = daemon.cli.json("history", protection.name, "--result", "cancelled")["runs"]
    assert len(runs) == 2
    assert runs[-1]["sent_bytes"] > 0  # the newest is first; it finds there what this one sent
    assert all(0 < run["read_bytes"] >= run["sent_bytes"] for run in runs)
    assert "no run is under way" in daemon.cli.fails("cancel", protection.name, "--yes", status=75)


def _moves(daemon: Served) -> bool:
    return any(step.done for run in daemon.live().running for step in run.steps)


def _steps(daemon: Served) -> list[str]:
    return [step.what for run in daemon.live().running for step in run.steps]


def test_a_pause_holds_the_daemon_and_those_after_it(protect: Protect, daemon: Served) -> None:
    protection = protect(64 * MIB)
    daemon.protect(protection, schedule=QUICK)
    daemon.start()
    grows(protection)
    daemon.cli.run("pause", protection.name, "--reason", "the storage is moved", "--wait")
    assert "the storage is moved" in daemon.cli.run("show", protection.name).stdout
    points = protection.points
    daemon.kill()
    daemon.start()
    protection.guest.write(0, MIB, 0x77)
    done = daemon.cli.run_when_free("run", protection.name, "--json")  # by hand it works
    report = json.loads(done.stdout)
    assert len(protection.points) == len(points) + 1
    assert any("paused" in warning for warning in report["warnings"])
    assert "resumed" in daemon.cli.run("resume", protection.name).stdout
    grows(protection)


@pytest.mark.long
def test_a_first_copy_that_takes_long_is_paused_at_once_and_nothing_follows_it(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(32 * MIB)
    daemon.protect(protection, schedule=QUICK, transfer={"bandwidth": "1MiB/s"})
    for number in range(32):
        protection.guest.write(number * MIB, MIB, 1 + number)
    daemon.start()
    wait_until(lambda: bool(_steps(daemon)), "the transfer", 60, 0.2)
    (run,) = daemon.live().running
    assert daemon.cli.json("pause", protection.name)["after_run"] == run.id
    assert "then paused" in daemon.cli.run("list", protection.name).stdout
    assert "pausing after this run" in daemon.cli.run("watch").stdout
    daemon.kill()  # what was promised is kept by the next one
    daemon.start()
    wait_until(lambda: daemon.live().outlooks[0].then is None, "the pause", 60, 0.2)
    assert daemon.cli.json("show", protection.name)["state"] == "paused"
    daemon.cli.run("resume", protection.name)
    wait_until(lambda: bool(_steps(daemon)), "the copy that goes on", 60, 0.2)
    daemon.cli.run("pause", protection.name, "--cancel-run", "--wait")
    assert daemon.live().running == ()
    assert daemon.cli.json("show", protection.name)["state"] == "paused"


@pytest.mark.long
def test_changed_profiles_are_taken_in_and_a_bad_one_keeps_the_old(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(64 * MIB)
    daemon.protect(protection)
    daemon.start()
    assert daemon.live().outlooks[0].next_run is None
    daemon.protect(protection, schedule=QUICK)
    grows(protection)
    daemon.protect(protection, schedule={"every": "1s"})
    wait_until(lambda: bool(daemon.live().broken), "the report of the mistake", 30)
    assert daemon.live().broken[0].keeps_older
    grows(protection)
    assert "every" in daemon.cli.fails("run", protection.name, status=2)
    profiles, away = daemon.root / "profiles", daemon.root / "away"
    profiles.rename(away)
    wait_until(lambda: bool(daemon.live().problems), "the report of the loss", 30)
    grows(protection)
    away.rename(profiles)
    wait_until(lambda: not daemon.live().problems, "the end of the report", 30)
    daemon.forget(protection)
    wait_until(lambda: daemon.live().outlooks == (), "the end of the profile", 30)
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.said


@pytest.mark.long
def test_what_happens_is_heard_also_after_libvirt_was_away(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(32 * MIB)
    daemon.protect(protection, schedule={"on_event": ["shutdown"]})
    daemon.start()
    daemon.cli.run("run", protection.name)
    protection.lab.kill_service("source", "libvirtd")
    wait_until(lambda: "is not heard" in daemon.said, "the notice of the loss", 60)
    protection.lab.restart_service("source", "libvirtd")
    protection.guest.write(8 * MIB, MIB, 0x22)
    protection.guest.destroy()
    wait_until(lambda: len(protection.points) == 2, "the final boot point", 90)


@pytest.mark.long
def test_whoever_follows_a_run_on_a_terminal_is_asked_whether_ctrl_c_stops_it(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(32 * MIB)
    daemon.protect(protection, transfer={"bandwidth": "1MiB/s"})
    daemon.start()
    for number in range(32):
        protection.guest.write(number * MIB, MIB, 1 + number)
    with daemon.cli.on_terminal("run", protection.name) as terminal:
        terminal.await_text("iB/s")
        terminal.type("\x03")
        terminal.await_text("Stop it?")
        terminal.type("n\n")
        assert terminal.end() == 130
    assert "goes on in the daemon" in terminal.seen
    assert daemon.live().running
    with daemon.cli.on_terminal("watch") as terminal:
        terminal.await_text(protection.name)
        terminal.await_text("vda")
        terminal.type("\x03")
        assert terminal.end() == 130
    daemon.cli.run("cancel", protection.name, "--yes")
    wait_until(lambda: not daemon.live().running, "its end", 60)


def test_the_final_state_of_a_machine_that_was_shut_down_is_captured(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(32 * MIB)
    daemon.protect(protection, schedule={"on_event": ["shutdown"]})
    daemon.start()
    protection.guest.write(0, 3 * MIB, 0x11)
    daemon.cli.run("run", protection.name)
    assert len(protection.points) == 1
    protection.guest.write(8 * MIB, MIB, 0x22)
    protection.write("vda", "flush")
    protection.lab.virsh("source", "destroy", protection.guest.name)
    wait_until(lambda: len(protection.points) == 2, "the final boot point", 60)
    wait_until(lambda: not daemon.live().running, "its end", 60)
    protection.kept[protection.points[-1]] = protection.copy()
    protection.expect_exact(only=protection.points[-1])


@pytest.mark.long
def test_a_machine_that_was_shut_down_while_no_daemon_ran_is_captured_by_the_next_one(
    protect: Protect, daemon: Served
) -> None:
    protection = protect(32 * MIB)
    daemon.protect(protection, schedule={"on_event": ["shutdown"]})
    daemon.start()
    protection.guest.write(0, 3 * MIB, 0x11)
    daemon.cli.run("run", protection.name)
    memory = daemon.state / "followed.json"
    wait_until(lambda: '"power": "on"' in memory.read_text(), "a look", 60)
    daemon.kill()
    protection.guest.write(8 * MIB, MIB, 0x22)
    protection.write("vda", "flush")
    protection.lab.virsh("source", "destroy", protection.guest.name)
    daemon.start()
    wait_until(lambda: len(protection.points) == 2, "the final boot point", 60)
    wait_until(lambda: not daemon.live().running, "its end", 60)
    (run, *_) = daemon.cli.json("history", protection.name)["runs"]
    assert (run["cause"], run["result"]) == ("event", "published")
    protection.kept[protection.points[-1]] = protection.copy()
    protection.expect_exact(only=protection.points[-1])


@pytest.mark.long
def test_runs_that_go_on_at_once_speak_each_in_a_log_of_its_own(
    protect: Protect, daemon: Served
) -> None:
    both = (protect(32 * MIB), protect(32 * MIB))
    for protection in both:
        daemon.protect(protection, transfer={"bandwidth": "2MiB/s"})
        for number in range(16):
            protection.guest.write(number * MIB, MIB, 1 + number)
    daemon.start()
    with (
        daemon.cli.started("run", both[0].name) as one,
        daemon.cli.started("run", both[1].name) as other,
    ):
        wait_until(lambda: len(_steps(daemon)) == 2, "two transfers at once", 60, 0.1)
        assert [command.wait(90) for command in (one, other)] == [0, 0]
    for mine, others in (both, both[::-1]):
        (run,) = daemon.cli.json("history", mine.name)["runs"]
        said = daemon.cli.run("log", run["run"]).stdout
        assert f"profile={mine.name} phase=publish" in said
        assert others.name not in said
