"""Every kind of bad luck the lab can make happens as promised, and can be undone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import BlockGuest, CommandFailed, Lab

MIB = 1 << 20
SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2")


@pytest.fixture
def whole(lab: Lab) -> Iterator[Lab]:
    """The lab, with everything that these tests break undone afterwards."""
    yield lab
    for host in ("source", "kvm"):
        lab.restore(host)
        lab.throttle(host, None)
        lab.unfill(host)
    lab.trust_host_keys()


def test_a_cut_host_cannot_be_reached_until_its_link_is_restored(whole: Lab) -> None:
    whole.cut("kvm")
    with pytest.raises(CommandFailed, match=r"timed out|No route"):
        whole.exec("manager", [*SSH, "kvm", "true"])
    whole.exec("manager", [*SSH, "source", "true"])
    whole.restore("kvm")
    whole.exec("manager", [*SSH, "kvm", "true"])


@pytest.mark.parametrize("command", ["cat >/dev/null", "head -c 4194304 /dev/zero"])
def test_a_throttled_link_holds_its_rate_in_both_directions(whole: Lab, command: str) -> None:
    whole.throttle("kvm", "16mbit")
    begin = time.monotonic()
    whole.exec("manager", ["sh", "-c", f"head -c 4194304 /dev/zero | ssh kvm '{command}' | wc -c"])
    seconds = time.monotonic() - begin
    # 4 MiB at 2 MB/s take two seconds; the bucket lets a little more through at first.
    assert 1.7 < seconds < 8


def test_a_full_storage_refuses_a_byte_and_has_room_again_afterwards(whole: Lab) -> None:
    target = str(whole.storage("kvm") / "some")
    write = ["dd", "if=/dev/zero", f"of={target}", "bs=64K", "count=1"]
    whole.fill("kvm")
    with pytest.raises(CommandFailed, match="No space left"):
        whole.exec("kvm", write)
    whole.unfill("kvm")
    whole.exec("kvm", write)
    whole.exec("kvm", ["rm", target])


def test_a_storage_can_be_filled_up_to_some_bytes(whole: Lab) -> None:
    whole.fill("kvm", leave=8 * MIB)
    show = ["df", "--block-size=1", "--output=avail", str(whole.storage("kvm"))]
    left = int(whole.exec("kvm", show).split()[-1])
    assert 7 * MIB < left <= 8 * MIB


def test_a_guest_outlives_its_libvirtd(whole: Lab, block_guest: BlockGuest) -> None:
    block_guest.write(0, MIB, 0xAA)
    whole.kill_service("source", "libvirtd")
    with pytest.raises(CommandFailed, match="failed to connect"):
        whole.virsh("source", "list")
    whole.restart_service("source", "libvirtd")
    assert block_guest.state() == "running"
    block_guest.expect(0, MIB, 0xAA)


def test_killing_sshd_ends_connections_and_refuses_new_ones(whole: Lab) -> None:
    connection = whole.popen("manager", [*SSH, "kvm", "echo here; exec sleep 60"])
    assert connection.stdout is not None
    assert connection.stdout.readline() == "here\n"
    whole.kill_service("kvm", "sshd")
    assert connection.wait(timeout=10) != 0
    with pytest.raises(CommandFailed, match="refused"):
        whole.exec("manager", [*SSH, "kvm", "true"])
    whole.restart_service("kvm", "sshd")
    whole.exec("manager", [*SSH, "kvm", "true"])


def test_a_crash_ends_guests_and_keeps_what_is_on_disk(whole: Lab, block_guest: BlockGuest) -> None:
    block_guest.write(0, MIB, 0x5A)
    block_guest.flush()
    whole.exec("source", ["touch", "/run/volatile", "/etc/lasting"])
    whole.crash("source")
    whole.start("source")
    assert block_guest.state() == "shut off"
    assert "lasting" in whole.exec("source", ["ls", "/etc", "/run"])
    assert "volatile" not in whole.exec("source", ["ls", "/etc", "/run"])
    whole.exec("manager", [*SSH, "source", "true"])
    block_guest.start()
    block_guest.expect(0, MIB, 0x5A)


def test_damage_changes_exactly_the_bytes_named_and_done_twice_repairs_them(whole: Lab) -> None:
    path = Path("/srv/standby/victim")
    whole.exec("kvm", ["dd", "if=/dev/urandom", f"of={path}", "bs=4K", "count=1"])
    seen = whole.path("kvm", path)
    before = seen.read_bytes()
    whole.damage("kvm", path, offset=100, length=3)
    after = seen.read_bytes()
    assert [i for i in range(len(before)) if before[i] != after[i]] == [100, 101, 102]
    whole.damage("kvm", path, offset=100, length=3)
    assert seen.read_bytes() == before
    seen.unlink()


@pytest.mark.parametrize("knob", ["forget_host_key", "falsify_host_key"])
def test_a_host_key_that_is_unknown_or_wrong_is_refused(whole: Lab, knob: str) -> None:
    getattr(whole, knob)("kvm")
    with pytest.raises(CommandFailed, match="Host key verification failed"):
        whole.exec("manager", [*SSH, "kvm", "true"])
    whole.exec("manager", [*SSH, "source", "true"])
    whole.trust_host_keys()
    whole.exec("manager", [*SSH, "kvm", "true"])


def test_killing_a_command_on_a_host_kills_the_command_itself(whole: Lab) -> None:
    process = whole.popen("manager", ["sleep", "4711"])
    assert process.inner_pid
    process.kill()
    process.wait(timeout=10)
    assert "sleep 4711" not in whole.exec("manager", ["ps", "-eo", "args"])
