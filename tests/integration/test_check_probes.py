"""Probes of a check on this machine: real programs, real file systems, a real storage daemon."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standby.app.checks.confinement import judge_confinement
from standby.app.checks.finding import Severity
from standby.app.checks.host_facts import probe_host
from standby.app.checks.link import probe_link
from standby.app.checks.needs import WANTED, Role, judge_programs
from standby.app.checks.storage_facts import (
    Door,
    Trial,
    probe_storage,
    refusal_of,
    try_storage,
    workshop,
)
from standby.app.checks.virtualisation import Device, probe_virtualisation
from standby.errors import CommandFailed
from standby.host.interface import Host
from standby.host.local import LocalHost
from standby.transports.speed import Direction

HELPER = Path("/usr/lib/libvirt/virt-aa-helper")
DOMAIN = """\
<domain type='qemu'>
  <name>t</name><uuid>11111111-2222-3333-4444-555555555555</uuid><memory>65536</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
    <source file='{}/web1-standby/head/vda.qcow2'/><target dev='vda'/></disk></devices>
</domain>
"""


@pytest.fixture
def host() -> Iterator[Host]:
    here = LocalHost("here")
    yield here
    here.close()


def test_this_machine_tells_who_it_is(host: Host) -> None:
    facts = probe_host(host, WANTED)
    assert facts.cpus == len(os.sched_getaffinity(0))
    assert abs(facts.ahead) <= facts.uncertain + 0.05
    assert facts.programs["qemu-img"].version >= (6, 0)
    roles = frozenset({Role.SOURCE, Role.KVM})
    assert [it.severity for it in judge_programs(facts, roles)] == [Severity.OK]


def test_a_program_that_is_nowhere_is_missing(host: Host) -> None:
    facts = probe_host(host, ["no-such-program", "ls"])
    assert facts.programs["no-such-program"].path == ""
    assert facts.programs["ls"].path


def test_a_clock_that_is_wrong_is_noticed_to_the_length_of_the_question(host: Host) -> None:
    facts = probe_host(host, [], clock=lambda: time.time() - 100)
    assert abs(facts.ahead - 100) <= facts.uncertain + 0.05


def test_a_storage_that_is_not_there_is_looked_at_where_it_would_be(
    host: Host, tmp_path: Path
) -> None:
    facts = probe_storage(host, f"{tmp_path}/not/yet", f"{tmp_path}/not/yet/web1-standby")
    assert facts.below == str(tmp_path)
    assert not facts.exists
    assert facts.standby is Door.ABSENT
    assert facts.steps[0].path == str(tmp_path)
    assert facts.steps[-1].path == "/"
    used = os.statvfs(tmp_path)
    assert facts.total == used.f_blocks * used.f_frsize
    assert not (tmp_path / "not").exists()


def test_a_file_in_the_way_is_named(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    facts = probe_storage(host, f"{tmp_path}/file/below", f"{tmp_path}/file/below/x")
    assert facts.obstacle == f"{tmp_path}/file"


def test_locks_renames_and_flushes_are_tried_and_nothing_is_left(
    host: Host, tmp_path: Path
) -> None:
    facts = probe_storage(host, str(tmp_path), f"{tmp_path}/web1-standby")
    with workshop(host, facts) as directory:
        assert Path(directory).parent == tmp_path
        trial = try_storage(host, directory)
        assert trial.broken == ()
        assert trial.refused == ""
    assert list(tmp_path.iterdir()) == []


def test_a_storage_whose_locks_do_not_hold_is_found_out(host: Host, tmp_path: Path) -> None:
    # A lock that somebody else holds looks the same to the trial as one that does not work.
    with subprocess.Popen(
        ["flock", str(tmp_path / "lock"), "sh", "-c", "echo held; read -r _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        trial = try_storage(host, str(tmp_path))
        holder.communicate()
    assert trial == Trial(broken=("flock does not work",), flush=trial.flush)


def test_an_image_that_two_may_write_is_found_out(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    unlocked = programs / "qemu-io"
    unlocked.write_text("#!/bin/sh\nhead -c 64K /dev/zero >>image\nexec sleep 10\n")
    unlocked.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    trial = try_storage(host, str(tmp_path))
    assert trial.broken == ("QEMU's locks do not keep two writers from one image",)


def test_a_writer_that_cannot_be_had_proves_nothing(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "qemu-io").write_text("#!/bin/sh\nexit 1\n")
    (programs / "qemu-io").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert try_storage(host, str(tmp_path)).broken == ()


def test_what_an_earlier_check_left_is_removed_once_it_is_old(host: Host, tmp_path: Path) -> None:
    old, fresh = tmp_path / ".standby-check.AAAAAAAA", tmp_path / ".standby-check.BBBBBBBB"
    for directory in (old, fresh):
        directory.mkdir()
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    with workshop(host, probe_storage(host, str(tmp_path), f"{tmp_path}/x")):
        assert not old.exists()
        assert fresh.exists()


def test_a_storage_that_refuses_says_why(host: Host) -> None:
    facts = probe_storage(host, "/proc", "/proc/x")
    with pytest.raises(CommandFailed) as caught, workshop(host, facts):
        pass
    assert refusal_of(caught.value) in {"No such file or directory", "Permission denied"}


@pytest.mark.parametrize("direction", Direction)
def test_the_way_of_the_data_is_measured(host: Host, direction: Direction) -> None:
    facts = probe_link(host, direction, local=True, compressed=False)
    assert facts.direction is direction
    assert facts.speed.seconds < 5
    assert facts.speed.rate > 1 << 20
    assert not list(Path("/tmp").glob("standby-check-*"))  # noqa: S108 - where it would be


def test_compression_is_not_flattered(host: Host) -> None:
    assert probe_link(host, Direction.READ, local=True, compressed=True).direction is (
        Direction.WRITE
    )


def test_the_firmware_runs_to_its_end_in_software(host: Host) -> None:
    facts = probe_virtualisation(host, "qemu-system-x86_64")
    if facts.device is not Device.OPEN:
        pytest.skip("no /dev/kvm for us: nothing is tried")
    assert facts.software is not None
    assert facts.software.status == 0
    assert facts.software.milliseconds < 6000


@pytest.mark.skipif(not HELPER.exists(), reason="needs libvirt's virt-aa-helper")
@pytest.mark.parametrize(
    "storage",
    [
        *("/srv/standby", "/var/lib/libvirt/images", "/home/ann/vms", "/opt/vms", "/data"),
        *("/usr/local/share/vms", "/etcetera", "/etc/standby", "/usr/share/vms", "/boot/vms"),
        *("/usr/lib/vms", "/usr/local/lib/vms", "/lib/vms", "/bin/vms", "/sys/vms", "/proc/vms"),
        *("/usr/local/etc/vms", "/sbin/vms", "/usr/sbin/vms", "/run/vms", "/var/vms"),
    ],
)
def test_apparmors_helper_refuses_what_we_warn_of(storage: str) -> None:
    argv = [str(HELPER), "--dryrun", "-c", "-u", "libvirt-11111111-2222-3333-4444-555555555555"]
    done = subprocess.run(
        argv, input=DOMAIN.format(storage), capture_output=True, text=True, check=False
    )
    refused = "skipped restricted file" in done.stderr
    assert refused or f"{storage}/web1-standby/head/vda.qcow2" in done.stdout + done.stderr
    (finding,) = judge_confinement("kvm1", ("apparmor",), (storage,), "", "the storage")
    assert (finding.severity is Severity.PROBLEM) is refused
