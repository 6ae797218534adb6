"""First copies that were interrupted, and go on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class SeedOrigin(Enum):
    """What the files of a first copy began as."""

    NOTHING = "seed"
    IMAGE = "image"  # a copy of an image that was on the KVM host already


@dataclass(frozen=True, slots=True)
class UnfinishedSeed:
    """What an interrupted first copy of a disk left in incoming/. Bytes.

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

    @property
    def files(self) -> tuple[str, str]:
        """Both files."""
        return self.image, self.digests
