"""Scripts around real cycles: on the manager, on the source's host, and in the guest itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import MIB, Protect, Protection
from support_cli import CommandLine
from support_manager import ManagerHost
from support_traces import expect_no_traces

from lab import BlockGuest, Lab, LinuxGuest
from lab.domains import DiskSpec
from lab.layout import STORAGE, HostName
from lab.testing import LinuxGuestMaker
from standby.errors import RepairScript, StandbyError
from standby.model.point import Consistency

NOTES = Path("/var/tmp/standby-test-notes")  # noqa: S108 - on the lab's hosts
NOTE = 'echo "$STANDBY_MOMENT $STANDBY_POINT $STANDBY_ERROR_TYPE" >>' + str(NOTES)


def script(text: str, place: str = "manager", **more: object) -> dict[str, object]:
    return {"place": place, "command": ["/bin/sh", "-c", text], **more}


@pytest.fixture
def notes(lab: Lab) -> Iterator[None]:
    """No script has noted anything anywhere yet."""
    yield
    for host in ("manager", "source"):
        lab.exec(host, ["rm", "-f", str(NOTES)])


def noted(protection: Protection, host: str) -> list[list[str]]:
    done = protection.lab.run(host, ["cat", str(NOTES)])
    return [line.split() for line in done.stdout.splitlines()]


def everywhere(place: str) -> dict[str, object]:
    moments = ("before_capture", "after_capture", "after_publish", "after_failure")
    return {moment: [script(NOTE, place)] for moment in moments}


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize(("place", "host"), [("manager", "manager"), ("source_host", "source")])
def test_scripts_run_in_their_place_and_are_told_of_the_point(
    protect: Protect, place: str, host: str
) -> None:
    protection = protect(16 * MIB)
    protection.configure(scripts=everywhere(place))
    protection.guest.write(0, MIB, 0x11)
    point = str(protection.cycle().point)
    moments = [["before_capture", point], ["after_capture", point], ["after_publish", point]]
    assert noted(protection, host) == moments
    protection.cycle()  # nothing changed: no point is published
    assert [words[0] for words in noted(protection, host)[3:]] == [
        "before_capture",
        "after_capture",
    ]
    expect_no_traces(protection)


@pytest.mark.usefixtures("notes")
def test_what_was_prepared_is_undone_when_the_capture_fails(protect: Protect) -> None:
    protection = protect(16 * MIB)
    protection.configure(scripts=everywhere("manager"), consistency="filesystem")  # no agent
    with pytest.raises(StandbyError, match="guest agent"):
        protection.cycle()
    assert [words[0] for words in noted(protection, "manager")] == [
        "before_capture",
        "after_capture",
        "after_failure",
    ]
    assert {words[-1] for words in noted(protection, "manager")[1:]} == {"RepairSource"}
    assert protection.points == ()
    protection.configure()
    protection.cycle()
    expect_no_traces(protection)


@pytest.mark.usefixtures("notes")
def test_a_script_that_fails_ends_the_cycle_or_does_not_as_the_profile_says(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    scripts: dict[str, object] = {
        "before_capture": [script("echo no such database >&2; exit 3")],
        "after_capture": [script(NOTE)],
        "after_failure": [script(NOTE)],
    }
    protection.configure(scripts=scripts)
    said = cli.fails("run", protection.name, status=1)
    assert "before_capture on manager" in said
    assert "ended with status 3: no such database" in said
    assert [words[0] for words in noted(protection, "manager")] == [
        "after_capture",
        "after_failure",
    ]
    assert protection.points == ()
    may_fail = script("echo no such database >&2; exit 3", on_failure="continue")
    protection.configure(scripts={**scripts, "before_capture": [may_fail]})
    done = cli.run("run", protection.name)
    assert "no such database" in done.stderr
    assert len(protection.points) == 1
    expect_no_traces(protection)


@pytest.mark.long
def test_a_script_after_the_publication_that_fails_lets_no_chain_grow(protect: Protect) -> None:
    protection = protect(16 * MIB, limit=2)
    protection.configure(limit=2, scripts={"after_publish": [script("exit 1")]})
    for number in range(4):
        protection.guest.write(number * MIB, MIB, 0x11 + number)
        with pytest.raises(RepairScript):
            protection.cycle()
    assert len(protection.points) == 2
    protection.configure(limit=2)
    protection.guest.write(8 * MIB, MIB, 0x77)
    newest = str(protection.cycle().point)
    protection.expect_exact(only=newest)
    expect_no_traces(protection)


def test_a_script_after_the_capture_that_fails_publishes_nothing(protect: Protect) -> None:
    protection = protect(16 * MIB)
    protection.configure(scripts={"after_capture": [script("exit 1")]})
    protection.guest.write(0, MIB, 0x11)
    with pytest.raises(RepairScript):
        protection.cycle()
    assert protection.points == ()
    protection.configure()
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.parametrize("place", [pytest.param("manager", marks=pytest.mark.long), "source_host"])
def test_a_script_that_hangs_prints_and_leaves_others_behind_is_contained(
    protect: Protect, cli: CommandLine, place: str
) -> None:
    protection = protect(16 * MIB)
    wild = "setsid sleep 4711 & head -c 300000000 /dev/zero | tr '\\0' x; sleep 4711"
    protection.configure(
        scripts={"before_capture": [script(wild, place, limit="8s", on_failure="continue")]}
    )
    begun = time.monotonic()
    done = cli.run("run", protection.name)
    assert time.monotonic() - begun < 60
    assert "no end within its limit of 8 s" in done.stderr
    assert len(done.stderr) < 200_000
    host = "manager" if place == "manager" else "source"
    assert "4711" not in protection.lab.exec(host, ["ps", "ax", "-o", "args"])
    assert len(protection.points) == 1


@pytest.fixture
def linux(
    make_linux_guest: LinuxGuestMaker, managers: ManagerHost, tmp_path: Path
) -> Iterator[Protection]:
    """A protected Linux machine whose agent answers."""
    guest = make_linux_guest()
    disk = DiskSpec(STORAGE[HostName.SOURCE] / f"{guest.name}-vda.qcow2")
    made = Protection(managers, BlockGuest(guest.lab, guest.host, guest.name, (disk,)), tmp_path)
    yield made
    made.remove()


@pytest.mark.long
def test_in_the_guest_scripts_run_outside_of_the_freeze_and_are_contained(
    linux: Protection, cli: CommandLine
) -> None:
    guest = LinuxGuest(linux.lab, HostName.SOURCE, linux.name)
    note = NOTE.replace(str(NOTES), "/var/log/fsfreeze-hook")
    scripts = {moment: [script(note, "guest")] for moment in ("before_capture", "after_capture")}
    linux.configure(consistency="application", scripts=scripts)
    linux.cycle()
    newest = linux.manifest.newest
    assert newest is not None
    assert newest.consistency is Consistency.APPLICATION
    words = [line.split()[0] for line in guest.exec("cat", "/var/log/fsfreeze-hook").splitlines()]
    assert words == ["before_capture", "freeze", "thaw", "after_capture"]

    # It hangs, prints, forks: nothing of it is left, and the limit holds.
    wild = "setsid sleep 4711 & head -c 50000000 /dev/zero | tr '\\0' x; sleep 4711"
    hanging = script(wild, "guest", limit="10s", on_failure="continue")
    linux.configure(consistency="application", scripts={"before_capture": [hanging]})
    done = cli.run("run", linux.name)
    assert "no end within its limit of 10 s" in done.stderr
    assert "4711" not in guest.exec("ps")

    # One that fails is told of by its last words.
    linux.configure(scripts={"before_capture": [script("echo no database; exit 4", "guest")]})
    assert "ended with status 4: no database" in cli.fails("run", linux.name, status=1)

    # The machine is off: there is nothing that a script could prepare.
    linux.configure(scripts=scripts)
    guest.shut_down()
    linux.cycle()
    expect_no_traces(linux)


def test_without_an_agent_a_script_in_the_guest_says_what_to_do(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(16 * MIB)
    protection.configure(scripts={"before_capture": [script("true", "guest")]})
    assert "guest agent" in cli.fails("run", protection.name, status=1)
    may_fail = script("true", "guest", on_failure="continue")
    protection.configure(scripts={"before_capture": [may_fail]})
    cli.run("run", protection.name)
    assert len(protection.points) == 1
