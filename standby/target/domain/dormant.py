"""The dormant domain on one KVM host: what the store needs of it."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import libvirt

from standby.errors import ChooseOtherName
from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.model.machine import MachineDefinition
from standby.model.manifest import DefinedDomain
from standby.model.observation import DomainFound
from standby.model.point import BootPoint
from standby.target.domain.element import parse_xml
from standby.target.domain.ground import KvmHost
from standby.target.domain.host_facts import ask_host, files_of_others, resolve
from standby.target.domain.machine import Machine
from standby.target.domain.plan import plan_domain
from standby.target.domain.reading import read_machine
from standby.target.domain.render import render_domain
from standby.target.domain.settings import DomainNames, DomainSettings
from standby.target.domain.spec import NAMESPACE, DomainPlan
from standby.target.layout import StandbyDirectory

log = logging.getLogger(__name__)

SettingsFor = Callable[[Machine, Sequence[str], Sequence[str]], DomainSettings]


@dataclass(frozen=True, slots=True)
class DomainOrder:
    """What a profile asks for. `settings_for` takes the machine, captured and empty disks."""

    profile: str
    standby: str
    template: Path | None
    settings_for: SettingsFor


class LibvirtDormantDomain:
    """One standby's domain."""

    def __init__(self, host: Host, directory: StandbyDirectory, order: DomainOrder) -> None:
        self._host = host
        self._directory = directory
        self._order = order

    def found(self) -> DomainFound:
        """Tell whose domain has our name."""
        domain = self._lookup()
        if domain is None:
            return DomainFound.ABSENT
        return DomainFound.OURS if self._is_ours(domain) else DomainFound.FOREIGN

    def is_active(self) -> bool:
        """Tell whether our domain runs, is paused, or has a managed save image."""
        domain = self._lookup()
        if domain is None or not self._is_ours(domain):
            return False
        with libvirt_calls(self._subject):
            return bool(domain.isActive() or domain.hasManagedSaveImage())

    def define(
        self, definition: MachineDefinition, point: BootPoint, known: DefinedDomain | None
    ) -> DefinedDomain:
        """Define it for a point's machine, unless it is so already.

        Raises ChooseOtherName when a domain that is not ours has the name.
        """
        found = self.found()
        if found is DomainFound.FOREIGN:
            raise ChooseOtherName(
                self._subject,
                "a domain that is not ours has this name; it is left alone",
                "a free name",
                "give the standby another name in its profile: standby.name",
            )
        plan = self.plan(definition, point, known.uuid if known else str(uuid.uuid4()))
        xml = render_domain(plan.spec, self._order.template)
        defined = DefinedDomain(plan.spec.uuid, hashlib.sha256(xml.encode()).hexdigest())
        if found is DomainFound.OURS and defined == known:
            return defined
        for replaced in plan.replaced:
            log.warning("standby %s: %s", self._order.standby, replaced)
        with libvirt_calls(self._subject):
            domain = self._connection().defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
            domain.setAutostart(0)
        return defined

    def plan(self, definition: MachineDefinition, point: BootPoint, new_uuid: str) -> DomainPlan:
        """Plan the domain for a point's machine on this host."""
        machine = read_machine(definition.domain_xml)
        captured = [delta.disk for delta in point.deltas]
        empty = [blank.disk for blank in point.blanks]
        names = DomainNames(
            standby=self._order.standby,
            directory=self._directory,
            profile=self._order.profile,
            uuid=new_uuid,
            nvram_bytes=len(definition.nvram) if definition.nvram is not None else None,
        )
        settings = self._order.settings_for(machine, captured, empty)
        return plan_domain(machine, settings, self._ask(machine, settings), names)

    def files_in_use(self) -> Sequence[str]:
        """Return the absolute path of every image that other domains of the host stand on."""
        own = self._order.standby
        return resolve(self._host, tuple(files_of_others(self._connection(), own)))

    @property
    def _subject(self) -> str:
        return f"domain {self._order.standby} on {self._host.name}"

    def _connection(self) -> libvirt.virConnect:
        return self._host.libvirt()

    def _ask(self, machine: Machine, settings: DomainSettings) -> KvmHost:
        return ask_host(self._host, machine, settings)

    def _lookup(self) -> libvirt.virDomain | None:
        try:
            return self._connection().lookupByName(self._order.standby)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            with libvirt_calls(self._subject):
                raise

    def _is_ours(self, domain: libvirt.virDomain) -> bool:
        """Ours has our mark in its metadata, with our directory."""
        try:
            xml = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
                return False
            with libvirt_calls(self._subject):
                raise
        return parse_xml(xml, "mark").text_of("directory") == self._directory.path
