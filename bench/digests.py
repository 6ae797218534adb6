"""What digests cost: resync and verify beside plainly reading the same bytes."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from bench.keeping import kept
from bench.run import Benchmark, Measured, in_turns
from standby.model.digest import BLOCK
from standby.model.extent import NbdEndpoint
from standby.target.nodes import Access
from standby.transfer import Differing, DiskCopy, Everything, ZeroPolicy, copy_disks, verify_disk
from tests.integration import nbd_servers
from tests.integration.digest_chain import Chain, Ends, Pair
from tests.integration.nbd_servers import GIB, MIB, qemu_nbd

_SIZE = GIB
# A round takes a second and a half, and rounds differ by a tenth and more: many of them.
_ROUNDS = 25
_CHANGED = 160  # blocks that differ at each resync: 10 MiB, one percent


def resync(place: Path) -> Measured:
    """Read all of the source, send the percent that differs; against nbdcopy into nothing."""
    source, pair = _seeded(place)
    chances = random.Random(1)  # noqa: S311 - for repeatable places, not for secrets
    with qemu_nbd(source, form="raw") as reader, kept(pair) as target:

        def ours() -> float:
            _scribble(source, chances)
            copy = _copy(reader.endpoint, target)
            return _speed(lambda: copy_disks([copy]))

        measured = in_turns(ours, lambda: _read(reader.endpoint), _ROUNDS)
    nbd_servers.run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, pair.image)
    return measured


def verify(place: Path) -> Measured:
    """Read all of an image and of its table; against nbdcopy into nothing."""
    _, pair = _seeded(place)
    with kept(pair, Access.READ) as image:

        def ours() -> float:
            return _speed(lambda: _expect_sound(image))

        return in_turns(ours, lambda: _read(image.image), _ROUNDS)


def _seeded(place: Path) -> tuple[Path, Pair]:
    source = place / "source.raw"
    with source.open("wb") as file:
        for _ in range(_SIZE // MIB):
            file.write(os.urandom(MIB))
    pair = Chain(place).add(_SIZE)
    with qemu_nbd(source, form="raw") as reader, kept(pair) as target:
        everything, leave_out = Everything(), ZeroPolicy.LEAVE_OUT
        end, image, digests = reader.endpoint, target.image, target.digests
        copy_disks([DiskCopy("vda", end, image, everything, leave_out, digests=digests)])
    return source, pair


def _scribble(source: Path, chances: random.Random) -> None:
    with source.open("r+b") as file:
        for block in chances.sample(range(_SIZE // BLOCK), _CHANGED):
            file.seek(block * BLOCK)
            file.write(chances.randbytes(BLOCK))


def _copy(source: NbdEndpoint, target: Ends) -> DiskCopy:
    differing, write = Differing(), ZeroPolicy.WRITE
    return DiskCopy("vda", source, target.image, differing, write, digests=target.digests)


def _expect_sound(image: Ends) -> None:
    found = verify_disk(image.disk)
    if found.damaged or found.read_bytes != _SIZE:
        message = f"a sound image was not found to be sound: {found}"
        raise RuntimeError(message)


def _read(endpoint: NbdEndpoint) -> float:
    uri = f"nbd+unix:///{endpoint.export}?socket={endpoint.socket}"
    return _speed(lambda: nbd_servers.run("nbdcopy", uri, "null:"))


def _speed(work: Callable[[], object]) -> float:
    """Return MB of disk per second."""
    begun = time.monotonic()
    work()
    return _SIZE / (time.monotonic() - begun) / 1e6


# The peak memory of a process that seeds, resyncs and verifies, and does nothing else.
MEASURED = """
import sys
from pathlib import Path
from standby.model.digest import DigestAlgorithm
from standby.model.extent import NbdEndpoint
from standby.transfer import *
source, target, pair = sys.argv[1:]
source, target = NbdEndpoint(source, ""), NbdEndpoint(target, "")
digests = DigestTable(NbdEndpoint(pair, "table"), DigestAlgorithm.BLAKE3)
for scope in (Everything(), Differing()):
    copy_disks([DiskCopy("vda", source, target, scope, ZeroPolicy.WRITE, digests=digests)])
verify_disk(DigestedDisk("vda", source, digests))
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


BENCHMARKS = (
    Benchmark(
        "resync_vs_read",
        "1 GiB read from the source and compared by digests, one percent sent",
        "nbdcopy SOURCE null:",
        "MB/s",
        "ratio >= 0.8",
        resync,
    ),
    Benchmark(
        "verify_vs_read",
        "1 GiB of a boot point compared with its digests",
        "nbdcopy IMAGE null:",
        "MB/s",
        "ratio >= 0.8",
        verify,
    ),
)
