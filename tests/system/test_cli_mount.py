"""`standby mount`: a boot point within reach, byte for byte, and nothing left when it ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import MIB, Protect, Protection
from support_cli import CommandLine, cycles
from support_traces import expect_no_traces, processes

from lab.entering import HostProcess
from lab.waiting import wait_until

SIZES = (16 * MIB, 8 * MIB)
ENDS_WITHIN_S = 45.0


class Mount:
    """A command that serves a point, and what it said."""

    def __init__(self, process: HostProcess) -> None:
        self.process = process
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        text = ""
        for line in lines:
            text += line
            if line == "}\n":
                break
        self.told = json.loads(text)
        self.uris = {disk["disk"]: disk["uri"] for disk in self.told["disks"]}

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(ENDS_WITHIN_S)


@contextmanager
def mounted(cli: CommandLine, *words: str) -> Iterator[Mount]:
    with cli.started("mount", *words, "--json") as process:
        yield Mount(process)


def copied(cli: CommandLine, uri: str) -> Path:
    """Copy a disk from its address, as a user of the manager would."""
    copy = cli.lab.home / "copy.raw"
    copy.unlink(missing_ok=True)
    cli.lab.exec("manager", ["nbdcopy", uri, str(copy)])
    return copy


def pidfiles(protection: Protection) -> list[str]:
    return [path.name for path in (protection.store / "run").iterdir()]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_every_disk_of_a_point_is_read_as_it_was_and_the_end_leaves_nothing(
    protect: Protect, cli: CommandLine, number: signal.Signals
) -> None:
    protection = protect(*SIZES)
    first, _ = cycles(protection, 2)
    with mounted(cli, protection.name, first) as mount:
        assert mount.told["point"] == first
        assert set(mount.uris) == {"vda", "vdb"}
        for disk, content in protection.kept[first].items():
            assert copied(cli, mount.uris[disk]).read_bytes() == content.read_bytes()
        assert mount.end(number) == 0
    assert pidfiles(protection) == []
    expect_no_traces(protection)


def test_nobody_can_write_to_a_point_that_is_served(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 1)
    with mounted(cli, protection.name, "latest") as mount:
        size = cli.lab.exec("manager", ["nbdinfo", mount.uris["vda"]])
        assert "is_read_only: true" in size
    protection.expect_exact()


@pytest.mark.long
def test_merges_below_wait_while_a_point_is_served_and_go_on_afterwards(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(24 * MIB, limit=2)
    first, second = cycles(protection, 2)
    with mounted(cli, protection.name, second) as mount:
        made = cycles(protection, 2, first=4)
        assert protection.points == (first, second, made[-1])  # only a pair above was merged
        protection.expect_exact()
        shown = cli.run("show", protection.name).stdout
        assert f"stands on {second}; merges at or below it wait" in shown
        content = protection.kept[second]["vda"].read_bytes()
        assert copied(cli, mount.uris["vda"]).read_bytes() == content
        assert mount.end() == 0
    newest = cycles(protection, 1, first=8)
    assert protection.points == (made[-1], *newest)
    protection.expect_exact()
    expect_no_traces(protection)


def test_a_disk_appears_as_a_file_of_the_manager(protect: Protect, cli: CommandLine) -> None:
    protection = protect(*SIZES)
    (point,) = cycles(protection, 1)
    place = cli.lab.home / "lost-file"
    with mounted(cli, protection.name, point, str(place), "--disk", "vdb") as mount:
        assert mount.told["directory"] == str(place)
        seen = cli.lab.path("manager", place / "vdb.raw")
        assert seen.read_bytes() == protection.kept[point]["vdb"].read_bytes()
        assert mount.end(signal.SIGTERM) == 0
    assert not place.exists()
    expect_no_traces(protection)


def test_a_directory_that_is_not_empty_is_left_alone(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 1)
    said = cli.fails("mount", protection.name, "latest", str(cli.lab.home), status=2)
    assert "not empty" in said
    assert pidfiles(protection) == []


def test_a_disk_that_the_point_lacks_is_wrong_usage(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 1)
    said = cli.fails("mount", protection.name, "latest", "--disk", "vdz", status=2)
    assert "one of vda" in said


def test_a_killed_command_leaves_no_export(protect: Protect, cli: CommandLine) -> None:
    protection = protect(16 * MIB)
    cycles(protection, 1)
    with mounted(cli, protection.name, "latest") as mount:
        assert len(pidfiles(protection)) == 2
        mount.end(signal.SIGKILL)
    wait_until(lambda: pidfiles(protection) == [], "end of the export", ENDS_WITHIN_S)
    assert processes(cli.lab, "kvm") == []


def test_what_a_crash_of_the_kvm_host_leaves_of_an_export_holds_no_merge_up(
    protect: Protect,
) -> None:
    protection = protect(24 * MIB, limit=2)
    first, second = cycles(protection, 2)
    # No process of any host has this pid: it is above the largest that Linux gives out.
    stale = protection.store / f"run/mount-{second}.0123abcd.pid"
    stale.write_text("4194305\n")
    newest = cycles(protection, 1, first=4)
    assert protection.points == (second, *newest)
    assert not stale.exists()
    assert first not in protection.points
    protection.expect_exact()
