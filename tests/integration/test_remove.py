"""What the removal of a standby takes away: only what it named, and nothing that runs.

The store is real; the domains are those of libvirt's test driver, which starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import libvirt
import pytest

from standby.app.places import Place
from standby.app.remove import Removal, SourceCare, StandbyCare, plan_removal, remove
from standby.app.session import Session
from standby.errors import StopStandbyFirst, TryLater
from standby.host.local import LocalHost
from standby.target.domain import dormant
from tests.integration.nbd_servers import qemu_io
from tests.integration.store_world import MIB, Change, World
from tests.unit.configuration_files import PROFILE, loaded

TEST_DRIVER = "test:///default"
NAME = "web1-standby"


class KvmHost(LocalHost):
    """This machine, with the domains of the test driver."""

    def libvirt(self) -> libvirt.virConnect:
        return libvirt.open(TEST_DRIVER)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.publish(Change("vda", 0, MIB, 1), sizes={"vda": MIB})
    return made


@pytest.fixture
def place(world: World, tmp_path: Path) -> Place:
    profile = loaded(tmp_path / "root", {"profiles/web1.yaml": PROFILE})
    return Place("web1", profile, KvmHost("kvm1"), world.directory)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


@pytest.fixture(autouse=True)
def domains(monkeypatch: pytest.MonkeyPatch) -> Iterator[libvirt.virConnect]:
    """Leave no domain behind; the driver takes few flags."""
    monkeypatch.setattr(dormant, "undefine", lambda _, domain: domain.undefine())
    connection = libvirt.open(TEST_DRIVER)
    before = {domain.name() for domain in connection.listAllDomains()}
    yield connection
    for domain in connection.listAllDomains():
        if domain.name() not in before:
            stays = domain.isPersistent()
            if domain.isActive():
                domain.destroy()
            if stays:
                domain.undefine()


def define(place: Place, uuid: str = "", name: str = NAME) -> libvirt.virDomain:
    """Define the standby's domain."""
    mark = f"""<replica xmlns="urn:standby-replica:1"><standby>{name}</standby>
        <directory>{place.directory.path}</directory></replica>"""
    return place.host.libvirt().defineXML(
        f"""<domain type="test"><name>{name}</name><uuid>{uuid or uuid4()}</uuid>
        <metadata>{mark}</metadata><memory unit="MiB">64</memory><os><type>hvm</type></os>
        </domain>"""
    )


def planned(session: Session, place: Place) -> Removal:
    return plan_removal(session, place, SourceCare.LEAVE, StandbyCare.DELETE)


def names(connection: libvirt.virConnect) -> set[str]:
    return {domain.name() for domain in connection.listAllDomains()} - {"test"}


def test_its_domain_goes_and_not_one_that_has_the_uuid_that_it_had_once(
    session: Session, place: Place, world: World, domains: libvirt.virConnect
) -> None:
    # A manager was killed when it had given the standby another UUID, since the machine came here.
    define(place)
    assert world.manifest.domain is not None
    machine = define(place, world.manifest.domain.uuid, "web1")
    machine.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, None, "", "urn:standby-replica:1")
    remove(session, planned(session, place))
    assert names(domains) == {"web1"}
    assert not world.path.exists()


def test_what_somebody_wrote_is_named_and_nothing_goes_that_he_wrote_since(
    session: Session, place: Place, world: World
) -> None:
    define(place)
    before = planned(session, place)
    assert before.kept == ()
    qemu_io(world.path / "head/vda.qcow2", "write -P 99 0 512")
    with pytest.raises(TryLater, match="ran it since"):
        remove(session, before)
    assert world.read("head/vda.qcow2")[:512] == bytes([99]) * 512
    again = planned(session, place)
    assert again.kept == ("head",)
    remove(session, again)
    assert not world.path.exists()


def test_a_head_that_runs_under_another_name_is_not_removed_from_below_its_machine(
    session: Session, place: Place, world: World
) -> None:
    removal = planned(session, place)  # somebody renamed the domain, and started it
    with ExitStack() as stack:
        stack.enter_context(world.opened_by_somebody("head/vda.qcow2"))
        with pytest.raises(StopStandbyFirst, match="under whatever name"):
            remove(session, removal)
    world.expect_exact()


def test_a_standby_that_is_started_as_it_is_undefined_keeps_its_disks(
    session: Session, place: Place, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(place)

    def undefine(_: libvirt.virConnect, domain: libvirt.virDomain) -> None:
        domain.create()
        domain.undefine()

    monkeypatch.setattr(dormant, "undefine", undefine)
    with pytest.raises(StopStandbyFirst, match="in this moment"):
        remove(session, planned(session, place))
    world.expect_exact()
    world.expect_head(world.points[0])
