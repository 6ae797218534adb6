"""Planning the standby's network cards. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from standby.target.domain.element import Element
from standby.target.domain.ground import Ground, Judged
from standby.target.domain.machine import Nic
from standby.target.domain.settings import (
    DISCONNECTED,
    Connection,
    ConnectionKind,
    Identifier,
    Link,
    Replacement,
)
from standby.target.domain.spec import NicSpec

_QEMU_OUI: Final = "52:54:00"  # the prefix that QEMU and libvirt give to NICs
# Cards of conventional PCI do not fit the PCI Express slot of another, nor the other way round.
_CONVENTIONAL: Final = frozenset({"e1000", "rtl8139", "ne2k_pci", "pcnet", "i82551", "i82557b"})
_CARRIED: Final = {
    "network": ConnectionKind.NETWORK,
    "bridge": ConnectionKind.BRIDGE,
    "user": ConnectionKind.USER,
}


def plan_nics(ground: Ground) -> Judged[tuple[NicSpec, ...]]:
    """Plan every network card; one that cannot be connected is there, but not plugged in."""
    judged = [_plan_nic(ground, nic, index) for index, nic in enumerate(ground.machine.nics)]
    specs = tuple(one.value for one in judged)
    return Judged(specs, tuple(entry for one in judged for entry in one.replaced))


def new_mac(domain_uuid: str, index: int) -> str:
    """Return the MAC of NIC `index`: the same whenever the domain is planned again."""
    digest = hashlib.sha256(f"{domain_uuid} {index}".encode()).hexdigest()
    return ":".join((_QEMU_OUI, digest[0:2], digest[2:4], digest[4:6]))


def _plan_nic(ground: Ground, nic: Nic, index: int) -> Judged[NicSpec]:
    connection = _connect(ground, nic, index)
    model = ground.settings.nic_model or nic.model
    is_new = ground.settings.mac is Identifier.NEW or not nic.mac
    spec = NicSpec(
        mac=new_mac(ground.names.uuid, index) if is_new else nic.mac,
        connection=connection.value,
        link=_link(ground, nic, connection.value),
        model=model,
        virtual_port=_virtual_port(nic, connection.value),
        boot_order=nic.boot_order,
        look=nic.look,
        address=_address(ground, nic, model),
    )
    return Judged(spec, connection.replaced + tuple(_remarks(nic, index)))


def _connect(ground: Ground, nic: Nic, index: int) -> Judged[Connection]:
    asked = ground.settings.connections[index : index + 1]
    if asked and asked[0] is not None:
        return _if_possible(ground, asked[0], index)
    if nic.kind not in _CARRIED:
        by, why = "not connected", "it hangs on hardware or programs of the source's host"
        return Judged(DISCONNECTED, (Replacement(f"NIC {index}, {nic.kind}", by, why),))
    return _if_possible(ground, Connection(_CARRIED[nic.kind], nic.source), index)


def _if_possible(ground: Ground, wanted: Connection, index: int) -> Judged[Connection]:
    host = ground.host.capabilities
    there = {
        ConnectionKind.NETWORK: wanted.name in host.networks,
        ConnectionKind.BRIDGE: host.bridges is None or wanted.name in host.bridges,
    }
    if there.get(wanted.kind, True):
        return Judged(wanted)
    what = f"NIC {index} on {wanted.kind.value} {wanted.name}"
    why = "the KVM host has none of that name; connect it: virsh update-device"
    return Judged(DISCONNECTED, (Replacement(what, "not connected", why),))


def _link(ground: Ground, nic: Nic, connection: Connection) -> Link:
    is_down = nic.link == "down" or ground.settings.link is Link.DOWN
    return Link.DOWN if is_down or connection == DISCONNECTED else Link.UP


def _virtual_port(nic: Nic, connection: Connection) -> str:
    """Only a bridge of the same name is taken to be of the same kind."""
    is_same = connection == Connection(ConnectionKind.BRIDGE, nic.source)
    return "openvswitch" if is_same and nic.virtual_port == "openvswitch" else ""


def _address(ground: Ground, nic: Nic, model: str) -> Element | None:
    fits = (model in _CONVENTIONAL) is (nic.model in _CONVENTIONAL)
    return nic.address if ground.same_family and fits else None


def _remarks(nic: Nic, index: int) -> Iterable[Replacement]:
    for tag in nic.unknown:
        what, why = f"<{tag}> of NIC {index}", "it belongs to the source's network"
        yield Replacement(what, "left out", why)
