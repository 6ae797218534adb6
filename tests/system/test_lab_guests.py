"""The lab's guests: exact ones without a system, and a real Linux."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from lab import BlockGuest, Lab, LabError, LinuxGuest
from lab.guest import guest_key
from lab.testing import BlockGuestMaker, LinuxGuestMaker

KIB = 1 << 10
MIB = 1 << 20
ANSWER_SECONDS = 15


def test_what_is_written_through_the_guest_is_what_a_snapshot_shows(
    lab: Lab, make_block_guest: BlockGuestMaker
) -> None:
    guest = make_block_guest(MIB, 2 * MIB, kinds=("qcow2", "raw"))
    guest.write(0, MIB, 0xAA)
    guest.write_zeroes(64 * KIB, 512)
    guest.write_zeroes(128 * KIB, 64 * KIB, unmap=True)
    guest.write(MIB, 4 * KIB, 0xBB, disk=1)
    first, second = (
        lab.path("source", path).read_bytes()
        for path in guest.snapshot(Path("/srv/vms/seen"), label="now")
    )
    expected = bytearray(b"\xaa" * MIB)
    expected[64 * KIB : 64 * KIB + 512] = bytes(512)
    expected[128 * KIB : 192 * KIB] = bytes(64 * KIB)
    assert first == bytes(expected)
    assert second == bytes(MIB) + b"\xbb" * 4 * KIB + bytes(MIB - 4 * KIB)
    lab.exec("source", ["rm", "-r", "/srv/vms/seen"])


def test_a_discarded_cluster_reads_as_zeroes(block_guest: BlockGuest) -> None:
    block_guest.write(0, MIB, 0xAA)
    block_guest.discard(64 * KIB, 64 * KIB)
    block_guest.expect(64 * KIB, 64 * KIB, 0)
    block_guest.expect(128 * KIB, 64 * KIB, 0xAA)


def test_a_guest_can_have_a_block_device(lab: Lab, make_block_guest: BlockGuestMaker) -> None:
    guest = make_block_guest(MIB, kinds=("block",))
    guest.write(0, MIB, 0x77)
    (seen,) = guest.snapshot(Path("/srv/vms/seen"), label="now")
    assert lab.path("source", seen).read_bytes() == b"\x77" * MIB
    assert "block" in lab.virsh("source", "domblklist", "--details", guest.name)
    lab.exec("source", ["rm", "-r", "/srv/vms/seen"])


def test_a_failing_request_raises_what_qemu_said(block_guest: BlockGuest) -> None:
    with pytest.raises(LabError, match="Input/output error"):
        block_guest.write(1 << 40, 512, 1)
    with pytest.raises(LabError, match="Pattern verification failed"):
        block_guest.expect(0, 512, 1)
    block_guest.write(0, 512, 1)
    block_guest.expect(0, 512, 1)


def test_many_requests_go_in_one_call_in_order(block_guest: BlockGuest) -> None:
    block_guest.qemu_io(*(f"write -P {value} 0 4096" for value in range(1, 101)))
    block_guest.expect(0, 4096, 100)


@pytest.mark.long
@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_the_real_guest_answers_within_fifteen_seconds_of_processor_time(
    lab: Lab, make_linux_guest: LinuxGuestMaker, machine: str
) -> None:
    guest = make_linux_guest(machine=machine)
    pid = lab.exec("source", ["cat", f"/run/libvirt/qemu/{guest.name}.pid"]).strip()
    used = lab.exec("source", ["cat", f"/proc/{pid}/stat"]).rpartition(")")[2].split()[11:13]
    assert sum(map(int, used)) < ANSWER_SECONDS * os.sysconf("SC_CLK_TCK")


@pytest.mark.long
def test_the_real_guest_keeps_files_runs_commands_freezes_and_ends(
    lab: Lab, linux_guest: LinuxGuest
) -> None:
    content = bytes(range(256)) * 1000
    linux_guest.write_file("/data/some file", content)
    assert linux_guest.read_file("/data/some file") == content
    assert linux_guest.files("/data") == {"some file": hashlib.sha256(content).hexdigest()}
    assert linux_guest.run(["sh", "-c", "echo no >&2; exit 7"]).returncode == 7
    assert linux_guest.agent("guest-fsfreeze-freeze") == 1
    assert linux_guest.agent("guest-fsfreeze-thaw") == 1
    assert linux_guest.exec("cat", "/var/log/fsfreeze-hook").split() == ["freeze", "thaw"]
    _log_in_by_ssh(lab, linux_guest)
    linux_guest.shut_down()
    linux_guest.start()
    linux_guest.wait_for_agent()
    assert linux_guest.files("/data") == {"some file": hashlib.sha256(content).hexdigest()}


def _log_in_by_ssh(lab: Lab, guest: LinuxGuest) -> None:
    key = lab.home / ".ssh" / "guest"
    shutil.copy(guest_key(), key)
    options = ["-o", "StrictHostKeyChecking=accept-new", "-i", str(key)]
    login = ["ssh", *options, f"root@{guest.address()}", "hostname"]
    assert lab.exec("manager", login).strip() == "guest"
    lab.trust_host_keys()
