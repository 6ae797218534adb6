"""The dormant domain on one KVM host: what the store needs of it."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import libvirt

from standby.errors import ChooseOtherName, FixProfile, StandbyError, StopStandbyFirst
from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.model.machine import MachineDefinition
from standby.model.manifest import DefinedDomain
from standby.model.observation import DomainFound
from standby.model.point import BootPoint
from standby.model.tpm import TpmVersion
from standby.target import layout
from standby.target.domain.element import parse_xml
from standby.target.domain.host_facts import (
    ask_host,
    disks_of_domain,
    existing,
    files_of_domain,
    files_of_domains,
    resolve,
)
from standby.target.domain.machine import Machine
from standby.target.domain.plan import plan_domain
from standby.target.domain.reading import read_machine
from standby.target.domain.render import read_mark, render_domain
from standby.target.domain.settings import DomainNames, DomainSettings, Identifier
from standby.target.domain.shedding import shed
from standby.target.domain.spec import NAMESPACE, DomainPlan, DomainSpec
from standby.target.domain.tpm import keep_state, place_state, tpm_version
from standby.target.layout import StandbyDirectory

log = logging.getLogger(__name__)

_UNDEFINES_TPM: Final = 8_009_000  # https://libvirt.org/news.html, 8.9.0

# What libvirt says of a definition that it does not accept; all else is not about the definition.
_REFUSALS: Final = frozenset(
    {
        libvirt.VIR_ERR_XML_INVALID_SCHEMA,
        libvirt.VIR_ERR_XML_DETAIL,
        libvirt.VIR_ERR_XML_ERROR,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_INVALID_ARG,
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_INTERNAL_ERROR,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    }
)

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

    def boots_other(self, images: Collection[str]) -> bool:
        """Tell whether our domain boots images of somebody's own.

        They stand on files of ours, as a snapshot does, or take the place of ours: somebody moved
        a running standby's disks elsewhere.
        """
        domain = self._lookup()
        if domain is None or not self._is_ours(domain):
            return False
        disks = {self._directory / image for image in images}
        named = frozenset(files_of_domain(domain)) - disks - {self._directory.head_nvram}
        others = named - self._left_of_former(named)
        if not others:
            return False
        booted = disks_of_domain(domain)
        if booted & others and not disks <= booted:
            return True
        inside = f"{self._directory.path}/"
        stand_on = resolve(self._host, tuple(others), self._directory.path)
        return any(path.startswith(inside) for path in (*others, *stand_on))

    def _left_of_former(self, named: Collection[str]) -> frozenset[str]:
        """Return images that a head had once: the domain has yet to be defined without them."""
        head = f"{self._directory.path}/{layout.HEAD}/"
        former = [path for path in named if path.startswith(head)]
        return frozenset(former) - frozenset(existing(self._host, former))

    def define(
        self, definition: MachineDefinition, point: BootPoint, known: DefinedDomain | None
    ) -> DefinedDomain:
        """Define it for a point's machine, unless it is so already.

        What somebody changed in it stays until it has to be defined anew; then it is kept aside.
        Raises ChooseOtherName when a domain that is not ours has the name or the UUID,
        FixProfile when the KVM host refuses the definition.
        """
        there = self._require_free_name()
        own = there.UUIDString() if there else known.uuid if known else str(uuid.uuid4())
        plan = self.plan(definition, point, own)
        xml = render_domain(plan.spec, self._order.template)
        defined = DefinedDomain(plan.spec.uuid, _digest(xml))
        same = known and replace(known, due=False, lacks_tpm="")
        if there and same and defined == replace(same, became=""):
            self._note_edits(there, same)
            return same
        if there:
            self._keep_edited(there, known)
        elif known:
            log.warning("%s: undefined by somebody; defined again", self._subject)
        self._require_free_uuid(plan.spec.uuid)
        if there and own != plan.spec.uuid:  # libvirt does not give a domain another UUID
            self._undefine(there, "to give it another UUID")
        self._define(plan)
        return replace(defined, became=_digest_of_lines(self._definition(self._lookup())))

    def _note_edits(self, there: libvirt.virDomain, known: DefinedDomain) -> None:
        if known.became and _digest_of_lines(self._definition(there)) != known.became:
            log.warning(
                "%s: edited by somebody; it stays so until the machine, the profile or the host "
                "changes. What is to last belongs into the profile: standby, standby.template",
                self._subject,
            )

    def _keep_edited(self, there: libvirt.virDomain, known: DefinedDomain | None) -> None:
        """Keep what somebody made of it, or may have made: it is about to be replaced."""
        xml = self._definition(there)
        if known and known.became in {"", _digest_of_lines(xml)}:
            return
        kept = self._directory / f"{layout.KEPT}/domain-{_digest(xml)[:12]}.xml"
        self._host.write_file(kept, xml.encode(), 0o600)
        log.warning(
            "%s: edited by somebody; defined anew, kept as it was in %s", self._subject, kept
        )

    def _definition(self, domain: libvirt.virDomain | None) -> str:
        if domain is None:
            return ""
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
        with libvirt_calls(self._subject):
            return str(domain.XMLDesc(flags))

    def undefine(self) -> None:
        """Undefine our domain, if it is there. Raises StopStandbyFirst when it runs by then."""
        there = self._lookup()
        if there is not None and self._is_ours(there):
            self._undefine(there, "to undefine it")

    def _undefine(self, domain: libvirt.virDomain, why: str) -> None:
        """Undefine a domain that is off: libvirt would let one that runs go on without a name."""
        with libvirt_calls(self._subject):
            if domain.isActive():
                raise StopStandbyFirst(self._subject, "it runs", f"a dormant standby, {why}")
            undefine(self._connection(), domain)
        if self._lookup() is not None:
            raise StopStandbyFirst(
                self._subject, "was started in this moment", f"a dormant standby, {why}"
            )

    def _define(self, plan: DomainPlan) -> None:
        done = shed(plan.spec, self._ask_libvirt)
        for replaced in (*plan.replaced, *done.replaced):
            log.warning("standby %s: %s", self._order.standby, replaced)

    def _ask_libvirt(self, spec: DomainSpec) -> FixProfile | None:
        """Define the domain; return why libvirt of the KVM host refuses it, if it does."""
        xml = render_domain(spec, self._order.template)
        with libvirt_calls(self._subject):
            try:
                domain = self._connection().defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
                domain.setAutostart(0)
            except libvirt.libvirtError as error:
                if error.get_error_code() not in _REFUSALS:
                    raise
                return self._refused(error)
        return None

    def _refused(self, error: libvirt.libvirtError) -> FixProfile:
        return FixProfile(
            self._subject,
            f"refused by libvirt: {' '.join(error.get_error_message().split())}",
            "a definition that the KVM host accepts",
            "change the keys below `standby` in the profile, or its template",
        )

    def _require_free_name(self) -> libvirt.virDomain | None:
        """Return our domain if there is one; raise ChooseOtherName when the name is not ours."""
        there = self._lookup()
        if there is not None and not self._is_ours(there):
            raise ChooseOtherName(
                self._subject,
                "a domain that is not ours has this name; it is left alone",
                "a free name",
                "give the standby another name in its profile: standby.name",
            )
        return there

    def _require_free_uuid(self, wanted: str) -> None:
        """Raise ChooseOtherName when a domain of another name has the UUID."""
        with libvirt_calls(self._subject):
            taken = [d.name() for d in self._connection().listAllDomains() if _has(d, wanted)]
        for name in taken:
            if name != self._order.standby:
                raise ChooseOtherName(
                    self._subject,
                    f"the domain {name} has the UUID {wanted}; it is left alone",
                    "a UUID that no other domain of the KVM host has",
                    "set standby.uuid: new in the profile, or rename that domain back",
                )

    def takes_variables(self, definition: MachineDefinition, point: BootPoint) -> bool:
        """Tell whether the machine's firmware variables fit the firmware the standby gets."""
        if definition.nvram is None:
            return False
        return self.plan(definition, point, str(uuid.uuid4())).takes_nvram

    def place_tpm(self, definition: MachineDefinition, state: str) -> StandbyError | None:
        """Give the domain's TPM a point's state, for its next start; return why it cannot be."""
        machine = tpm_version(parse_xml(definition.domain_xml, self._subject))
        tpm = self._tpm()
        if tpm is None or tpm[1] is not machine:
            return None  # what it cannot have was reported when it was defined
        try:
            place_state(self._host, *tpm, state)
        except StandbyError as error:
            log.warning("the TPM of %s stays as it is: %s", self._order.standby, error)
            return error
        return None

    def keep_tpm(self, file: str) -> None:
        """Copy what the domain's TPM holds to a file of the KVM host. A failure is logged."""
        tpm = self._tpm()
        if tpm is None:
            return
        try:
            keep_state(self._host, *tpm, file)
        except StandbyError as error:
            log.warning("what the TPM of %s holds is not kept: %s", self._order.standby, error)

    def _tpm(self) -> tuple[str, TpmVersion] | None:
        """Return the UUID of the domain and which emulated TPM it has; None without one."""
        domain = self._lookup()
        if domain is None:
            return None
        with libvirt_calls(self._subject):
            ours = parse_xml(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), self._subject)
            version = tpm_version(ours)
            return None if version is None else (domain.UUIDString(), version)

    def plan(self, definition: MachineDefinition, point: BootPoint, own_uuid: str) -> DomainPlan:
        """Plan the domain for a point's machine on this host. `own_uuid`: if it is new, or ours."""
        machine = read_machine(definition.domain_xml)
        captured = [delta.disk for delta in point.deltas]
        empty = [blank.disk for blank in point.blanks]
        settings = self._order.settings_for(machine, captured, empty)
        # What is derived from the UUID must not depend on whether the domain is there already.
        shares = settings.uuid is Identifier.KEEP or own_uuid == machine.uuid
        names = DomainNames(
            standby=self._order.standby,
            directory=self._directory,
            profile=self._order.profile,
            uuid=_another(machine.uuid) if shares else own_uuid,
            nvram_bytes=len(definition.nvram) if definition.nvram is not None else None,
            holds_tpm=definition.tpm is not None,
        )
        return plan_domain(machine, settings, ask_host(self._host, machine, settings), names)

    def files_in_use(self) -> Sequence[str]:
        """Return the absolute path of every image that domains of the host stand on.

        What our domain names below the head is left out: it is the head itself.
        """
        head = f"{self._directory.path}/{layout.HEAD}/"
        named = files_of_domains(self._connection())
        others = tuple(path for path in named if not path.startswith(head))
        return resolve(self._host, others, self._directory.path)

    @property
    def _subject(self) -> str:
        return f"domain {self._order.standby} on {self._host.name}"

    def _connection(self) -> libvirt.virConnect:
        return self._host.libvirt()

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
        return read_mark(parse_xml(xml, self._subject)).directory == self._directory.path


def undefine(connection: libvirt.virConnect, domain: libvirt.virDomain) -> None:
    """Undefine an inactive domain with all that libvirt keeps for it.

    Its disks and firmware variables stay: they belong to the standby's directory.
    """
    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
    )
    if connection.getLibVersion() >= _UNDEFINES_TPM:
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_TPM
    domain.undefineFlags(flags)


def _digest(xml: str) -> str:
    return hashlib.sha256(xml.encode()).hexdigest()


def _digest_of_lines(xml: str) -> str:
    """Return a digest that libvirt's own changes of order, as after a start, do not change."""
    return _digest("\n".join(sorted(line.strip() for line in xml.splitlines())))


def _has(domain: libvirt.virDomain, wanted: str) -> bool:
    return bool(domain.UUIDString() == wanted)


def _another(taken: str) -> str:
    """Return a UUID for a standby that must not have the machine's own."""
    return str(uuid.uuid5(uuid.UUID(taken), "standby"))
