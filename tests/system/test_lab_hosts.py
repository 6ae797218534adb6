"""The lab's hosts: reachable from the manager, apart from each other and from the machine."""

import pytest

from lab import BlockGuest, CommandFailed, Lab

HYPERVISORS = ("source", "kvm")


@pytest.mark.parametrize("host", HYPERVISORS)
@pytest.mark.parametrize("user", ["root", "standby"])
def test_the_manager_reaches_libvirt_over_ssh(lab: Lab, host: str, user: str) -> None:
    uri = f"qemu+ssh://{user}@{host}/system"
    assert lab.exec("manager", ["virsh", "-c", uri, "hostname"]).strip() == host


def test_the_manager_has_no_libvirt_of_its_own(lab: Lab) -> None:
    with pytest.raises(CommandFailed, match="libvirt-sock"):
        lab.exec("manager", ["virsh", "-c", "qemu:///system", "list"])


def test_the_two_hypervisors_are_different_hosts_to_libvirt(lab: Lab) -> None:
    uuids = {
        lab.exec(host, ["virsh", "capabilities"]).split("<uuid>")[1][:36] for host in HYPERVISORS
    }
    assert len(uuids) == len(HYPERVISORS)


def test_a_guest_on_one_host_does_not_exist_on_the_other(lab: Lab, block_guest: BlockGuest) -> None:
    assert block_guest.name in lab.virsh("source", "list", "--name")
    assert block_guest.name not in lab.virsh("kvm", "list", "--all", "--name")


def test_the_ordinary_user_may_do_by_sudo_exactly_what_the_rules_say(lab: Lab) -> None:
    command = ["sudo", "-n", "id", "-un"]
    with pytest.raises(CommandFailed):
        lab.exec("kvm", command, user="standby")
    lab.allow_sudo("kvm", "standby ALL=(root) NOPASSWD: /usr/bin/id\n")
    assert lab.exec("kvm", command, user="standby").strip() == "root"
    lab.allow_sudo("kvm", "")
    with pytest.raises(CommandFailed):
        lab.exec("kvm", command, user="standby")
