"""Dormant domains on a real KVM host: defined, known again, started, and gone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import libvirt
import pytest

from lab import Lab
from standby.errors import ChooseOtherName, FixProfile, StopStandbyFirst
from standby.host.interface import SUCCESS, Completed
from standby.model.machine import MachineDefinition
from standby.model.names import PointName
from standby.model.observation import DomainFound
from standby.model.point import BootPoint, Consistency, Delta, Way
from standby.target.domain.dormant import DomainOrder, LibvirtDormantDomain, undefine
from standby.target.domain.machine import DeviceKind, Machine, Virtualisation
from standby.target.domain.reading import read_machine
from standby.target.domain.settings import DomainSettings, Identifier
from standby.target.layout import StandbyDirectory

MIB = 1 << 20
MACHINES = Path(__file__).parents[1] / "golden" / "machines"
ON_X86 = sorted(path.stem for path in MACHINES.glob("*.xml") if path.stem != "arm")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
MOMENT = datetime(2026, 11, 22, 3, 56, tzinfo=UTC)
_numbers = count(1)


class KvmHost:
    """The lab's KVM host as this process reaches it: no SSH between."""

    name = "kvm"

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        socket = lab.path("kvm", Path("/run/libvirt/libvirt-sock"))
        self._connection = libvirt.open(f"qemu+unix:///system?socket={socket}")

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        accept: frozenset[int] = SUCCESS,
    ) -> Completed:
        done = self._lab.run("kvm", argv, text=stdin.decode(), limit=timeout)
        assert done.returncode in accept, done.stderr
        return Completed(tuple(argv), done.returncode, done.stdout.encode(), done.stderr)

    def libvirt(self) -> libvirt.virConnect:
        return self._connection

    def write_file(self, path: str, content: bytes, mode: int) -> None:
        there = self._lab.path("kvm", Path(path))
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(content)
        there.chmod(mode)

    def close(self) -> None:
        self._connection.close()


class Dormant:
    """A dormant domain of the tests, and the images it names."""

    def __init__(self, host: KvmHost, lab: Lab, name: str, template: Path | None = None) -> None:
        self.host = host
        self.lab = lab
        self.name = name
        self.directory = StandbyDirectory(f"/srv/standby/{name}")
        self.asked: dict[str, object] = {}
        self.order = DomainOrder("nightly", name, template, self._settings)
        self.domain = LibvirtDormantDomain(host, self.directory, self.order)  # type: ignore[arg-type]

    def _settings(
        self, _machine: Machine, captured: Sequence[str], empty: Sequence[str]
    ) -> DomainSettings:
        small = {"memory": 64 * MIB, "virtualisation": Virtualisation.EMULATED}
        return DomainSettings(frozenset(captured), frozenset(empty), **{**small, **self.asked})  # type: ignore[arg-type]

    def define(self, definition: MachineDefinition, known: object = None) -> object:
        return self.domain.define(definition, point(definition), known)  # type: ignore[arg-type]

    def make_head(self, definition: MachineDefinition) -> None:
        self.lab.exec("kvm", ["mkdir", "-p", self.directory / "heads/V20261122_035600.1"])
        self.lab.exec("kvm", ["mkdir", "-p", self.directory / "deltas"])
        self.lab.exec("kvm", ["ln", "-sfn", "heads/V20261122_035600.1", self.directory / "head"])
        for disk in disks(definition):
            self.image(f"deltas/{disk}.0001.qcow2")
            self.image(f"head/{disk}.qcow2", f"../../deltas/{disk}.0001.qcow2")
        if definition.nvram is not None and self.domain.takes_variables(
            definition, point(definition)
        ):
            nvram = self.lab.path("kvm", Path(self.directory.head_nvram))
            nvram.write_bytes(definition.nvram)

    def image(self, name: str, backing: str = "", size: int = MIB) -> str:
        path = self.directory / name
        below = ["-F", "qcow2", "-b", backing] if backing else [str(size)]
        where, options = ([], below) if backing else (below, [])
        self.lab.exec("kvm", ["qemu-img", "create", "-q", "-f", "qcow2", *options, path, *where])
        return path

    @property
    def libvirt_domain(self) -> libvirt.virDomain:
        return self.host.libvirt().lookupByName(self.name)

    def start_paused(self) -> libvirt.virDomain:
        self.libvirt_domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        return self.libvirt_domain

    def remove(self) -> None:
        for domain in self.host.libvirt().listAllDomains():
            if self.name not in domain.name():
                continue
            if domain.isActive():
                domain.destroy()
            undefine(self.host.libvirt(), domain)
        self.lab.exec("kvm", ["rm", "-rf", self.directory.path])


