"""First copies and resyncs that were interrupted, and go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from standby.model.disk import ImageFormat


class SeedOrigin(Enum):
    """What the files of a copy that can go on began as."""

    NOTHING = "seed"
    IMAGE = "image"  # a copy of an image that was on the KVM host already
    RESYNC = "resync"  # an overlay on the newest boot point


@dataclass(frozen=True, slots=True)
class UnfinishedSeed:
    """What an interrupted first copy or resync of a disk left in incoming/. Bytes.

    Its table of digests names only blocks that are in the image: whatever was interrupted, a
    digest is stored after the block that it speaks of is durable.
    """

    disk: str
    size: int  # virtual size
    number: int  # of the delta that it was to be
    origin: SeedOrigin
    image: str  # relative to the standby's directory
    digests: str
    stored: int  # allocated bytes of the image
    below: str | None = None  # the file of the boot point that a resync stands on

    @property
    def files(self) -> tuple[str, str]:
        """Both files."""
        return self.image, self.digests


@dataclass(frozen=True, slots=True)
class ImageFound:
    """An image on the KVM host that a first copy is to begin from. Bytes."""

    path: str
    image_format: ImageFormat
    size: int  # virtual size
    allocated: int


@dataclass(frozen=True, slots=True)
class SeedImages:
    """Paths on the KVM host that first copies begin from, as the profile has them."""

    by_disk: Mapping[str, str] = field(default_factory=dict)
    only: str | None = None  # that of the one disk that the machine has

    def __bool__(self) -> bool:
        return bool(self.by_disk) or self.only is not None


NO_IMAGES: Final = SeedImages()
