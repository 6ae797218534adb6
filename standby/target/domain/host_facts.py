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
from standby.target.domain.element import parse_xml
from standby.target.domain.ground import KvmHost
from standby.target.domain.machine import Machine
from standby.target.domain.platform import choose_platform
from standby.target.domain.settings import DomainSettings

_LOOK_S: Final = 30.0

# Prints the names of the host's bridges.
_BRIDGES: Final = """
for d in /sys/class/net/*/bridge; do
  [ -d "$d" ] || continue
  d=${d%/bridge}; printf '%s\\n' "${d##*/}"
done
"""


# Arguments: image files. Prints each and everything it stands on, without links. An image that
# cannot be read has no backing files that anybody could tell.
_RESOLVE: Final = """
for image in "$@"; do
  realpath -m -- "$image"
  [ -r "$image" ] || continue
  case $(head -c 4 -- "$image" | tr -d '\\0') in QFI*) ;; *) continue ;; esac
  qemu-img info -U --backing-chain --output=json -- "$image" 2>/dev/null |
    sed -n 's/^ *"filename": "\\(.*\\)",*$/\\1/p' |
    while IFS= read -r file; do realpath -m -- "$file"; done
done
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
    return KvmHost(capabilities, read_platform(xml))


def host_capabilities(host: Host) -> HostCapabilities:
    """Ask for architectures, machine types, networks and bridges."""
    connection = host.libvirt()
    bridges = host.run(("sh", "-c", _BRIDGES), timeout=_LOOK_S).text.split()
    with libvirt_calls(f"capabilities of {host.name}"):
        networks = frozenset(network.name() for network in connection.listAllNetworks())
        return read_capabilities(connection.getCapabilities(), networks, frozenset(bridges))


def files_of_others(connection: libvirt.virConnect, own: str) -> Iterator[str]:
    """Yield the path of every disk of every domain but `own`, as its definitions name it."""
    with libvirt_calls("domains of the KVM host"):
        others = [domain for domain in connection.listAllDomains() if domain.name() != own]
        definitions = [text for domain in others for text in _definitions(domain)]
    for definition in definitions:
        yield from _sources(definition)


def resolve(host: Host, paths: Sequence[str]) -> tuple[str, ...]:
    """Return the files themselves that these paths and all their backing files lead to.

    The host resolves them: a path through a link must never be shortened as text.
    """
    if not paths:
        return ()
    done = host.run(("sh", "-c", _RESOLVE, "standby-resolve", *sorted(set(paths))), timeout=_LOOK_S)
    return tuple(done.text.splitlines())


def _definitions(domain: libvirt.virDomain) -> Iterator[str]:
    """Yield the definitions of one domain; one that vanished meanwhile has none."""
    try:
        yield domain.XMLDesc(0)
        if domain.isActive() and domain.isPersistent():
            yield domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise


def _sources(definition: str) -> Iterator[str]:
    for element in parse_xml(definition, "domain").walk():
        if element.tag == "source" and element.get("file"):
            yield element.get("file")
