"""What README tells people to type when the manager is dead, typed as it stands there."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support import KIB, MIB, Protect
from support_cli import cycles

from lab.layout import CHECKOUT, HostName
from lab.waiting import wait_until
from standby.errors import TryLater
from standby.model.names import PointName

STANDBY, POINT, FILE = "web1-standby", "V20261122_035600", "deltas/vda.0007.qcow2"


def commands_with(text: str) -> str:
    """Return the block of README that holds `text`."""
    readme = (CHECKOUT / "README.md").read_text()
    blocks = re.findall(r"(?ms)^```\n(.*?)^```$", readme)
    (block,) = (block for block in blocks if text in block)
    return str(block)


def test_a_manager_that_lives_leaves_alone_what_somebody_does_by_hand(protect: Protect) -> None:
    protection = protect(16 * MIB)
    older, _ = cycles(protection, 2)
    name = f"{protection.name}-standby"
    (delta,) = protection.manifest.point(PointName.parse(older)).deltas
    typed = commands_with("mv -T head.new head").replace("virsh start", "sleep 3; virsh start")
    typed = typed.replace(STANDBY, name).replace(POINT, older).replace(FILE, delta.file)
    protection.guest.write(3 * MIB, MIB, 0x44)
    with ThreadPoolExecutor(1) as others:
        others.submit(protection.lab.exec, "kvm", ["bash", "-c", typed])
        head = protection.store / "head"
        wait_until(
            lambda: head.readlink().name == f"{older}.900", "the head made by hand", 20, 0.05
        )
        with pytest.raises(TryLater):
            protection.cycle()
    standby = replace(protection.guest, host=HostName.KVM, name=name)
    assert standby.state() == "running"
    standby.expect(2 * MIB, MIB // 2, 0)  # the older point
    standby.destroy()


def test_an_older_boot_point_is_booted_by_hand_and_kept_by_the_next_cycle(protect: Protect) -> None:
    protection = protect(16 * MIB)
    older, newest = cycles(protection, 2)
    lab, name = protection.lab, f"{protection.name}-standby"
    (delta,) = protection.manifest.point(PointName.parse(older)).deltas
    lab.cut("manager")
    try:
        typed = commands_with("mv -T head.new head")
        assert all(word in typed for word in (STANDBY, POINT, FILE))
        typed = typed.replace(STANDBY, name).replace(POINT, older).replace(FILE, delta.file)
        said = lab.exec("kvm", ["bash", "-c", typed])
        assert [f"{older} whole", f"{newest} whole", delta.file] == said.splitlines()[:3]
    finally:
        lab.restore("manager")
        protection.managers.cool_down()
    standby = replace(protection.guest, host=HostName.KVM, name=name)
    assert standby.state() == "running"
    standby.expect(MIB, MIB // 2, 0x11)  # as the older point holds it, without the newer's
    standby.expect(2 * MIB, MIB // 2, 0)
    standby.write(0, 64 * KIB, 0x77)
    standby.destroy()
    cycles(protection, 1, first=3)
    protection.expect_exact()
    protection.expect_head_on(protection.points[-1])
    assert list((protection.store / "kept").glob(f"{older}.*"))
