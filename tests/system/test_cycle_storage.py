"""Where standbys are kept, and how: pools, allocation, hosts that keep each other's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from support import KIB, MIB, Protect, Protection

from lab import Lab
from lab.layout import STORAGE, HostName
from standby.model.point import Way

DISK = 16 * MIB


@pytest.fixture
def pool(lab: Lab) -> Iterator[str]:
    """A libvirt pool that is the KVM host's storage."""
    name, directory = "dr", str(STORAGE[HostName.KVM])
    lab.virsh("kvm", "pool-define-as", name, "dir", "--target", directory)
    lab.virsh("kvm", "pool-start", name)
    yield name
    lab.virsh("kvm", "pool-destroy", name)
    lab.virsh("kvm", "pool-undefine", name)


def ask_for(protection: Protection, **target: object) -> None:
    """Change what the profile says of the target."""
    profile = yaml.safe_load(protection.profile_file.read_text())
    profile["target"].update(target)
    protection.profile_file.write_text(yaml.safe_dump(profile))


def stored(protection: Protection, number: int) -> int:
    return (protection.store / f"deltas/vda.{number:04}.qcow2").stat().st_blocks * 512


@pytest.mark.parametrize(
    ("allocation", "least", "most"),
    [("thin", MIB, 3 * MIB), ("metadata", MIB, 3 * MIB), ("full", DISK, DISK + 2 * MIB)],
)
def test_the_first_image_in_a_pool_is_allocated_as_asked_and_later_ones_are_thin(
    protect: Protect, pool: str, allocation: str, least: int, most: int
) -> None:
    protection = protect(DISK)
    ask_for(protection, storage={"pool": pool}, allocation=allocation)
    protection.guest.write(0, MIB, 1)
    assert protection.cycle().way is Way.SEED
    assert least <= stored(protection, 1) <= most
    protection.guest.write(MIB, 64 * KIB, 2)
    assert protection.cycle().way is Way.INCREMENTAL
    assert stored(protection, 2) < MIB
    protection.expect_exact()


def test_two_hosts_keep_each_others_machines(protect: Protect) -> None:
    """Even while the standby of each runs beside the machine of the other."""
    ends = (protect(DISK), protect.other_way(DISK))
    for pattern in (1, 2):
        for one in ends:
            one.guest.write(0, MIB, pattern)
            one.cycle()
    for one in ends:
        one.expect_head_on(one.points[-1])
        one.lab.virsh(one.keeper, "start", f"{one.name}-standby")
    for one in ends:
        one.guest.write(MIB, MIB, 3)
        assert one.cycle().way is Way.INCREMENTAL
        one.expect_exact()
    for one in ends:
        one.lab.virsh(one.keeper, "destroy", f"{one.name}-standby")
