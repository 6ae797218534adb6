"""`standby run`: what it prints, what a signal leaves, and what it does beside others."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator

import pytest
from support import MIB, Protect, Protection
from support_cli import CommandLine
from support_traces import bitmaps, checkpoints, expect_no_traces

from lab.lab import Lab
from lab.waiting import wait_until

SLOW = "24mbit"
HALTING = "1mbit"
ENDS_WITHIN_S = 45.0


@pytest.fixture
def slow_link(lab: Lab) -> Iterator[Lab]:
    """A link on which 32 MiB take about ten seconds."""
    lab.throttle("kvm", SLOW)
    yield lab
    lab.throttle("kvm", None)


def fill(protection: Protection, mebibytes: int = 32) -> None:
    for number in range(mebibytes):
        protection.guest.write(number * MIB, MIB, 1 + number)


def is_writing(protection: Protection) -> bool:
    """Whether the incoming delta has grown: the transfer is under way."""
    deltas = list((protection.store / "incoming").glob("*.qcow2"))
    return any(delta.stat().st_blocks * 512 > 2 * MIB for delta in deltas)


def test_in_a_pipe_phases_are_lines_of_the_log_and_the_result_is_json(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(32 * MIB)
    protection.guest.write(0, 3 * MIB, 0x11)
    done = cli.run("run", protection.name, "--json")
    report = json.loads(done.stdout)
    assert report["outcome"] == "published"
    assert report["way"] == "seed"
    assert report["reason"] == "first copy"
    assert report["sent_bytes"] == 3 * MIB
    assert [report["point"]] == list(protection.points)
    phases = re.findall(r"profile=(\S+) phase=(.+?) seconds=", done.stderr)
    assert {name for name, _ in phases} == {protection.name}
    assert [phase for _, phase in phases] == [it["phase"] for it in report["phases"]]
    assert {"observe", "transfer", "publish"} <= {phase for _, phase in phases}
    again = cli.run("run", protection.name)
    assert f"{report['point']} (still true)" in again.stdout


def test_on_a_terminal_a_bar_is_shown_and_no_log(
    protect: Protect, cli: CommandLine, slow_link: Lab
) -> None:
    del slow_link
    protection = protect(32 * MIB)
    fill(protection, 12)
    with cli.on_terminal("run", protection.name) as terminal:
        terminal.await_text("iB/s")
        assert terminal.end() == 0
    assert "vda" in terminal.seen
    assert "boot point" in terminal.seen
    assert "phase=" not in terminal.seen


def test_verbose_logs_commands_and_qmp_traffic(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB, limit=1)
    for number in (1, 2):
        protection.guest.write(number * MIB, MIB, number)
        done = cli.run("--verbose", "run", protection.name)
    assert "DEBUG kvm: status 0 in" in done.stderr
    assert "DEBUG kvm: holding: bash" in done.stderr
    assert "vda.0002.qcow2" in done.stderr
    assert "Cipher:" not in done.stderr
    assert "block-commit" in done.stderr


def test_a_dry_run_says_what_would_be_sent_and_changes_nothing(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(32 * MIB, limit=2)
    protection.guest.write(0, 3 * MIB, 0x11)
    first = cli.json("run", protection.name, "--dry-run")
    assert (first["way"], first["reason"]) == ("seed", "first copy")
    assert first["available_bytes"] > first["needed_bytes"] > 3 * MIB
    assert not protection.store.exists()
    assert checkpoints(protection) == []
    protection.cycle()
    protection.guest.write(8 * MIB, 2 * MIB, 0x22)
    before = (protection.store / "standby.json").read_bytes()
    marks = checkpoints(protection), bitmaps(protection)
    second = cli.json("run", protection.name, "--dry-run")
    assert (second["way"], second["to_send_bytes"]) == ("incremental", 2 * MIB)
    assert "Nothing was changed." in cli.run("run", protection.name, "--dry-run").stdout
    assert (protection.store / "standby.json").read_bytes() == before
    assert (checkpoints(protection), bitmaps(protection)) == marks
    expect_no_traces(protection)


@pytest.mark.long
def test_everything_is_sent_only_when_asked_for(protect: Protect, cli: CommandLine) -> None:
    protection = protect(32 * MIB)
    protection.guest.write(0, 3 * MIB, 0x11)
    protection.cycle()
    for name in checkpoints(protection):
        protection.lab.virsh("source", "checkpoint-delete", protection.name, name)
    protection.guest.write(8 * MIB, MIB, 0x22)
    resync = cli.json("run", protection.name)
    assert (resync["way"], resync["sent_bytes"]) == ("resync", MIB)
    assert "checkpoint" in resync["reason"]
    now = protection.copy()
    full = cli.json("run", protection.name, "--full")
    assert (full["way"], full["reason"]) == ("seed", "full copy asked for")
    assert full["sent_bytes"] == 4 * MIB
    protection.kept[full["point"]] = now
    protection.expect_exact(only=full["point"])


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([signal.SIGINT], marks=pytest.mark.long),
        pytest.param([signal.SIGTERM], marks=pytest.mark.long),
        [signal.SIGINT] * 5,
    ],
)
def test_a_signal_during_a_first_copy_publishes_nothing_and_leaves_what_goes_on(
    protect: Protect, cli: CommandLine, slow_link: Lab, numbers: list[signal.Signals]
) -> None:
    protection = protect(32 * MIB)
    fill(protection)
    with cli.started("run", protection.name) as command:
        wait_until(lambda: is_writing(protection), "begin of the transfer", 60, 0.05)
        for number in numbers:
            command.send_signal(number)
        out, err = command.communicate(timeout=ENDS_WITHIN_S)
    assert command.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("standby: transfer: stopped")
    assert protection.points == ()
    assert len(cli.json("show", protection.name)["interrupted_seeds"]) == 1
    assert checkpoints(protection) == []
    slow_link.throttle("kvm", None)
    now = protection.copy()
    report = cli.json("run", protection.name)
    protection.kept[report["point"]] = now
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_second_manager_is_told_to_try_later(
    protect: Protect, cli: CommandLine, slow_link: Lab
) -> None:
    protection = protect(32 * MIB)
    fill(protection)
    with cli.started("run", protection.name) as first:
        wait_until(lambda: is_writing(protection), "begin of the transfer", 60, 0.05)
        slow_link.throttle("kvm", HALTING)  # the first must not end before the second begins
        assert "another manager works on it" in cli.fails("run", protection.name, status=75)
        slow_link.throttle("kvm", None)
        first.communicate(timeout=60)
        assert first.returncode == 0
    assert len(protection.points) == 1
    expect_no_traces(protection)


def test_what_cannot_be_reached_or_found_is_named_with_the_next_step(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    protection.configure(domain="nobody")
    said = cli.fails("run", protection.name, status=1)
    assert "domain nobody: not found on source" in said
    assert "virsh list --all" in said
    assert "write one: standby profile new nobody" in cli.fails("run", "nobody", status=2)
