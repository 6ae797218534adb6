"""Disks of a machine, and why some of them are left out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ImageFormat(Enum):
    """How a source disk's content is stored."""

    QCOW2 = "qcow2"
    RAW = "raw"


class DiskStorage(Enum):
    """What the source disk's path names."""

    FILE = "file"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class SourceDisk:
    """One disk of the source that a cycle captures. Bytes; `allocated` is what it takes there."""

    name: str  # the target name in the domain: vda, sdb
    path: str
    image_format: ImageFormat
    storage: DiskStorage
    size: int
    allocated: int = 0
    keeps_bitmaps: bool = True  # no for qcow2 of version 2, `compat=0.10`
    image: str = ""  # what tells its image from those of other disks, as long as it exists

    @property
    def trackable(self) -> bool:
        """Whether changes can be tracked across cycles: raw images cannot keep a bitmap."""
        return self.image_format is ImageFormat.QCOW2 and self.keeps_bitmaps

    @property
    def on_block_device(self) -> bool:
        """Whether its content lies on a block device."""
        return self.storage is DiskStorage.BLOCK


class LeftOutBecause(Enum):
    """Why a disk of the source is not captured."""

    EXCLUDED = "excluded by the profile"
    CDROM = "a CD-ROM"
    FLOPPY = "a floppy"
    READ_ONLY = "read-only"
    EMPTY_DRIVE = "no medium"


class ExcludedAs(Enum):
    """What stands in the standby where an excluded disk was."""

    ABSENT = "absent"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class DiskLeftOut:
    """One disk of the source that is not captured, and why. `size` in bytes, 0 if unknown."""

    name: str
    because: LeftOutBecause
    size: int = 0
    stands_as: ExcludedAs = ExcludedAs.ABSENT
