"""A libvirt VM, running, paused or off, as a cycle sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import libvirt

from standby.errors import GrantAccess, RepairSource
from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.host.scripts import Script, ScriptEnding
from standby.model.disk import DiskLeftOut, ExcludedAs, LeftOutBecause, SourceDisk
from standby.model.machine import MachineDefinition, MachineIdentity, PowerState
from standby.model.observation import SourceObservation, TrackedCheckpoint
from standby.model.plan import CapturePlan
from standby.sources.libvirt_vm import checkpoints, images
from standby.sources.libvirt_vm.definition import DefinedDisk, boot_disk, disks_of, nvram_path
from standby.sources.libvirt_vm.leftovers import clear
from standby.sources.libvirt_vm.offline import OfflineCapture, offline_capture
from standby.sources.libvirt_vm.running import (
    CaptureFrame,
    RunningCapture,
    power_state,
    running_capture,
)
from standby.sources.libvirt_vm.running_disks import RunningMachine, as_it_runs
from standby.sources.libvirt_vm.scratch import (
    possible_directories,
    scratch_spaces,
)
from standby.sources.libvirt_vm.scripts import run_in_guest
from standby.sources.libvirt_vm.settings import SourceSettings
from standby.sources.libvirt_vm.tpm import tpm_state_path

log = logging.getLogger(__name__)


class LibvirtSource:
    """One VM on one host."""

    def __init__(self, host: Host, settings: SourceSettings) -> None:
        self._host = host
        self._settings = settings

    def identity(self) -> MachineIdentity:
        """Return the machine's name and UUID. Raises RepairSource when there is no such VM."""
        domain = self._domain()
        with libvirt_calls(f"domain {self._settings.domain}"):
            return MachineIdentity(domain.name(), domain.UUIDString())

    def observe(self, owner: str) -> SourceObservation:
        """Look. `owner` begins the names of our checkpoints.

        The one thing it may do is to make a bitmap that was begun while the VM was off known to
        libvirt, which changes nothing in the guest or its images.
        """
        domain = self._domain()
        power = power_state(domain)
        machine = self._machine(domain)
        defined = disks_of(machine.xml, self._settings)
        found = self._found_disks(domain, defined)
        off = power is PowerState.OFF
        headers = images.headers_of(self._host, found, chains=off)
        disks = images.with_versions(found, headers)
        return SourceObservation(
            identity=MachineIdentity(domain.name(), domain.UUIDString()),
            power=power,
            definition=self._definition(machine.xml),
            disks=disks,
            left_out=tuple(self._left_out(domain, d) for d in defined if d.left_out),
            checkpoints=self._tracked(domain, power, headers, owner),
            scratch=() if off else scratch_spaces(self._host, disks, self._settings),
            warnings=(*machine.remarks, *_warnings(defined)),
            moving=machine.moving,
        )

    @contextmanager
    def capture(self, plan: CapturePlan) -> Generator[RunningCapture | OfflineCapture]:
        """Take a capture; leaving the context ends it and gives up its scratch space."""
        domain = self._domain()
        definition = self._definition(self._machine(domain).xml)
        if power_state(domain) is PowerState.OFF:
            connection = self._host.libvirt()
            places = possible_directories([disk.disk for disk in plan.disks], self._settings)
            clear(self._host, plan.owner, places)
            with offline_capture(self._host, connection, domain, plan, definition) as offline:
                yield offline
            return
        all_disks = [d.name for d in disks_of(definition.domain_xml, self._settings)]
        frame = CaptureFrame(self._host, domain, self._settings, definition, all_disks)
        with running_capture(frame, plan) as running:
            yield running

    def forget(self, names: Sequence[str]) -> None:
        """Delete checkpoints of ours and their bitmaps; missing ones are no error."""
        if not names:
            return
        domain = self._domain()
        checkpoints.forget(domain, names)
        if power_state(domain) is PowerState.OFF:
            defined = disks_of(self._machine(domain).xml, self._settings)
            disks = self._found_disks(domain, defined)
            images.remove_bitmaps(self._host, disks, names)

    def run_inside(self, script: Script, wanted: Callable[[], bool]) -> ScriptEnding | None:
        """Run a script in the guest; None when the machine does not run: no program is there.

        It is ended when `wanted` says no. Raises ReachHost, InstallPrograms, CommandTimedOut.
        """
        domain = self._domain()
        if power_state(domain) is not PowerState.RUNNING:
            return None
        return run_in_guest(domain, script, wanted)

    def _domain(self) -> libvirt.virDomain:
        connection = self._host.libvirt()
        wanted = self._settings.domain
        try:
            return connection.lookupByName(wanted)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                with libvirt_calls(f"domain {wanted}"):
                    raise
        try:
            return connection.lookupByUUIDString(wanted)
        except libvirt.libvirtError as error:
            raise RepairSource(
                f"domain {wanted}",
                f"not found on {self._host.name}",
                "a domain's name or UUID",
                "list them: virsh list --all",
            ) from error

    def _machine(self, domain: libvirt.virDomain) -> RunningMachine:
        secure = libvirt.VIR_DOMAIN_XML_SECURE
        with libvirt_calls(f"domain {domain.name()}"):
            now = domain.XMLDesc(secure)
            if not (domain.isPersistent() and domain.isActive()):
                return RunningMachine(now)
            return as_it_runs(domain.XMLDesc(secure | libvirt.VIR_DOMAIN_XML_INACTIVE), now)

    def _definition(self, xml: str) -> MachineDefinition:
        variables, state = nvram_path(xml), tpm_state_path(xml)
        return MachineDefinition(
            xml,
            nvram=self._host.read_file(variables) if variables else None,
            tpm=self._tpm_state(state) if state else None,
        )

    def _tpm_state(self, path: str) -> bytes | None:
        try:
            return self._host.read_file(path)
        except GrantAccess as error:  # the machine may well boot without
            log.warning("the standby's TPM will be empty: %s", error)
            return None

    def _found_disks(
        self, domain: libvirt.virDomain, defined: Sequence[DefinedDisk]
    ) -> Sequence[SourceDisk]:
        return [self._source_disk(domain, disk) for disk in defined if disk.left_out is None]

    def _source_disk(self, domain: libvirt.virDomain, disk: DefinedDisk) -> SourceDisk:
        with libvirt_calls(f"disk {disk.name} of {domain.name()}"):
            capacity, allocated, _ = (int(bytes_) for bytes_ in domain.blockInfo(disk.name))
        return SourceDisk(
            disk.name, disk.path, disk.image_format, disk.storage, capacity, allocated
        )

    def _left_out(self, domain: libvirt.virDomain, disk: DefinedDisk) -> DiskLeftOut:
        because = disk.left_out or LeftOutBecause.EXCLUDED
        if because is not LeftOutBecause.EXCLUDED or not disk.path:
            return DiskLeftOut(disk.name, because)
        with libvirt_calls(f"disk {disk.name} of {domain.name()}"):
            size = int(domain.blockInfo(disk.name)[0])
        stands_as = self._settings.excluded.get(disk.name, ExcludedAs.ABSENT)
        return DiskLeftOut(disk.name, because, size, stands_as)

    def _tracked(
        self,
        domain: libvirt.virDomain,
        power: PowerState,
        headers: images.Headers,
        owner: str,
    ) -> tuple[TrackedCheckpoint, ...]:
        """Return our checkpoints; those begun while the VM was off are made known to libvirt.

        Among these is the one that the next incremental counts from, and what a capture left
        that was given up because the VM started: known to libvirt, it can be forgotten.
        """
        in_images = images.tracked_in_images(headers, owner)
        if power is PowerState.OFF:
            return in_images
        found = checkpoints.tracked_checkpoints(domain, owner)
        known = {tracked.name for tracked in found}
        unknown = [tracked for tracked in in_images if tracked.name not in known]
        redefined = [
            checkpoints.redefine(domain, tracked.name, [d.disk for d in tracked.disks])
            for tracked in unknown
        ]
        return checkpoints.tracked_checkpoints(domain, owner) if any(redefined) else found


def _warnings(disks: tuple[DefinedDisk, ...]) -> Iterator[str]:
    drives = {LeftOutBecause.CDROM, LeftOutBecause.FLOPPY}
    first = boot_disk(disks)
    for disk in disks:
        if disk.left_out is None:
            continue
        if disk.name == first and disk.left_out not in drives:
            yield f"disk {disk.name}, which the machine boots from, is left out: it will not boot"
        yield f"disk {disk.name} is left out: {disk.left_out.value}"
