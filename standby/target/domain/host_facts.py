"""What the KVM host answers about itself, before a domain is planned for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import libvirt

from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.target.domain.capabilities import (
    HostCapabilities,
    read_capabilities,
    read_platform,
)
from standby.target.domain.element import Element, parse_xml
from standby.target.domain.ground import KvmHost
from standby.target.domain.machine import Cpu, Machine
from standby.target.domain.platform import choose_platform
from standby.target.domain.render import render_cpu
from standby.target.domain.settings import DomainSettings
from standby.target.domain.spec import Platform

_LOOK_S: Final = 30.0

_RUNS: Final = frozenset({libvirt.VIR_CPU_COMPARE_IDENTICAL, libvirt.VIR_CPU_COMPARE_SUPERSET})
_CANNOT_COMPARE: Final = frozenset(
    {
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
        libvirt.VIR_ERR_INTERNAL_ERROR,
        libvirt.VIR_ERR_CPU_INCOMPATIBLE,
        libvirt.VIR_ERR_INVALID_ARG,
        libvirt.VIR_ERR_XML_ERROR,
    }
)
_FIXED: Final = frozenset({"", "disk", "lun"})
_VANISHED: Final = frozenset(
    {
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
        libvirt.VIR_ERR_NO_STORAGE_POOL,
        libvirt.VIR_ERR_NO_STORAGE_VOL,
        libvirt.VIR_ERR_OPERATION_INVALID,  # a managed save image that is gone by now
    }
)

# Prints the names of the host's bridges.
_BRIDGES: Final = """
for d in /sys/class/net/*/bridge; do
  [ -d "$d" ] || continue
  d=${d%/bridge}; printf '%s\\n' "${d##*/}"
done
"""


# Arguments: a directory, image files. Prints the directory, then each of these and everything it
# stands on, without links. An image that cannot be read has no backing files that anybody could
# tell.
_RESOLVE: Final = """
realpath -m -- "$1"; shift
for image in "$@"; do
  realpath -m -- "$image"
  [ -r "$image" ] || continue
  case $(head -c 4 -- "$image" | tr -d '\\0') in QFI*) ;; *) continue ;; esac
  qemu-img info -U --backing-chain --output=json -- "$image" 2>/dev/null |
    sed -n 's/^ *"filename": "\\(.*\\)",*$/\\1/p' |
    while IFS= read -r file; do realpath -m -- "$file"; done
