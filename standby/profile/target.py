"""Keys of a profile that say where the standby and its boot points are kept."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Discriminator, Field, PlainSerializer, Tag

from standby.profile.kinds import DiskName, RemotePath, SafeName
from standby.profile.section import READ_ONLY, Section


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


def _images_tag(value: object) -> str:
    return "<images>" if isinstance(value, Mapping) else "<image>"


def _plain_images(value: PurePosixPath | Mapping[str, PurePosixPath]) -> object:
    if isinstance(value, Mapping):
        return {disk: str(path) for disk, path in value.items()}
    return str(value)


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
    seed_from: (
        Annotated[
            Annotated[RemotePath, Tag("<image>")]
            | Annotated[Mapping[DiskName, RemotePath], *READ_ONLY, Tag("<images>")],
            Discriminator(_images_tag),
            PlainSerializer(_plain_images),
        ]
        | None
    ) = Field(
        default=None,
        description="Images on the KVM host that hold what the disks held some time ago: a "
        "restored backup, an old replica. The first copy begins with a copy of them, and only "
        "blocks that differ are sent. Keys: names of disks; or one path, if the machine has one "
        "disk. qcow2 or raw, not larger than the disk, and open in no machine; they are only "
        "read, and not needed any more after the first boot point.",
        examples=["/srv/restored/web1.qcow2", {"vda": "/srv/old/root.raw"}],
    )


Storage = PurePosixPath | StoragePool
