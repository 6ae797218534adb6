"""qcow2 files: how we make them, and what their headers say.

Only qemu-img and the storage daemon write images. The header is read here directly because a
cycle has to know what every image of a store stands on, and starting qemu-img for each of
hundreds of files would take seconds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum
from typing import Final

from standby.errors import RepairStore

# qcow2 specification, docs/interop/qcow2.txt of QEMU: magic "QFI\xfb", version,
# backing_file_offset (64 bits), backing_file_size (32 bits), cluster_bits, size.
_HEADER = struct.Struct(">4sIQIIQ")
_MAGIC: Final = b"QFI\xfb"
# The backing file's name lies in the first cluster; ours and qemu-img's are far below this.
HEADER_BYTES: Final = 4096
CLUSTER: Final = 64 << 10  # QEMU's default, and the size of a block that has a digest
# A changed block changes 16 bytes of digests: small clusters keep what is copied up small.
DIGESTS_CLUSTER: Final = 4096


class Allocation(Enum):
    """How much of a disk is reserved when its first file is made."""

    THIN = "thin"
    METADATA = "metadata"
    FULL = "full"

    @property
    def qemu_name(self) -> str:
        """The value of qemu-img's `preallocation` option."""
        return {"thin": "off", "metadata": "metadata", "full": "falloc"}[self.value]


@dataclass(frozen=True, slots=True)
class Header:
    """What we need of an image's header. `size` is the virtual size in bytes."""

    backing: str | None
    size: int


def parse_header(data: bytes, where: str) -> Header | None:
    """Read the start of a file (HEADER_BYTES); None when it is not qcow2.

    Raises RepairStore when it claims to be qcow2 but its backing name lies outside.
    """
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        return None
    _, _, offset, length, _, size = _HEADER.unpack_from(data)
    if offset == 0:
        return Header(None, size)
    if offset + length > len(data):
        raise RepairStore(where, "the name of its backing file is not near its start", "qcow2")
    return Header(data[offset : offset + length].decode("utf-8", "surrogateescape"), size)


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image to be made. `stands_on` as it will stand in the header; `size` in bytes."""

    file: str  # relative to the standby's directory
    stands_on: str | None
    size: int
    allocation: Allocation = Allocation.THIN
    cluster: int = CLUSTER

    @property
    def words(self) -> tuple[str, str, str, str]:
        """The arguments by which programs.CREATE_IMAGES makes it."""
        preallocation = "off" if self.stands_on else self.allocation.qemu_name
        options = f"preallocation={preallocation},cluster_size={self.cluster}"
        return (self.file, self.stands_on or "", options, str(self.size))
