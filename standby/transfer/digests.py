"""Digests of blocks: made here, compared everywhere.

A digest of sixteen zero bytes stands for a block of zeroes, and for nothing else. It is never
computed: a table that was never written reads as zeroes, and so does the disk that it describes,
so a hole needs no entry, and a zeroed range is a zeroed range of the table too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

import nbd
from blake3 import blake3

from standby.model.digest import BLOCK, DIGEST_BYTES, DigestAlgorithm, blocks_of

# What a block of zeroes has for a digest.
ZERO: Final = bytes(DIGEST_BYTES)
# What a block gets whose hash happens to begin with sixteen zero bytes: it is not zero, and must
# not be taken for it. That such a block is met by chance is as likely as any other collision.
_NOT_ZERO: Final = bytes(DIGEST_BYTES - 1) + b"\x01"

# What an entry counts as of which nothing is known: no block has this digest but by chance.
UNKNOWN: Final = b"\xff" * DIGEST_BYTES

Hash = Callable[[memoryview], bytes]
Digester = Callable[[memoryview], bytes]


def _blake3(block: memoryview) -> bytes:
    return blake3(block).digest(DIGEST_BYTES)


def _blake2b(block: memoryview) -> bytes:
    # The first bytes of the full hash, as for the others; digest_size would change all of them.
    return hashlib.blake2b(block).digest()[:DIGEST_BYTES]


def _sha256(block: memoryview) -> bytes:
    return hashlib.sha256(block).digest()[:DIGEST_BYTES]


_HASHES: Final[dict[DigestAlgorithm, Hash]] = {
    DigestAlgorithm.BLAKE3: _blake3,
    DigestAlgorithm.BLAKE2B: _blake2b,
    DigestAlgorithm.SHA256: _sha256,
}


def digester(algorithm: DigestAlgorithm) -> Digester:
    """Return what makes the entries of a table of that algorithm."""
    return digester_of(_HASHES[algorithm])


def digester_of(digest: Hash) -> Digester:
    """Return what digests a buffer of blocks: 16 bytes for each, in order.

    The last may be short: it counts as filled up with zeroes, so that its digest stays the same
    when the disk grows.
    """

    def entries(buffer: memoryview) -> bytes:
        whole = len(buffer) - len(buffer) % BLOCK
        made = [_entry(buffer[at : at + BLOCK], digest) for at in range(0, whole, BLOCK)]
        if rest := buffer[whole:]:
            made.append(_entry(_filled(rest), digest))
        return b"".join(made)

    return entries


def _entry(block: memoryview, digest: Hash) -> bytes:
    # Most blocks show by their first byte that they are not zeroes.
    if not block[0] and nbd.Buffer.from_buffer(block).is_zero():
        return ZERO
    made = digest(block)
    return made if made != ZERO else _NOT_ZERO


def _filled(block: memoryview) -> memoryview:
    return memoryview(bytes(block).ljust(BLOCK, b"\0"))


def each(digests: bytes) -> Iterator[bytes]:
    """Return them one by one."""
    return (digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES))


def entries(start: int, length: int) -> slice:
    """Return where the digests of a range of whole blocks lie, the last of which may be short."""
    begin = start // BLOCK * DIGEST_BYTES
    return slice(begin, begin + blocks_of(length) * DIGEST_BYTES)
