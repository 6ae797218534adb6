"""What every part of a plan stands on, and what every part answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from standby.target.domain.capabilities import HostCapabilities, PlatformCapabilities
from standby.target.domain.machine import Machine, Virtualisation
from standby.target.domain.settings import DomainNames, DomainSettings, Replacement
from standby.target.domain.spec import Platform

T = TypeVar("T")

LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Judged(Generic[T]):
    """One part of a plan, and what it has otherwise than the machine."""

    value: T
    replaced: tuple[Replacement, ...] = ()


@dataclass(frozen=True, slots=True)
class KvmHost:
    """What was asked of the KVM host before planning.

    `runs_cpu` is its answer about the machine's own processor; None where it gave none.
    """

    capabilities: HostCapabilities
    platform: PlatformCapabilities
    runs_cpu: bool | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything that the parts of a plan look at."""

    machine: Machine
    settings: DomainSettings
    host: KvmHost
    names: DomainNames
    platform: Platform
    same_family: bool  # of machine types: then the guest's addresses of devices still hold

    @property
    def emulated(self) -> bool:
        """Whether QEMU interprets the guest's processor."""
        return self.platform.virtualisation is Virtualisation.EMULATED


def left_out(what: str, why: str) -> Replacement:
    """Say that the standby does not have something."""
    return Replacement(what, LEFT_OUT, why)
