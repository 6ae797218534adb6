"""The dormant domain of a profile, as the store uses it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from standby.host.interface import Host
from standby.profile import Disconnected, Profile, ToBridge, ToNetwork
from standby.profile import Standby as StandbySection
from standby.profile import Virtualisation as AskedVirtualisation
from standby.target.domain.dormant import DomainOrder, LibvirtDormantDomain
from standby.target.domain.machine import Machine, Virtualisation
from standby.target.domain.settings import (
    DISCONNECTED,
    Connection,
    ConnectionKind,
    DiskBus,
    DomainSettings,
    Identifier,
    Link,
)
from standby.target.layout import StandbyDirectory

_VIRTUALISATIONS: Final = {
    None: None,
    AskedVirtualisation.KVM: Virtualisation.KVM,
    AskedVirtualisation.EMULATED: Virtualisation.EMULATED,
}


def dormant_domain(
    host: Host, profile: Profile, directory: StandbyDirectory
) -> LibvirtDormantDomain:
    """Return the dormant domain that a profile asks for on its KVM host."""
    order = DomainOrder(
        profile=profile.name,
        standby=profile.standby_name,
        template=Path(profile.standby.template) if profile.standby.template else None,
        settings_for=lambda machine, captured, empty: domain_settings(
            profile.standby, machine, captured, empty
        ),
    )
    return LibvirtDormantDomain(host, directory, order)


def domain_settings(
    asked: StandbySection, machine: Machine, captured: Sequence[str], empty: Sequence[str]
) -> DomainSettings:
    """Say in the words of the domain room what a profile asks of the standby."""
    return DomainSettings(
        captured=frozenset(captured),
        empty=frozenset(empty),
        title=asked.title,
        memory=asked.memory,
        vcpus=asked.vcpus,
        machine_type=asked.machine_type,
        virtualisation=_VIRTUALISATIONS[asked.virtualisation],
        disk_bus=DiskBus(asked.disk_bus.value) if asked.disk_bus else None,
        nic_model=asked.nic_model.value if asked.nic_model else None,
        connections=tuple(
            _connection(asked.connection_of(index, nic.mac))
            for index, nic in enumerate(machine.nics)
        ),
        uuid=Identifier(asked.uuid.value),
        mac=Identifier(asked.mac.value),
        link=Link(asked.link.value),
    )


def _connection(asked: ToNetwork | ToBridge | Disconnected | None) -> Connection | None:
    match asked:
        case ToNetwork(network=name):
            return Connection(ConnectionKind.NETWORK, str(name))
        case ToBridge(bridge=name):
            return Connection(ConnectionKind.BRIDGE, str(name))
        case Disconnected():
            return DISCONNECTED
    return None
