"""Which files of a store domains stand on, whatever path they name it by.

Images are real; the domains are those of libvirt's test driver, which starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

import libvirt
import pytest

from standby.host.local import LocalHost
from standby.target.domain.dormant import DomainOrder, LibvirtDormantDomain
from standby.target.domain.settings import DomainSettings
from standby.target.layout import StandbyDirectory
from tests.integration.nbd_servers import run


class KvmHost(LocalHost):
    """This machine, with the domains of the test driver."""

    def libvirt(self) -> libvirt.virConnect:
        return libvirt.open("test:///default")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store below a link, as when the storage was moved to a larger disk: head on a delta."""
    (tmp_path / "large/web1-standby/deltas").mkdir(parents=True)
    (tmp_path / "storage").symlink_to("large")
    store = tmp_path / "storage/web1-standby"
    (store / "heads/V20261122_035600.1").mkdir(parents=True)
    (store / "head").symlink_to("heads/V20261122_035600.1")
    image(store / "deltas/vda.0001.qcow2")
    image(store / "head/vda.qcow2", "../../deltas/vda.0001.qcow2")
    return store


@pytest.fixture
def dormant(store: Path) -> LibvirtDormantDomain:
    def settings(*_: object) -> DomainSettings:
        raise AssertionError("nothing is defined here")

    order = DomainOrder("web1", "web1-standby", None, settings)
    return LibvirtDormantDomain(KvmHost("kvm"), StandbyDirectory(str(store)), order)


@pytest.fixture(autouse=True)
def no_domains_stay() -> Iterator[None]:
    connection = libvirt.open("test:///default")
    yield
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE):
        domain.undefine()


def image(file: Path, backing: str = "") -> None:
    on = ("-F", "qcow2", "-b", backing) if backing else ()
    run("qemu-img", "create", "-q", "-f", "qcow2", *on, file, "1M")


def define(name: str, disk: Path, directory: Path | None = None, more: str = "") -> None:
    """Define a domain with one disk, and more; that of a standby if it has a directory."""
    mark = f"""<metadata><replica xmlns="urn:standby-replica:1"><standby>{name}</standby>
        <directory>{directory}</directory></replica></metadata>"""
    libvirt.open("test:///default").defineXML(
        f"""<domain type="test"><name>{name}</name><uuid>{uuid5(NAMESPACE_DNS, name)}</uuid>
        {mark if directory else ""}
        <memory unit="MiB">64</memory><os><type>hvm</type></os><devices>
        <disk type="file" device="disk"><source file="{disk}"/><target dev="vda" bus="virtio"/>
        </disk>{more}</devices></domain>"""
    )


def test_who_stands_on_a_delta_is_known_though_the_storage_is_a_link(
    store: Path, dormant: LibvirtDormantDomain, tmp_path: Path
) -> None:
    overlay = tmp_path / "test.qcow2"
    image(overlay, f"{store.resolve()}/deltas/vda.0001.qcow2")
    define("trial", overlay)
    assert {str(overlay), f"{store}/deltas/vda.0001.qcow2"} <= set(dormant.files_in_use())


def test_a_snapshot_elsewhere_is_what_the_domain_boots_though_the_storage_is_a_link(
    store: Path, dormant: LibvirtDormantDomain, tmp_path: Path
) -> None:
    define("web1-standby", store / "head/vda.qcow2", store)
    assert not dormant.boots_other(["head/vda.qcow2"])
    snapshot = tmp_path / "vda.snap1"
    image(snapshot, f"{store}/head/vda.qcow2")
    define("web1-standby", snapshot, store)
    assert dormant.boots_other(["head/vda.qcow2"])


def test_disks_that_were_moved_elsewhere_are_what_the_domain_boots(
    store: Path, dormant: LibvirtDormantDomain, tmp_path: Path
) -> None:
    define("web1-standby", tmp_path / "moved.qcow2", store)  # by virsh blockcopy --pivot
    assert dormant.boots_other(["head/vda.qcow2"])


def test_a_disk_or_a_medium_that_somebody_added_is_not_what_the_domain_boots(
    store: Path, dormant: LibvirtDormantDomain, tmp_path: Path
) -> None:
    scratch = disk("vdb", tmp_path / "scratch.raw")
    define("web1-standby", store / "head/vda.qcow2", store, scratch)
    assert not dormant.boots_other(["head/vda.qcow2"])
    medium = disk("sda", tmp_path / "rescue.iso", "cdrom")
    define("web1-standby", store / "head/vda.qcow2", store, medium)
    assert not dormant.boots_other(["head/vda.qcow2", "head/vdb.qcow2"])  # vdb was detached


@pytest.mark.parametrize("now", ["sda", "vda"])
def test_a_disk_that_went_with_the_newest_point_is_not_somebodys(
    store: Path, dormant: LibvirtDormantDomain, now: str
) -> None:
    # The manager was killed when it had turned the head, before it defined the domain anew.
    (store / "head/vda.qcow2").rename(store / f"head/{now}.qcow2")
    gone = disk("vdb", store / "head/vdb.qcow2")
    define("web1-standby", store / "head/vda.qcow2", store, gone)
    assert not dormant.boots_other([f"head/{now}.qcow2"])


def test_an_overlay_beside_the_heads_images_is_what_the_domain_boots(
    store: Path, dormant: LibvirtDormantDomain
) -> None:
    image(store / "head/vda.snap1", "vda.qcow2")
    define("web1-standby", store / "head/vda.snap1", store)
    assert dormant.boots_other(["head/vda.qcow2"])


def disk(target: str, file: Path, device: str = "disk") -> str:
    return f"""<disk type="file" device="{device}"><source file="{file}"/>
        <target dev="{target}" bus="{"sata" if device == "cdrom" else "virtio"}"/></disk>"""