def disks(definition: MachineDefinition) -> list[str]:
    drives = {DeviceKind.CDROM, DeviceKind.FLOPPY}
    machine = read_machine(definition.domain_xml)
    return [disk.name for disk in machine.disks if disk.kind not in drives]


def point(definition: MachineDefinition) -> BootPoint:
    deltas = tuple(
        Delta(disk=disk, file=f"deltas/{disk}.0001.qcow2", size=MIB, stored=0)
        for disk in disks(definition)
    )
    return BootPoint(
        PointName(MOMENT), Way.SEED, "a test", Consistency.CRASH, deltas, sent=0, true_at=MOMENT
    )


def machine_of(name: str) -> MachineDefinition:
    text = (MACHINES / f"{name}.xml").read_text()
    nvram = VARIABLES.read_bytes() if "<nvram" in text else None
    return MachineDefinition(text, nvram)


@pytest.fixture(scope="module")
def kvm(lab: Lab) -> Iterator[KvmHost]:
    host = KvmHost(lab)
    yield host
    host.close()


@pytest.fixture
def dormant(kvm: KvmHost, lab: Lab) -> Iterator[Dormant]:
    made = Dormant(kvm, lab, f"dormant{next(_numbers)}")
    yield made
    made.remove()


PLAIN = machine_of("plain-q35")


@pytest.mark.parametrize("name", ON_X86)
def test_the_standby_of_every_machine_starts_and_is_not_edited_by_that(
    name: str, dormant: Dormant, caplog: pytest.LogCaptureFixture
) -> None:
    definition = machine_of(name)
    known = dormant.define(definition)
    dormant.make_head(definition)
    started = dormant.start_paused()
    assert started.isActive()
    started.destroy()
    assert dormant.define(definition, known) == known
    assert "edited" not in caplog.text


@pytest.mark.parametrize(
    "variables", [None, bytes(1000)], ids=["without variables", "with variables that do not fit"]
)
@pytest.mark.parametrize("name", ["windows-secure", "uefi-chosen", "rhel9"])
def test_a_standby_starts_whatever_became_of_its_variables(
    name: str, variables: bytes | None, dormant: Dormant
) -> None:
    definition = replace(machine_of(name), nvram=variables)
    dormant.define(definition)
    dormant.make_head(definition)
    assert dormant.start_paused().isActive()


def test_what_the_host_does_not_know_is_left_out_and_reported(
    dormant: Dormant, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        dormant.define(machine_of("newer"))
    there = dormant.libvirt_domain.XMLDesc()
    for tag in ("watchdog model='itco'", "<ps2", "<crypto"):
        left = tag in there
        told = tag.strip("<").split()[0] in caplog.text
        assert left is not told, tag
    assert "<disk" in there
    assert "<serial" in there


def test_a_domain_is_ours_only_in_our_directory(dormant: Dormant, kvm: KvmHost, lab: Lab) -> None:
    assert dormant.domain.found() is DomainFound.ABSENT
    dormant.define(PLAIN)
    assert dormant.domain.found() is DomainFound.OURS
    other = Dormant(kvm, lab, dormant.name)
    other.directory = StandbyDirectory("/srv/elsewhere")
    other.domain = LibvirtDormantDomain(kvm, other.directory, dormant.order)
    assert other.domain.found() is DomainFound.FOREIGN


def test_a_foreign_domain_of_our_name_is_never_touched(dormant: Dormant, lab: Lab) -> None:
    lab.define("kvm", foreign(dormant.name))
    before = dormant.libvirt_domain.XMLDesc()
    assert dormant.domain.found() is DomainFound.FOREIGN
    with pytest.raises(ChooseOtherName):
        dormant.define(PLAIN)
    assert dormant.libvirt_domain.XMLDesc() == before
    assert not dormant.domain.is_active()


def test_a_domain_of_our_uuid_is_never_touched(dormant: Dormant, lab: Lab) -> None:
    """As when the machine itself is a VM of the same host and its UUID is to be kept."""
    machine = machine_of("plain-q35")
    uuid = read_machine(machine.domain_xml).uuid
    lab.define("kvm", foreign(f"{dormant.name}-source", uuid))
    dormant.asked = {"uuid": Identifier.KEEP}
    with pytest.raises(ChooseOtherName, match=f"{dormant.name}-source"):
        dormant.define(machine)
    assert dormant.domain.found() is DomainFound.ABSENT
    dormant.asked = {}
    dormant.define(machine)
    assert dormant.libvirt_domain.UUIDString() != uuid


def test_defining_again_changes_nothing_until_the_machine_changes(dormant: Dormant) -> None:
    known = dormant.define(PLAIN)
    dormant.libvirt_domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "by hand", None, None)
    assert dormant.define(PLAIN, known) == known
    assert "by hand" in dormant.libvirt_domain.XMLDesc()
    dormant.asked = {"vcpus": 1}
    assert dormant.define(PLAIN, known) != known
    assert "by hand" not in dormant.libvirt_domain.XMLDesc()


