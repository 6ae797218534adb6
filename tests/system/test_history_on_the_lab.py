"""What commands do is recorded on the manager, and nothing that befalls the record stops them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import MIB, Protect, Protection
from support_cli import CommandLine

from lab.lab import Lab
from lab.waiting import wait_until

SLOW = "3mbit"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def recorded(cli: CommandLine, state: Path) -> CommandLine:
    """The command line with a state directory of its own."""
    return CommandLine(cli.managers, cli.root, {"STANDBY_STATE": str(state)})


@pytest.fixture
def slow_link(lab: Lab) -> Iterator[Lab]:
    """A link on which 32 MiB take longer than a few commands beside it."""
    lab.throttle("kvm", SLOW)
    yield lab
    lab.throttle("kvm", None)


def runs(cli: CommandLine) -> list[dict[str, Any]]:
    """All runs, oldest first."""
    found: list[dict[str, Any]] = cli.json("history", "--sort", "oldest")["runs"]
    return found


def fill(protection: Protection, mebibytes: int = 32) -> None:
    for number in range(mebibytes):
        protection.guest.write(number * MIB, MIB, 1 + number)


def is_writing(protection: Protection) -> bool:
    deltas = list((protection.store / "incoming").glob("*.qcow2"))
    return any(delta.stat().st_blocks * 512 > 2 * MIB for delta in deltas)


@pytest.mark.long
def test_what_is_done_by_hand_is_in_the_history_with_its_log_and_its_amounts(
    protect: Protect, recorded: CommandLine
) -> None:
    protection = protect(32 * MIB)
    name = protection.name
    protection.guest.write(0, 3 * MIB, 0x11)
    recorded.run("run", name)
    recorded.run("run", name)
    protection.guest.write(8 * MIB, MIB, 0x22)
    recorded.run("resync", name)
    recorded.run("verify", name)
    recorded.run("revert", name, "latest~1")
    first, second, third, verify, revert = runs(recorded)
    assert [it["kind"] for it in (first, second, third, verify, revert)] == [
        "cycle", "cycle", "resync", "verify", "revert",
    ]  # fmt: skip
    assert {(it["profile"], it["cause"]) for it in runs(recorded)} == {(name, "hand")}
    assert (first["result"], first["way"], first["reason"]) == ("published", "seed", "first copy")
    assert (first["sent_bytes"], first["read_bytes"]) == (3 * MIB, 3 * MIB)
    assert first["changed_blocks"] == 48
    assert first["stored_bytes"] >= 3 * MIB
    assert (second["result"], second["point"]) == ("still true", first["point"])
    assert (third["result"], third["sent_bytes"], third["changed_blocks"]) == ("published", MIB, 16)
    assert third["read_bytes"] >= 4 * MIB
    assert (verify["result"], revert["point"]) == ("done", first["point"])
    assert verify["read_bytes"] > 0
    assert {"observe", "capture", "transfer", "publish"} <= {it["phase"] for it in first["phases"]}
    said = recorded.run("log", first["run"]).stdout
    assert f"INFO cycle of {name} begins (hand)" in said
    assert "phase=transfer seconds=" in said
    assert f"INFO published {first['point']}" in said
    told = recorded.json("stats", name)
    assert (told["cycles"], told["good"], told["points"]) == (3, 3, 2)
    assert told["size_bytes"] == {"average": MIB / 2, "largest": float(MIB)}
    assert told["latency_seconds"]["largest"] > 0


def test_a_run_that_fails_is_in_the_history_with_the_type_of_its_error(
    protect: Protect, recorded: CommandLine
) -> None:
    protection = protect(16 * MIB)
    protection.configure(domain="nobody")
    said = recorded.fails("run", protection.name, status=1)
    (run,) = runs(recorded)
    assert (run["result"], run["error"]["type"]) == ("failed", "RepairSource")
    assert "domain nobody" in run["error"]["subject"]
    assert said in recorded.run("log", run["run"]).stdout


@pytest.mark.long
@pytest.mark.usefixtures("slow_link")
def test_a_run_by_hand_is_stopped_from_elsewhere_without_a_daemon(
    protect: Protect, recorded: CommandLine
) -> None:
    protection = protect(32 * MIB)
    fill(protection)
    with recorded.started("run", protection.name) as command:
        wait_until(lambda: is_writing(protection), "begin of the transfer", 60, 0.05)
        said = recorded.fails("pause", protection.name, status=75)
        assert f"standby cancel {protection.name}" in said
        assert "is asked to stop" in recorded.run("cancel", protection.name, "--yes").stdout
        assert command.wait(60) == 130
    assert {(it["kind"], it["result"]) for it in runs(recorded)} == {
        ("cycle", "cancelled"),
        ("pause", "busy"),
        ("cancel", "done"),
    }
    assert "no run is under way" in recorded.fails("cancel", protection.name, "--yes", status=75)
    with recorded.started("run", protection.name) as command:
        wait_until(lambda: runs(recorded)[-1]["result"] == "running", "the next run", 60, 0.2)
        assert "paused since" in recorded.run("pause", protection.name, "--cancel-run").stdout
        assert command.wait(60) == 130
    assert protection.points == ()


@pytest.mark.long
def test_a_run_is_under_way_then_lost_when_its_manager_is_killed(
    protect: Protect, recorded: CommandLine, slow_link: Lab
) -> None:
    protection = protect(32 * MIB)
    fill(protection)
    with recorded.started("run", protection.name) as command:
        wait_until(lambda: is_writing(protection), "begin of the transfer", 60, 0.05)
        (run,) = runs(recorded)
        assert (run["result"], run["ended"]) == ("running", None)
        assert "phase=capture seconds=" in recorded.run("log", run["run"]).stdout
        assert "another manager" in recorded.fails("run", protection.name, status=75)
        command.kill()
        command.wait(30)
    lost, busy = runs(recorded)
    assert (lost["run"], lost["result"], busy["result"]) == (run["run"], "lost", "busy")
    assert "phase=capture seconds=" in recorded.run("log", run["run"]).stdout
    slow_link.throttle("kvm", None)
    recorded.run("run", protection.name)
    assert [it["result"] for it in runs(recorded)] == ["lost", "busy", "published"]
    assert recorded.json("stats", protection.name)["failed"] == 1


def test_a_damaged_history_is_set_aside_and_the_run_is_recorded(
    protect: Protect, recorded: CommandLine, state: Path
) -> None:
    protection = protect(16 * MIB)
    state.mkdir()
    (state / "history.db").write_bytes(b"no database" * 10_000)
    recorded.run("run", protection.name)
    assert len(protection.points) == 1
    assert [it["result"] for it in runs(recorded)] == ["published"]
    (kept,) = state.glob("history-damaged-*.db")
    assert kept.read_bytes() == b"no database" * 10_000
    assert str(kept) in recorded.run("history").stderr


def test_where_nothing_can_be_recorded_runs_are_done_all_the_same(
    protect: Protect, recorded: CommandLine, state: Path
) -> None:
    protection = protect(16 * MIB)
    state.write_text("a file where the directory should be")
    done = recorded.run("run", protection.name, "--json")
    assert json.loads(done.stdout)["outcome"] == "published"
    assert "runs are not recorded, and go on" in done.stderr
    assert len(protection.points) == 1


def test_a_history_deleted_between_runs_enables_and_stops_nothing(
    protect: Protect, recorded: CommandLine, state: Path
) -> None:
    protection = protect(16 * MIB)
    recorded.run("run", protection.name)
    for file in state.glob("history*"):
        file.unlink()
    protection.guest.write(0, MIB, 0x11)
    recorded.run("run", protection.name)
    assert len(protection.points) == 2
    assert [it["way"] for it in runs(recorded)] == ["incremental"]
