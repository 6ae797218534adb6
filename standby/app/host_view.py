"""What a host has to offer: shown before a profile is written for it. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from standby.app.checks.finding import Finding
from standby.app.checks.host_facts import HostFacts, probe_host
from standby.app.checks.libvirt_facts import LibvirtFacts, probe_libvirt
from standby.app.checks.needs import WANTED
from standby.app.checks.virtualisation import judge_virtualisation, probe_virtualisation
from standby.app.session import Session
from standby.errors import CommandFailed
from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.target.domain.capabilities import HostCapabilities
from standby.target.domain.element import parse_xml
from standby.target.domain.host_facts import host_capabilities
from standby.target.filesystems import Promise, promise_of

_LOOK_S: Final = 60.0

# Prints free and total bytes, the type as stat(1) names it, and the path of every file system
# that files could be kept on; one that does not answer is left out by df itself.
_MOUNTS: Final = """
df -B1 --output=avail,size,target \\
  -x tmpfs -x devtmpfs -x efivarfs -x squashfs -x ramfs 2>/dev/null |
  sed 1d | while read -r free size target; do
    echo "$free $size $(stat -f -c %T -- "$target") $target"
  done
"""


@dataclass(frozen=True, slots=True)
class Storage:
    """A place for boot points: a mounted file system, or a libvirt pool. Bytes."""

    path: str
    available: int
    total: int
    pool: str = ""  # its name, "" for a mounted file system
    kind: str = ""  # the pool's type, or the file system's as stat(1) names it
    promise: Promise | None = None  # None: a pool of which its file system was not asked
    active: bool = True


@dataclass(frozen=True, slots=True)
class Network:
    """A libvirt network. `mode` is how it forwards: nat, bridge, isolated, …."""

    name: str
    mode: str
    bridge: str
    active: bool
    autostart: bool


@dataclass(frozen=True, slots=True)
class HostView:
    """One host."""

    facts: HostFacts
    libvirt: LibvirtFacts
    capabilities: HostCapabilities
    storages: tuple[Storage, ...]
    networks: tuple[Network, ...]
    virtualisation: Finding | None  # None: no QEMU for the host's own architecture

    @property
    def bridges(self) -> tuple[str, ...]:
        """Names of its bridges."""
        return tuple(sorted(self.capabilities.bridges or ()))


def view_host(session: Session, name: str) -> HostView:
    """Look at a host of the configuration. Raises StandbyError when it cannot be asked."""
    host = session.host(session.configuration.host(name))
    facts, libvirt = probe_host(host, WANTED), probe_libvirt(host)
    return HostView(
        facts=facts,
        libvirt=libvirt,
        capabilities=host_capabilities(host),
        storages=(*mounts_of(host), *pools_of(host)),
        networks=networks_of(host),
        virtualisation=_virtualisation(host, libvirt),
    )


def _virtualisation(host: Host, libvirt: LibvirtFacts) -> Finding | None:
    if libvirt.guest is None:
        return None
    tried = probe_virtualisation(host, libvirt.guest.emulator)
    return judge_virtualisation(host.name, tried, accelerated=libvirt.accelerated)


def mounts_of(host: Host) -> tuple[Storage, ...]:
    """Return the mounted file systems."""
    text = host.run(("sh", "-c", _MOUNTS, "standby-mounts"), timeout=_LOOK_S).text
    return tuple(parse_mount(line, host.name) for line in text.splitlines())


def parse_mount(line: str, where: str) -> Storage:
    """Read a line of what the program above printed. Raises CommandFailed when it is not that."""
    try:
        available, total, kind, path = line.split(" ", 3)
        return Storage(path, int(available), int(total), kind=kind, promise=promise_of(kind))
    except ValueError as error:
        raise CommandFailed(where, f"unreadable: {line!r}", "a mounted file system") from error


def pools_of(host: Host) -> tuple[Storage, ...]:
    """Return libvirt's storage pools."""
    with libvirt_calls(f"{host.name}: storage pools"):
        pools = host.libvirt().listAllStoragePools()
        described = [(it.name(), it.XMLDesc(), bool(it.isActive())) for it in pools]
    return tuple(parse_pool(name, xml, active=active) for name, xml, active in described)


def parse_pool(name: str, xml: str, *, active: bool) -> Storage:
    """Read a pool's XML; capacity and free bytes are 0 while it is not active."""
    root = parse_xml(xml, f"storage pool {name}")
    return Storage(
        path=root.text_of("target/path"),
        available=int(root.text_of("available", "0")),
        total=int(root.text_of("capacity", "0")),
        pool=name,
        kind=root.get("type"),
        active=active,
    )


def networks_of(host: Host) -> tuple[Network, ...]:
    """Return libvirt's networks."""
    with libvirt_calls(f"{host.name}: networks"):
        return tuple(_networks(host))


def _networks(host: Host) -> Iterator[Network]:
    for network in host.libvirt().listAllNetworks():
        root = parse_xml(network.XMLDesc(), "network")
        yield Network(
            name=network.name(),
            mode=root.attribute_of("forward", "mode") or "isolated",
            bridge=root.attribute_of("bridge", "name"),
            active=bool(network.isActive()),
            autostart=bool(network.autostart()),
        )