def test_what_somebody_edited_is_noticed_and_kept_when_it_has_to_go(
    dormant: Dormant, lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    kept = lab.path("kvm", Path(dormant.directory.path)) / "kept"
    known = dormant.define(PLAIN)
    dormant.make_head(PLAIN)
    dormant.start_paused().destroy()
    assert dormant.define(PLAIN, known) == known
    assert "edited" not in caplog.text
    dormant.libvirt_domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, "by hand", None, None)
    assert dormant.define(PLAIN, known) == known
    assert "edited by somebody; it stays" in caplog.text
    assert not kept.exists()
    dormant.asked = {"vcpus": 1}
    again = dormant.define(PLAIN, known)
    (edited,) = kept.glob("domain-*.xml")
    assert "by hand" in edited.read_text()
    dormant.asked = {"vcpus": 2}
    dormant.define(PLAIN, again)
    assert list(kept.glob("domain-*.xml")) == [edited]


def test_a_domain_that_somebody_undefined_is_defined_again(
    dormant: Dormant, caplog: pytest.LogCaptureFixture
) -> None:
    known = dormant.define(PLAIN)
    undefine(dormant.host.libvirt(), dormant.libvirt_domain)
    assert dormant.define(PLAIN, known) == known
    assert "undefined by somebody" in caplog.text


def test_the_uuid_stays_though_the_manifest_was_lost(dormant: Dormant) -> None:
    known = dormant.define(PLAIN)
    assert dormant.define(PLAIN, None) == known


def test_a_uuid_asked_for_later_takes_the_place_of_the_old_one(dormant: Dormant) -> None:
    machine_uuid = read_machine(PLAIN.domain_xml).uuid
    known = dormant.define(PLAIN)
    dormant.asked = {"uuid": Identifier.KEEP, "mac": Identifier.NEW}
    kept = dormant.define(PLAIN, known)
    assert dormant.libvirt_domain.UUIDString() == machine_uuid
    assert dormant.define(PLAIN, kept) == kept
    dormant.asked = {}
    dormant.define(PLAIN, kept)
    assert dormant.libvirt_domain.UUIDString() != machine_uuid


def test_a_running_standby_keeps_its_uuid(dormant: Dormant) -> None:
    known = dormant.define(PLAIN)
    dormant.make_head(PLAIN)
    dormant.start_paused()
    dormant.asked = {"uuid": Identifier.KEEP}
    with pytest.raises(StopStandbyFirst):
        dormant.define(PLAIN, known)
    assert dormant.libvirt_domain.isPersistent()


def test_a_standby_never_starts_with_its_host(dormant: Dormant) -> None:
    known = dormant.define(PLAIN)
    assert not dormant.libvirt_domain.autostart()
    dormant.libvirt_domain.setAutostart(1)
    dormant.asked = {"vcpus": 1}
    dormant.define(PLAIN, known)
    assert not dormant.libvirt_domain.autostart()


def test_a_saved_standby_counts_as_active(dormant: Dormant) -> None:
    dormant.define(PLAIN)
    dormant.make_head(PLAIN)
    assert not dormant.domain.is_active()
    dormant.start_paused()
    assert dormant.domain.is_active()
    dormant.libvirt_domain.managedSave()
    assert not dormant.libvirt_domain.isActive()
    assert dormant.domain.is_active()


