"""Keys of a profile that say where the standby and its boot points are kept."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Discriminator, Field, Tag

from standby.profile.kinds import RemotePath, SafeName
from standby.profile.section import Section


class StoragePool(Section):
    """A directory-like libvirt pool."""

    pool: SafeName = Field(
        description="Name of a libvirt storage pool on the KVM host, of a type that is a mounted "
        "directory.",
        examples=["standbys"],
    )


class Allocation(Enum):
    """How much of the KVM host's space a seed takes at once."""

    THIN = "thin"
    METADATA = "metadata"
    FULL = "full"


def _storage_tag(value: object) -> str:
    return "<pool>" if isinstance(value, Mapping | StoragePool) else "<directory>"


class Target(Section):
    """Where the standby and its boot points are kept."""

    host: SafeName = Field(
        description="The KVM host that keeps the standby: a name from `hosts/`, or `local` for "
        "the management host itself.",
        examples=["kvm1"],
    )
    storage: Annotated[
        Annotated[RemotePath, Tag("<directory>")] | Annotated[StoragePool, Tag("<pool>")],
        Discriminator(_storage_tag),
    ] = Field(
        description="Where on the KVM host: a directory, or `{pool: NAME}`, a libvirt pool. The "
        "standby gets a directory of its name below it.",
        examples=["/srv/standby", {"pool": "standbys"}],
    )
    allocation: Allocation = Field(
        default=Allocation.THIN,
        description="How the first image of each disk is allocated. `thin`: as data arrives. "
        "`metadata`: the tables of the whole disk at once. `full`: all of its space at once. "
        "Later boot points are always thin.",
        examples=["full"],
    )


Storage = PurePosixPath | StoragePool
