"""The copy engine beside the C tools that do the same work."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.keeping import kept
from bench.run import Benchmark, Measured, in_turns
from standby.model.digest import table_bytes
from standby.model.extent import NbdEndpoint
from standby.transfer import DiskCopy, Everything, ZeroPolicy, copy_disks
from tests.integration import nbd_servers
from tests.integration.digest_chain import Ends, Pair
from tests.integration.nbd_servers import GIB, MIB, create, nbdkit, qemu_nbd

# Copies from one endpoint to the other, flushed; the target is new and reads as zeroes.
Copier = Callable[[NbdEndpoint, Ends], None]


def seed(place: Path, theirs: Copier) -> Measured:
    """1 GiB of random data."""
    source = place / "source.raw"
    with source.open("wb") as file:
        for _ in range(GIB // MIB):
            file.write(os.urandom(MIB))
    return _compare(source, theirs)


def sparse_seed(place: Path, theirs: Copier) -> Measured:
    """4 GiB: of each 4 MiB two are data, one is a hole and one is stored zeroes."""
    source = place / "source.raw"
    with source.open("wb") as file:
        for _ in range(GIB // MIB):
            file.write(os.urandom(2 * MIB))
            file.seek(MIB, os.SEEK_CUR)
            file.write(bytes(MIB))
    return _compare(source, theirs)


def _compare(source: Path, theirs: Copier) -> Measured:
    place = source.parent
    target = Pair(place / "target.qcow2", place / "target.digests")
    ours = _ours

    def turn(copier: Copier) -> float:
        return _speed(source, target, copier)

    for copier in (theirs, ours):  # unmeasured: that both do the work
        turn(copier)
        nbd_servers.run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, target.image)
    return in_turns(lambda: turn(ours), lambda: turn(theirs))


def _speed(source: Path, target: Pair, copier: Copier) -> float:
    """Return MB of disk per second, both servers fresh."""
    size = source.stat().st_size
    create(target.image, size)
    create(target.table, table_bytes(size), options="cluster_size=4096")
    with qemu_nbd(source, form="raw") as reader, kept(target) as writer:
        begun = time.monotonic()
        copier(reader.endpoint, writer)
        return size / (time.monotonic() - begun) / 1e6


def _ours(source: NbdEndpoint, target: Ends) -> None:
    everything, leave_out = Everything(), ZeroPolicy.LEAVE_OUT
    copy = DiskCopy("vda", source, target.image, everything, leave_out, digests=target.digests)
    copy_disks([copy])


def _nbdcopy(source: NbdEndpoint, target: Ends) -> None:
    # It is told what we know too, and flushes as we do.
    options = ("--flush", "--destination-is-zero")
    nbd_servers.run("nbdcopy", *options, _uri(source), _uri(target.image))


def _qemu_img(source: NbdEndpoint, target: Ends) -> None:
    formats = ("-f", "raw", "-O", "raw")
    options = ("-n", "-W", "-m", "16", "--target-is-zero")
    nbd_servers.run("qemu-img", "convert", *options, *formats, _uri(source), _uri(target.image))


def _uri(endpoint: NbdEndpoint) -> str:
    return f"nbd+unix:///{endpoint.export}?socket={endpoint.socket}"


_MEASURED = """
import sys
from pathlib import Path
from standby.model.digest import table_bytes
from standby.model.extent import NbdEndpoint
from standby.transfer import DiskCopy, Everything, ZeroPolicy, copy_disks
source, target = (NbdEndpoint(path, "") for path in sys.argv[1:])
copy_disks([DiskCopy("vda", source, target, Everything(), ZeroPolicy.WRITE)])
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def peak_rss(place: Path) -> Measured:
    """Of a process that does nothing else, over a disk in more than a million pieces."""
    plugin = Path(nbd_servers.__file__).with_name("nbdkit_pieces.py")
    with (
        nbdkit(place / "s.sock", "python", plugin) as reader,
        nbdkit(place / "t.sock", "null", "64G") as writer,
    ):
        sockets = (reader.endpoint.socket, writer.endpoint.socket)
        return Measured(int(nbd_servers.run(sys.executable, "-c", _MEASURED, *sockets)) / 1024)


BENCHMARKS = (
    Benchmark(
        "seed_vs_nbdcopy",
        "1 GiB of random data between UNIX sockets into qcow2, digests kept",
        "nbdcopy",
        "MB/s",
        "ratio >= 1.0",
        lambda place: seed(place, _nbdcopy),
    ),
    Benchmark(
        "seed_sparse_vs_nbdcopy",
        "4 GiB, half of it holes and stored zeroes, into qcow2, digests kept",
        "nbdcopy",
        "MB/s",
        "ratio >= 1.0",
        lambda place: sparse_seed(place, _nbdcopy),
    ),
    Benchmark(
        "seed_vs_qemu_img",
        "1 GiB of random data between UNIX sockets into qcow2, digests kept",
        "qemu-img convert -n -W -m 16",
        "MB/s",
        "ratio >= 1.0",
        lambda place: seed(place, _qemu_img),
    ),
    Benchmark(
        "transfer_peak_rss",
        "64 GiB virtual disk in more than a million pieces",
        "",
        "MiB",
        "value <= 150",
        peak_rss,
    ),
)
