"""The machine as the source shows it and as a point keeps it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum


class PowerState(Enum):
    """What the source VM does."""

    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class MachineIdentity:
    """Which machine it is: its name and UUID on the source."""

    name: str
    uuid: str


@dataclass(frozen=True, slots=True)
class MachineDefinition:
    """What, besides disks, makes the machine: kept with every boot point."""

    domain_xml: str  # the source's own definition, inactive form
    nvram: bytes | None = None  # UEFI variables; None without UEFI
    tpm: bytes | None = None  # state of an emulated TPM; None without one, or if it is closed to us

    @property
    def digest(self) -> str:
        """SHA-256 over all of it, to tell whether anything changed."""
        digest = hashlib.sha256(self.domain_xml.encode())
        digest.update(b"\0nvram\0" + self.nvram if self.nvram is not None else b"")
        digest.update(b"\0tpm\0" + self.tpm if self.tpm is not None else b"")
        return digest.hexdigest()
