"""All that other rooms take from this one; importing it costs a quarter of a second."""

from __future__ import annotations

from standby.profile.dormant import (
    Connection,
    Disconnected,
    DiskBus,
    Identifier,
    Link,
    NicModel,
    Standby,
    ToBridge,
    ToNetwork,
    Virtualisation,
)
from standby.profile.effective import Origin, Profile
from standby.profile.hosts import HostSettings, LocalAddress, SshAddress
from standby.profile.loader import Configuration, load
from standby.profile.manager import (
    HistorySettings,
    MailSecurity,
    MailServer,
    ManagerSettings,
    MetricsSettings,
)
from standby.profile.mistakes import Mark, Mistake, ProfileMistakes
from standby.profile.points import BootPoints, Tiers
from standby.profile.profile_file import Compression, Merge, Transfer
from standby.profile.root import find_root, is_profile_file
from standby.profile.secret import SecretFile, SecretVariable
from standby.profile.source import Disks, LibvirtSource, OnUnavailableAgent, Scratch
from standby.profile.surveying import survey
from standby.profile.target import Allocation, StoragePool, Target
from standby.profile.units import Reserve

__all__ = [
    "Allocation",
    "BootPoints",
    "Compression",
    "Configuration",
    "Connection",
    "Disconnected",
    "DiskBus",
    "Disks",
    "HistorySettings",
    "HostSettings",
    "Identifier",
    "LibvirtSource",
    "Link",
    "LocalAddress",
    "MailSecurity",
    "MailServer",
    "ManagerSettings",
    "Mark",
    "Merge",
    "MetricsSettings",
    "Mistake",
    "NicModel",
    "OnUnavailableAgent",
    "Origin",
    "Profile",
    "ProfileMistakes",
    "Reserve",
    "Scratch",
    "SecretFile",
    "SecretVariable",
    "SshAddress",
    "Standby",
    "StoragePool",
    "Target",
    "Tiers",
    "ToBridge",
    "ToNetwork",
    "Transfer",
    "Virtualisation",
    "find_root",
    "is_profile_file",
    "load",
    "survey",
]
