"""Profiles: YAML files of the configuration root, read into frozen, typed settings.

What reads them takes a quarter of a second to import. That is done when it is first used, so that
commands that need none of it start at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standby.profile.everything import (
        Allocation,
        BootPoints,
        Compression,
        Configuration,
        Connection,
        Disconnected,
        DiskBus,
        Disks,
        HistorySettings,
        HostSettings,
        Identifier,
        LibvirtSource,
        Link,
        LocalAddress,
        MailSecurity,
        MailServer,
        ManagerSettings,
        Mark,
        Merge,
        MetricsSettings,
        Mistake,
        NicModel,
        OnUnavailableAgent,
        Origin,
        Profile,
        ProfileMistakes,
        Reserve,
        Scratch,
        SecretFile,
        SecretVariable,
        SshAddress,
        Standby,
        StoragePool,
        Target,
        Tiers,
        ToBridge,
        ToNetwork,
        Transfer,
        Virtualisation,
        find_root,
        is_profile_file,
        load,
        survey,
    )

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


def __getattr__(name: str) -> object:
    """Import what is asked for. Called once for each name, and by who looks for what is not."""
    if name not in __all__:  # a module of this room, which is about to be imported
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from standby.profile import everything  # noqa: PLC0415

    globals()[name] = getattr(everything, name)
    return globals()[name]