done
"""


# Arguments: files. Prints those that are there.
_EXISTING: Final = """
for file; do [ ! -e "$file" ] || printf '%s\\n' "$file"; done
"""


def ask_host(host: Host, machine: Machine, settings: DomainSettings) -> KvmHost:
    """Ask what a plan for this machine depends on."""
    connection = host.libvirt()
    capabilities = host_capabilities(host)
    platform = choose_platform(machine, settings, capabilities).value
    guest = capabilities.of(platform.arch)
    with libvirt_calls(f"capabilities of {host.name}"):
        xml = connection.getDomainCapabilities(
            guest.emulator, platform.arch, platform.machine_type, platform.virtualisation.value, 0
        )
        runs_cpu = _runs_cpu(connection, guest.emulator, platform, machine.cpu)
    return KvmHost(capabilities, read_platform(xml), runs_cpu)


def _runs_cpu(
    connection: libvirt.virConnect, emulator: str, platform: Platform, cpu: Cpu | None
) -> bool | None:
    """Ask whether the host can run the machine's processor, which has to be a named model.

    None means that it does not say: an architecture without comparison, or an unknown model.
    """
    if cpu is None or not cpu.model:
        return None
    xml = render_cpu(cpu)
    where = emulator, platform.arch, platform.machine_type, platform.virtualisation.value
    try:
        return connection.compareHypervisorCPU(*where, xml, 0) in _RUNS
    except libvirt.libvirtError as error:
        if error.get_error_code() in _CANNOT_COMPARE:
            return None
        raise


def host_capabilities(host: Host) -> HostCapabilities:
    """Ask for architectures, machine types, networks and bridges."""
    connection = host.libvirt()
    bridges = host.run(("sh", "-c", _BRIDGES), timeout=_LOOK_S).text.split()
    with libvirt_calls(f"capabilities of {host.name}"):
        networks = frozenset(network.name() for network in connection.listAllNetworks())
        return read_capabilities(connection.getCapabilities(), networks, frozenset(bridges))


def files_of_domains(connection: libvirt.virConnect) -> Iterator[str]:
    """Yield the path of every disk of every domain, as anything libvirt keeps of it names it.

    That is: its running and its inactive definition, its snapshots, and the definition in its
    managed save image. Backing files are named only where libvirt knows them.
    """
    with libvirt_calls("domains of the KVM host"):
        definitions = [
            text for domain in connection.listAllDomains() for text in _definitions(domain)
        ]
        for definition in definitions:
            yield from _sources(connection, definition)


def files_of_domain(domain: libvirt.virDomain) -> tuple[str, ...]:
    """Return the path of every disk of one domain as its next start opens them."""
    with libvirt_calls(f"domain {domain.name()}"):
        definition = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        return tuple(_sources(domain.connect(), definition))


def disks_of_domain(domain: libvirt.virDomain) -> frozenset[str]:
    """Return the images that the disks of one domain name for its next start; of no drives."""
    with libvirt_calls(f"domain {domain.name()}"):
        definition = parse_xml(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), "domain")
        disks = (it for it in definition.all("devices/disk") if it.get("device") in _FIXED)
        found = (_named(domain.connect(), source) for it in disks for source in it.all("source"))
        return frozenset(path for paths in found for path in paths)


def existing(host: Host, paths: Sequence[str]) -> tuple[str, ...]:
    """Return those of some files of the host that are there."""
    if not paths:
        return ()
    done = host.run(("sh", "-c", _EXISTING, "standby-existing", *paths), timeout=_LOOK_S)
    return tuple(done.text.splitlines())


def resolve(host: Host, paths: Sequence[str], directory: str) -> tuple[str, ...]:
    """Return the files themselves that these paths and all their backing files lead to.

    The host resolves them: a path through a link must never be shortened as text. What lies in
    `directory` is named as that is: its storage may be a link.
    """
    if not paths:
        return ()
    argv = ("sh", "-c", _RESOLVE, "standby-resolve", directory, *sorted(set(paths)))
    itself, *files = host.run(argv, timeout=_LOOK_S).text.splitlines()
    inside = f"{itself}/"
    return tuple(
        f"{directory}/{file.removeprefix(inside)}" if file.startswith(inside) else file
        for file in files
    )


def _definitions(domain: libvirt.virDomain) -> Iterator[str]:
    """Yield the definitions of one domain; what vanished meanwhile has none."""
    try:
        yield domain.XMLDesc(0)
        if domain.isActive() and domain.isPersistent():
            yield domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        if domain.hasManagedSaveImage():
            yield domain.managedSaveGetXMLDesc(0)
        for snapshot in domain.listAllSnapshots():
            yield snapshot.getXMLDesc(0)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _VANISHED:
            raise


def _sources(connection: libvirt.virConnect, definition: str) -> Iterator[str]:
    for element in parse_xml(definition, "domain").walk():
        if element.tag == "source":
            yield from _named(connection, element)


def _named(connection: libvirt.virConnect, source: Element) -> Iterator[str]:
    yield from (p for p in (source.get("file"), source.get("dev")) if p.startswith("/"))
    if source.get("volume"):
        yield from _volume(connection, source.get("pool"), source.get("volume"))


def _volume(connection: libvirt.virConnect, pool: str, volume: str) -> Iterator[str]:
    try:
        yield connection.storagePoolLookupByName(pool).storageVolLookupByName(volume).path()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _VANISHED:
            raise