def test_the_head_may_move_while_the_standby_is_off(dormant: Dormant) -> None:
    dormant.define(PLAIN)
    dormant.make_head(PLAIN)
    dormant.start_paused().destroy()
    dormant.image("deltas/vda.0002.qcow2", "vda.0001.qcow2")
    dormant.lab.exec("kvm", ["mkdir", dormant.directory / "heads/V20261122_040000.2"])
    dormant.image("heads/V20261122_040000.2/vda.qcow2", "../../deltas/vda.0002.qcow2")
    dormant.lab.exec("kvm", ["ln", "-sfn", "heads/V20261122_040000.2", dormant.directory / "head"])
    running = dormant.start_paused().XMLDesc()
    assert "deltas/vda.0002.qcow2" in running
    assert "deltas/vda.0001.qcow2" in running


def test_every_image_that_a_domain_stands_on_is_known(dormant: Dormant, lab: Lab) -> None:
    """Through backing files, of inactive domains, snapshots, volumes and block devices alike."""
    dormant.make_head(PLAIN)
    dormant.define(PLAIN)
    overlay = dormant.image("overlay.qcow2", "deltas/vda.0001.qcow2")
    later = dormant.image("later.qcow2", "overlay.qcow2")
    lab.define("kvm", foreign(f"{dormant.name}-other", disk=overlay))
    snapshot = f"""<domainsnapshot><name>s</name>
        <disks><disk name="vda" snapshot="external"><source file="{later}"/></disk></disks>
        <domain type="qemu"><name>{dormant.name}-other</name></domain></domainsnapshot>"""
    other = dormant.host.libvirt().lookupByName(f"{dormant.name}-other")
    other.snapshotCreateXML(
        snapshot,
        libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT,
    )
    used = dormant.domain.files_in_use()
    assert {overlay, later, dormant.directory / "deltas/vda.0001.qcow2"} <= set(used)
    assert not [path for path in used if "/head" in path]


def test_a_domain_on_a_volume_is_known(dormant: Dormant, lab: Lab) -> None:
    lab.exec("kvm", ["mkdir", "-p", dormant.directory.path])
    volume = dormant.image("volume.qcow2")
    pool = f"""<pool type="dir"><name>{dormant.name}</name>
        <target><path>{dormant.directory.path}</path></target></pool>"""
    made = dormant.host.libvirt().storagePoolCreateXML(pool)
    try:
        source = f'pool="{dormant.name}" volume="volume.qcow2"'
        lab.define("kvm", foreign(f"{dormant.name}-other", volume=source))
        assert volume in dormant.domain.files_in_use()
    finally:
        made.destroy()


def test_a_template_of_ones_own_takes_the_place_of_ours(
    kvm: KvmHost, lab: Lab, tmp_path: Path
) -> None:
    template = tmp_path / "own.xml.j2"
    template.write_text(
        '{% extends "domain.xml.j2" %}{% block more %}<on_crash>restart</on_crash>{% endblock %}'
    )
    dormant = Dormant(kvm, lab, f"dormant{next(_numbers)}", template)
    try:
        dormant.define(machine_of("many-nics"))
        assert "<on_crash>restart</on_crash>" in dormant.libvirt_domain.XMLDesc()
        assert dormant.domain.found() is DomainFound.OURS
        template.write_text('{% extends "domain.xml.j2" %}{% block mark %}{% endblock %}')
        with pytest.raises(FixProfile, match="mark"):
            dormant.define(machine_of("many-nics"))
    finally:
        dormant.remove()


def test_a_definition_that_cannot_be_is_the_profiles_mistake(
    kvm: KvmHost, lab: Lab, tmp_path: Path
) -> None:
    template = tmp_path / "own.xml.j2"
    template.write_text('{% extends "domain.xml.j2" %}{% block more %}<nonsense/>{% endblock %}')
    dormant = Dormant(kvm, lab, f"dormant{next(_numbers)}", template)
    with pytest.raises(FixProfile, match="refused by libvirt"):
        dormant.define(PLAIN)
    assert dormant.domain.found() is DomainFound.ABSENT


def foreign(name: str, uuid: str = "", *, disk: str = "", volume: str = "") -> str:
    """Return a domain that is not ours."""
    source = f'<source file="{disk}"/>' if disk else f"<source {volume}/>"
    kind = "volume" if volume else "file"
    image = f"""<disk type="{kind}" device="disk"><driver name="qemu" type="qcow2"/>{source}
        <target dev="vda" bus="virtio"/></disk>"""
    return f"""<domain type="qemu"><name>{name}</name>{f"<uuid>{uuid}</uuid>" if uuid else ""}
        <memory unit="MiB">64</memory><os><type arch="x86_64">hvm</type></os>
        <devices>{image if disk or volume else ""}</devices></domain>"""
