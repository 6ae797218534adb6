"""What others do to a standby behind our back: the next cycle sees it and heals what it can."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import KIB, MIB, SECTOR, Protect, Protection, Scribbler
from support_cli import CommandLine
from support_traces import expect_no_traces

from standby.cycle.report import Outcome
from standby.errors import RepairStore
from standby.model.point import Way

SIZES = (12 * MIB, 5 * MIB + 3 * SECTOR)
LOADER = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")


def damage(protection: Protection, *names: str) -> None:
    for name in names:
        size = (protection.store / name).stat().st_size
        protection.lab.damage("kvm", protection.directory / name, offset=size // 2)


@pytest.mark.long
def test_a_standby_without_a_whole_manifest_goes_on_by_what_its_files_tell(
    protect: Protect, cli: CommandLine
) -> None:
    protection, scribbler = protect(*SIZES, limit=3), Scribbler(21)
    for _ in range(3):
        scribbler.scribble(protection.guest, SIZES)
        protection.cycle()
    points = protection.points
    damage(protection, "standby.json", "kept/standby.json")
    protection.guest.write(0, 64 * KIB, 0x5A)
    report = protection.cycle()
    assert (report.way, report.data) == (Way.RESYNC, 64 * KIB)
    assert protection.points == (*points, str(report.point))
    protection.expect_exact()
    protection.expect_head_on(str(report.point))
    cli.run("verify", protection.name, "--all")
    for point in points:
        cli.run("unpin", protection.name, point)
    protection.guest.write(64 * KIB, 64 * KIB, 0x5B)
    assert protection.cycle().way is Way.INCREMENTAL
    assert len(protection.points) == 3
    protection.expect_exact()
    expect_no_traces(protection)


def test_the_files_of_another_machine_are_not_taken_for_this_ones(protect: Protect) -> None:
    protection = protect(MIB)
    protection.cycle()
    definition = protection.store / f"points/{protection.points[-1]}/machine.xml"
    uuid = protection.manifest.machine.uuid
    definition.write_text(definition.read_text().replace(uuid, uuid[:-12] + "000000000000"))
    damage(protection, "standby.json", "kept/standby.json")
    with pytest.raises(RepairStore, match="of the machine"):
        protection.cycle()


def test_a_standby_that_somebody_undefined_with_its_disks_boots_again(protect: Protect) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(22)
    scribbler.scribble(protection.guest, SIZES)
    protection.cycle()
    name = f"{protection.name}-standby"
    protection.lab.virsh("kvm", "undefine", name, "--nvram")
    protection.lab.exec("kvm", ["rm", str(protection.directory / "head/vda.qcow2")])
    scribbler.scribble(protection.guest, SIZES)
    report = protection.cycle()
    assert name in protection.lab.virsh("kvm", "list", "--all", "--name").split()
    protection.expect_exact()
    protection.expect_head_on(str(report.point))


def test_firmware_variables_that_changed_are_carried_though_no_disk_did(protect: Protect) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(23)
    lab, name = protection.lab, protection.name
    scribbler.scribble(protection.guest, SIZES)
    protection.guest.destroy()
    mine = Path(f"/srv/vms/{name}.fd")
    variables = lab.path("source", mine)
    variables.parent.mkdir(parents=True, exist_ok=True)
    variables.write_bytes(VARIABLES.read_bytes())
    xml = lab.virsh("source", "dumpxml", "--inactive", name)
    uefi = f'<loader readonly="yes" type="pflash">{LOADER}</loader><nvram>{mine}</nvram></os>'
    lab.define("source", xml.replace("</os>", uefi))
    assert protection.cycle().outcome is Outcome.PUBLISHED
    assert protection.cycle().outcome is Outcome.STILL_TRUE
    changed = bytearray(variables.read_bytes())
    changed[-4 * KIB :] = bytes([0x3C]) * 4 * KIB
    variables.write_bytes(changed)
    report = protection.cycle()
    assert (report.outcome, report.data) == (Outcome.PUBLISHED, 0)
    older, newest = (protection.store / f"points/{it}/nvram.fd" for it in protection.points)
    assert older.read_bytes() == VARIABLES.read_bytes()
    assert newest.read_bytes() == changed
    assert (protection.store / "head/nvram.fd").read_bytes() == changed
    protection.expect_exact()
    lab.virsh("source", "undefine", name, "--keep-nvram", "--checkpoints-metadata")
    lab.define("source", xml)
