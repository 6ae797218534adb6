"""Digests of blocks: what is kept of each 64 KiB, and how large the tables are.

A table holds one digest per block, at 16 bytes times the block's number. Sixteen zero bytes mean
that nothing was ever written there: such a block reads as zeroes. Tables are images in a chain of
their own that mirrors the disk's, so the newest digest of every block up to a point is simply what
that point's table reads as, and merging the chain's files merges the tables.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

BLOCK: Final = 64 << 10
DIGEST_BYTES: Final = 16
_TABLE_UNIT: Final = 4096  # tables are rounded up to whole clusters of their images


class DigestAlgorithm(Enum):
    """How a block's digest is made: the first 128 bits of a cryptographic hash.

    The last block of a disk that is no multiple of 64 KiB is filled up with zeroes, so that its
    digest does not change when the disk grows.
    """

    BLAKE3 = "blake3"
    BLAKE2B = "blake2b"
    SHA256 = "sha256"


def blocks_of(size: int) -> int:
    """Return how many blocks a disk of `size` bytes has."""
    return -(-size // BLOCK)


def table_bytes(size: int) -> int:
    """Return the size in bytes of the table of a disk of `size` bytes."""
    needed = max(blocks_of(size), 1) * DIGEST_BYTES
    return -(-needed // _TABLE_UNIT) * _TABLE_UNIT
