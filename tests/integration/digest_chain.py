"""Chains of images and of their tables of digests, made and merged as a standby's are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbd
from blake3 import blake3

from standby.host.storage_daemon import ALLOCATOR
from standby.model.digest import BLOCK, DIGEST_BYTES, DigestAlgorithm, table_bytes
from standby.model.extent import NbdEndpoint
from standby.transfer import DigestedDisk, DigestTable
from tests.integration.nbd_servers import Server, content, create, run, serving, wait_until

# Written anew here, so that a mistake in the product is not repeated.
HASHES: dict[DigestAlgorithm, Callable[[bytes], bytes]] = {
    DigestAlgorithm.BLAKE3: lambda block: blake3(block).digest()[:16],
    DigestAlgorithm.BLAKE2B: lambda block: hashlib.blake2b(block).digest()[:16],
    DigestAlgorithm.SHA256: lambda block: hashlib.sha256(block).digest()[:16],
}


def table_of(disk: bytes, algorithm: DigestAlgorithm = DigestAlgorithm.BLAKE3) -> bytes:
    """Return the table that a disk of that content has."""
    table = bytearray(table_bytes(len(disk)))
    for block, start in enumerate(range(0, len(disk), BLOCK)):
        data = disk[start : start + BLOCK].ljust(BLOCK, b"\0")
        if data != bytes(BLOCK):
            place = block * DIGEST_BYTES
            table[place : place + DIGEST_BYTES] = HASHES[algorithm](data)
    return bytes(table)


def table_of_file(raw: Path) -> bytes:
    """Return the table of a large raw image, which is not read at once."""
    table = b""
    with raw.open("rb") as file:
        while data := file.read(256 * BLOCK):  # a page of the table
            table += table_of(data)
    return table


@dataclass(frozen=True)
class Pair:
    """An image and its table."""

    image: Path
    table: Path

    def content(self) -> tuple[bytes, bytes]:
        """Return what both read as, with what lies below."""
        return content(self.image), content(self.table)


@dataclass(frozen=True)
class Ends:
    """Where a pair is served, by one daemon as on the KVM host."""

    image: NbdEndpoint
    table: NbdEndpoint

    @property
    def digests(self) -> DigestTable:
        return DigestTable(self.table, DigestAlgorithm.BLAKE3)

    @property
    def disk(self) -> DigestedDisk:
        return DigestedDisk("vda", self.image, self.digests)


@dataclass(frozen=True)
class Served(Ends):
    """A pair that is served by a process of the test's own."""

    server: Server


@dataclass
class Chain:
    """A disk's deltas, oldest first, each with its table."""

    place: Path
    pairs: list[Pair] = field(default_factory=list)
    made: int = 0

    def add(self, size: int) -> Pair:
        """Make a delta on top of the newest."""
        below = self.pairs[-1] if self.pairs else None
        pair = Pair(self.place / f"{self.made}.qcow2", self.place / f"{self.made}.digests")
        create(pair.image, size, backing=below.image if below else None)
        create(
            pair.table,
            table_bytes(size),
            backing=below.table if below else None,
            options="cluster_size=4096",
        )
        self.pairs.append(pair)
        self.made += 1
        return pair

    def merge(self, older: int) -> None:
        """Commit the delta above `older` down into it, image and table."""
        lower, upper = self.pairs[older : older + 2]
        above = self.pairs[older + 2] if older + 2 < len(self.pairs) else None
        for low, high, top in (
            (lower.image, upper.image, above and above.image),
            (lower.table, upper.table, above and above.table),
        ):
            run("qemu-img", "commit", "-q", "-b", low, high)
            if top is not None:
                run("qemu-img", "rebase", "-u", "-F", "qcow2", "-b", low, top)
            high.unlink()
        del self.pairs[older + 1]


def place_of(image: Path, offset: int) -> int:
    """Return where in its file an image keeps what it shows at `offset`."""
    for extent in json.loads(run("qemu-img", "map", "--output=json", image)):
        if extent["start"] <= offset < extent["start"] + extent["length"]:
            assert extent["depth"] == 0, "another file holds it"
            return int(extent["offset"]) + offset - int(extent["start"])
    raise AssertionError(offset)


def flip(image: Path, offset: int, mask: int = 1) -> None:
    """Let the storage lie about one byte of the image."""
    place = place_of(image, offset)
    with image.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ mask]))


@contextmanager
def serve(pair: Pair, *, writable: bool = True) -> Iterator[Served]:
    """Serve both files of a pair until the block ends."""
    switch = "on" if writable else "off"
    socket = pair.image.with_suffix(".pair.sock")
    argv: list[str | Path] = ["env", *ALLOCATOR, "qemu-storage-daemon"]
    for name, path in (("image", pair.image), ("table", pair.table)):
        disk = f"qcow2,node-name={name},file.driver=file,file.filename={path}"
        argv += ["--blockdev", f"{disk},read-only={'off' if writable else 'on'}"]
    argv += ["--nbd-server", f"addr.type=unix,addr.path={socket}"]
    for name in ("image", "table"):
        export = f"nbd,id={name},node-name={name},name={name},writable={switch}"
        export += ",allocation-depth=on"
        argv += ["--export", export]
    with serving(argv, socket) as server:
        image, table = (NbdEndpoint(str(socket), name) for name in ("image", "table"))
        wait_until(lambda: answers(table))
        yield Served(image, table, server)


def answers(endpoint: NbdEndpoint) -> bool:
    """Tell whether the export is there: the socket is, before it."""
    handle = nbd.NBD()
    handle.set_export_name(endpoint.export)
    try:
        handle.connect_unix(endpoint.socket)
    except nbd.Error:
        return False
    handle.shutdown()
    return True
