"""A lab begins from nothing, ends in nothing, and touches nothing else in between."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import CommandFailed, Lab, NotUp
from lab.hosts import running
from lab.layout import CHECKOUT
from lab.processes import ProcessRecord
from lab.waiting import wait_until

SMALL = 256 << 20


@pytest.fixture
def other() -> Iterator[Lab]:
    """A second lab beside the session's, not yet up; removed afterwards."""
    made = Lab(f"t{os.getpid()}b")
    yield made
    made.down()


def loop_files() -> set[str]:
    return {path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")}


def inits(lab: Lab) -> list[ProcessRecord]:
    found = [ProcessRecord.load(path) for path in lab.layout.records.glob("*.json")]
    return [record for record in found if record is not None]


def test_two_labs_run_side_by_side_with_the_same_addresses(lab: Lab, other: Lab) -> None:
    other.up(storage_bytes=SMALL)
    for each in (lab, other):
        each.exec("kvm", ["sh", "-c", f"echo {each.name} >/srv/standby/whose"])
    for each in (lab, other):
        told = each.exec("manager", ["ssh", "kvm", "cat /srv/standby/whose; hostname -I"])
        assert told.split()[:2] == [each.name, "10.77.0.12"]
    assert lab.exec("kvm", ["rm", "-v", "/srv/standby/whose"])


def test_down_leaves_no_process_no_loop_device_and_no_file(other: Lab) -> None:
    other.up(storage_bytes=SMALL)
    guest = other.block_guest("left-running", 1 << 20, 1 << 20, kinds=("qcow2", "block"))
    guest.start()
    records = inits(other)
    inside = _sharing_pids(records)
    assert len(records) == 4
    assert len(inside) > 8
    other.down()
    assert not any(record.alive for record in records)
    assert not [process for process in inside if process.alive]
    assert not [name for name in loop_files() if f"/{other.name}/" in name]
    assert not other.layout.directory.exists()


def _sharing_pids(records: list[ProcessRecord]) -> list[ProcessRecord]:
    spaces = {_pid_space(record.pid) for record in records}
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    found = [ProcessRecord.of(pid) for pid in pids if _pid_space(pid) in spaces]
    return [record for record in found if record is not None]


def _pid_space(pid: int) -> Path:
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink()
    except (FileNotFoundError, PermissionError):
        return Path(str(pid))


def test_down_of_a_lab_that_does_not_exist_is_no_error(other: Lab) -> None:
    other.down()
    with pytest.raises(NotUp):
        other.exec("kvm", ["true"])


@pytest.mark.parametrize("built", [1, 3, 4])
def test_up_clears_what_a_killed_up_left_half_built(other: Lab, built: int) -> None:
    command = [sys.executable, "-m", "lab", "--name", other.name, "up", "--storage-gib", "0.25"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL) as first:
        wait_until(lambda: len(inits(other)) >= built, "some hosts", 30, 0.001)
        first.send_signal(signal.SIGKILL)
    other.up(storage_bytes=SMALL)
    assert all(running(other.layout).values())
    other.exec("manager", ["ssh", "kvm", "true"])
    _assert_only_these_inits(other)


def _assert_only_these_inits(lab: Lab) -> None:
    """Every process that holds the lab's directory mounted belongs to the lab's present hosts."""
    spaces = {Path(f"/proc/{record.pid}/ns/mnt").readlink() for record in inits(lab)}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                mounts = (entry / "mountinfo").read_text()
                space = (entry / "ns/mnt").readlink()
            except OSError:
                continue
            if f"/{lab.name}/" in mounts:
                assert space in spaces, entry.name


def test_a_lab_ends_with_the_process_it_is_tied_to(other: Lab) -> None:
    with subprocess.Popen(["sleep", "600"]) as parent:
        other.up(storage_bytes=SMALL, with_parent=parent.pid)
        records = inits(other)
        parent.kill()
    wait_until(lambda: not any(record.alive for record in records), "end of the lab", 10)
    assert len(records) == 4


def test_the_next_lab_removes_what_is_left_of_one_whose_process_died(other: Lab) -> None:
    orphan = Lab(f"t{os.getpid()}c")
    with subprocess.Popen(["sleep", "600"]) as parent:
        orphan.up(storage_bytes=SMALL, with_parent=parent.pid)
        parent.kill()
    other.up(storage_bytes=SMALL)
    assert not orphan.layout.directory.exists()


def _machine() -> dict[str, object]:
    """Return what of the machine itself a lab must never change."""
    roots = ("/etc", "/srv", "/var/lib/libvirt", "/var/log/libvirt", str(Path.home() / ".ssh"))
    files = [path for root in roots for path in [Path(root), *Path(root).rglob("*")]]
    links = subprocess.run(["ip", "-o", "link"], check=True, capture_output=True, text=True)
    return {
        "files": {str(path): _fingerprint(path) for path in files if path.exists()},
        "links": links.stdout,
        "mounts": Path("/proc/self/mounts").read_text(),
        "host name": os.uname().nodename,
        "devices": {str(path): path.stat().st_uid for path in Path("/dev").glob("*m*")},
    }


def _fingerprint(path: Path) -> tuple[int, int, int, int]:
    found = path.lstat()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_uid


def test_nothing_of_the_machine_itself_changes(other: Lab) -> None:
    before = _machine()
    other.up(storage_bytes=SMALL)
    guest = other.block_guest("busy", 16 << 20)
    guest.start()
    other.exec("manager", ["virsh", "-c", "qemu+ssh://standby@source/system", "list"])
    during = _machine()
    other.crash("source")
    other.start("source")
    other.down()
    assert during == before
    assert _machine() == before


def test_a_host_cannot_write_to_the_machine_below(lab: Lab) -> None:
    with pytest.raises(CommandFailed, match="Read-only"):
        lab.exec("kvm", ["touch", "/usr/touched"])
