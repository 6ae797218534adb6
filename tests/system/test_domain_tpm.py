"""A machine with an emulated TPM: what it holds goes with each boot point."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import MIB, Protect, Protection
from support_cli import CommandLine

from lab.layout import HostName
from standby.cycle.report import Outcome

STATES = Path("/var/lib/libvirt/swtpm")
DISK = 4 * MIB
TPM = "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>"
MADE_ANEW = "manufacturing"


def uuid_of(protection: Protection, host: HostName) -> str:
    name = protection.guest.name if host is HostName.SOURCE else f"{protection.name}-standby"
    return protection.lab.virsh(host, "domuuid", name).strip()


def state_of(protection: Protection, host: HostName) -> Path:
    """Return where swtpm keeps the state, as this process sees it."""
    file = STATES / uuid_of(protection, host) / "tpm2/tpm2-00.permall"
    return protection.lab.path(host, file)


def kept_with(protection: Protection, point: str) -> Path:
    return protection.store / "points" / point / "tpm.permall"


@pytest.fixture
def protection(protect: Protect) -> Protection:
    """A machine that got a TPM and was started with it."""
    made = protect(DISK)
    made.guest.destroy()
    definition = made.lab.virsh("source", "dumpxml", "--inactive", made.guest.name)
    made.lab.define("source", definition.replace("</devices>", f"{TPM}</devices>"))
    made.guest.start()
    return made


def log_of(protection: Protection, host: HostName, name: str) -> str:
    """Return what was said while libvirt prepared the TPM of a domain."""
    log = protection.lab.path(host, Path(f"/var/log/swtpm/libvirt/qemu/{name}-swtpm.log"))
    return log.read_text() if log.exists() else ""


def lose_the_state(protection: Protection) -> None:
    """Switch the machine off, and let its next start make its TPM anew."""
    protection.guest.destroy()
    directory = STATES / uuid_of(protection, HostName.SOURCE)
    protection.lab.exec("source", ["rm", "-r", str(directory)])


def test_a_started_standby_has_the_tpm_of_its_boot_point(
    protection: Protection, cli: CommandLine
) -> None:
    first = str(protection.cycle().point)
    held = state_of(protection, HostName.SOURCE).read_bytes()
    assert kept_with(protection, first).read_bytes() == held
    assert kept_with(protection, first).stat().st_mode & 0o077 == 0
    assert state_of(protection, HostName.KVM).read_bytes() == held

    lose_the_state(protection)
    protection.guest.start()
    second = protection.cycle()  # no block changed, but the machine did
    assert second.outcome is Outcome.PUBLISHED
    changed = state_of(protection, HostName.KVM).read_bytes()
    assert changed == kept_with(protection, str(second.point)).read_bytes()
    assert changed != held

    cli.run("revert", protection.name, first)
    assert state_of(protection, HostName.KVM).read_bytes() == held
    name = f"{protection.name}-standby"
    protection.lab.virsh("kvm", "start", name)
    assert MADE_ANEW in log_of(protection, HostName.SOURCE, protection.guest.name)
    assert MADE_ANEW not in log_of(protection, HostName.KVM, name)
    protection.lab.virsh("kvm", "destroy", name)


def test_a_head_that_was_run_is_kept_with_what_its_tpm_holds(protection: Protection) -> None:
    protection.cycle()
    name = f"{protection.name}-standby"
    protection.lab.virsh("kvm", "start", name)
    device = "/machine/peripheral/virtio-disk0/virtio-backend"
    write = f'qemu-io -d {device} "write -P 0x77 0 65536"'
    protection.lab.virsh("kvm", "qemu-monitor-command", name, "--hmp", write)
    protection.lab.virsh("kvm", "destroy", name)
    ran = state_of(protection, HostName.KVM).read_bytes()
    lose_the_state(protection)
    protection.guest.start()
    protection.cycle()
    assert state_of(protection, HostName.KVM).read_bytes() != ran
    (kept,) = (protection.store / "kept").glob("V*/tpm.permall")
    assert kept.read_bytes() == ran


def test_without_a_state_the_standby_starts_with_an_empty_tpm(protection: Protection) -> None:
    lose_the_state(protection)
    report = protection.cycle()
    assert not kept_with(protection, str(report.point)).exists()
    protection.lab.virsh("kvm", "start", f"{protection.name}-standby")
    assert MADE_ANEW in log_of(protection, HostName.KVM, f"{protection.name}-standby")
    protection.lab.virsh("kvm", "destroy", f"{protection.name}-standby")
