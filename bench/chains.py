"""What long chains cost: merging in them, and reading the newest of many points."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import nbd

from bench.run import Benchmark, Measured, disk_place, in_turns
from standby.host.local import LocalHost
from standby.model.disk import DiskStorage, ImageFormat, SourceDisk
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.plan import CapturePlan, CyclePlan, DiskPlan, HeadMove
from standby.model.point import Base, BootPoint, Consistency, Delta, Way
from standby.target.layout import StandbyDirectory, delta_name
from standby.target.opening import make_directory, open_store
from standby.target.store import KvmStore
from tests.integration.nbd_servers import GIB, MIB, qemu_nbd, run
from tests.integration.store_world import DEFINITION, MACHINE, START, Domain

Write = tuple[int, int]  # offset, bytes
_MERGED = 256 * MIB
_DEPTH = 22
_READS = 20_000
_PIECE = 4096
_DATA = os.urandom(MIB)


class Store:
    """A store on this machine with one large disk, its points made as cycles make them."""

    def __init__(self, place: Path, size: int) -> None:
        self.path = place / "standby"
        self._size = size
        self._host = LocalHost("kvm")
        self._directory = StandbyDirectory(str(self.path))
        make_directory(self._host, self._directory)

    @contextmanager
    def opened(self) -> Iterator[KvmStore]:
        """Open it under its lock."""
        first = Manifest("web", MACHINE, "")
        with open_store(self._host, self._directory, Domain(), first) as store:
            yield store

    def add(self, writes: Iterable[Write]) -> None:
        """Publish a point with this data."""
        with self.opened() as store:
            plan = _plan(store, self._size)
            with store.incoming(plan) as incoming:
                (disk,) = incoming.disks
                write(disk.endpoint.socket, disk.endpoint.export, writes)
                incoming.close()
                store.publish(plan, _point(plan, incoming.stored()["vda"]), DEFINITION)

    def merge_oldest(self) -> float:
        """Merge the two oldest points; return the seconds it took."""
        with self.opened() as store:
            oldest = store.manifest.points[0].name
            begun = time.monotonic()
            store.merge(oldest, lambda *_: None)
            return time.monotonic() - begun

    def file(self, number: int) -> Path:
        """Return the file of a point, 0 for the oldest."""
        with self.opened() as store:
            return self.path / store.manifest.points[number].deltas[0].file


def _plan(store: KvmStore, size: int) -> CyclePlan:
    manifest = store.manifest
    newest = manifest.newest
    point = PointName(newest.name.moment + timedelta(hours=1)) if newest else PointName(START)
    disk = SourceDisk("vda", "/vms/vda", ImageFormat.QCOW2, DiskStorage.FILE, size)
    below = newest.deltas[0].file if newest else None
    way = Way.INCREMENTAL if below else Way.SEED
    disks = (DiskPlan(disk, way, "benchmark", below, manifest.next_delta),)
    capture = CapturePlan(disks, "standby-", f"standby-{point}", None, Consistency.CRASH)
    return CyclePlan(MACHINE, point, way, "benchmark", capture, (), (), (), HeadMove.MOVE)


def _point(plan: CyclePlan, stored: int) -> BootPoint:
    (disk,) = plan.capture.disks
    base = Base.NOTHING if disk.below is None else Base.BELOW
    delta = Delta("vda", delta_name("vda", disk.number), disk.disk.size, stored, base)
    moment = plan.point.moment
    return BootPoint(plan.point, plan.way, "benchmark", Consistency.CRASH, (delta,), 0, moment)


def write(socket: str, export: str, writes: Iterable[Write]) -> None:
    """Write random data to these places."""
    handle = nbd.NBD()
    handle.set_export_name(export)
    handle.connect_unix(socket)
    for offset, length in writes:
        for at in range(offset, offset + length, MIB):
            handle.pwrite(_DATA[: min(MIB, offset + length - at)], at)
    handle.flush()
    handle.shutdown()


def merge(place: Path, merged: int = _MERGED) -> Measured:
    """Merge a delta into a full base of 4 GiB, below 20 other points; in MB/s."""
    store = _chain(place, 4 * GIB, 7, _DEPTH + 6, merged)

    def ours() -> float:
        return merged / 1e6 / store.merge_oldest()

    return in_turns(ours, lambda: _commit(store, merged))


def merge_anywhere(place: Path) -> Measured:
    """The same beside a merge of the same size in a chain of two on a base of 256 MiB."""
    deep = _chain(place / "deep", 4 * GIB, 6, _DEPTH + 5)
    numbers = iter(range(100))

    def shallow() -> float:
        small = _chain(place / str(next(numbers)), _MERGED, 1, 2)
        return _MERGED / 1e6 / small.merge_oldest()

    return in_turns(lambda: _MERGED / 1e6 / deep.merge_oldest(), shallow)


def _chain(place: Path, size: int, large: int, points: int, delta: int = _MERGED) -> Store:
    """Make a full base, deltas of `delta` bytes, then small ones."""
    place.mkdir(exist_ok=True)
    store = Store(place, size)
    store.add([(0, size)])
    for _ in range(large):
        store.add([(0, delta)])
    for _ in range(points - 1 - large):
        store.add([(0, MIB)])
    return store


def _commit(store: Store, merged: int) -> float:
    """Let qemu-img commit a delta of the same content to the same base, and remove the delta."""
    base, delta = store.file(0), store.path / "incoming/commit.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, delta)
    with qemu_nbd(delta, form="qcow2", writable=True) as server:
        write(server.endpoint.socket, server.endpoint.export, [(0, merged)])
    begun = time.monotonic()
    run("qemu-img", "commit", "-q", "-d", delta)
    run("sync", "-d", base)
    delta.unlink()
    seconds = time.monotonic() - begun
    return merged / 1e6 / seconds


def read(_: Path) -> Measured:
    """From a disk, past the page cache, as a guest does whose own cache missed."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=disk_place()) as directory:
        return _read(Path(directory), "--cache=none")


def read_cached(place: Path) -> Measured:
    """From images that the host has in memory."""
    return _read(place, "--cache=writeback")


def _read(place: Path, *options: str) -> Measured:
    """Read 4 KiB at random places of the newest of 22 points; in reads per second."""
    size = GIB
    store, chances = Store(place, size), random.Random(1)  # noqa: S311 - repeatable places
    store.add([(0, size)])
    for _ in range(_DEPTH - 1):
        blocks = chances.sample(range(size // (64 << 10)), 400)
        store.add([(block * (64 << 10), 64 << 10) for block in blocks])
    newest, flat = store.file(-1), place / "flat.qcow2"
    run("qemu-img", "convert", "-O", "qcow2", newest, flat)
    run("sync", flat)
    with qemu_nbd(newest, options=options) as ours, qemu_nbd(flat, options=options) as theirs:
        return in_turns(
            lambda: _random_reads(ours.endpoint.socket, size),
            lambda: _random_reads(theirs.endpoint.socket, size),
        )


def _random_reads(socket: str, size: int) -> float:
    chances = random.Random(2)  # noqa: S311 - the same places for both
    places = [chances.randrange(size // _PIECE) * _PIECE for _ in range(_READS)]
    handle = nbd.NBD()
    handle.connect_unix(socket)
    begun = time.monotonic()
    for place in places:
        handle.pread(_PIECE, place)
    seconds = time.monotonic() - begun
    handle.shutdown()
    return _READS / seconds


BENCHMARKS = (
    Benchmark(
        "merge_vs_commit",
        "the two oldest of 28 points, a delta of 256 MiB into a full base of 4 GiB",
        "qemu-img commit, sync, unlink",
        "MB/s",
        "ratio >= 0.9",
        merge,
    ),
    Benchmark(
        "merge_1g_vs_commit",
        "the same with a delta of 1 GiB",
        "qemu-img commit, sync, unlink",
        "MB/s",
        None,
        lambda place: merge(place, GIB),
    ),
    Benchmark(
        "merge_any_depth",
        "the first of these",
        "our merge of the same delta in a chain of two on a base of 256 MiB",
        "MB/s",
        "ratio >= 0.9",
        merge_anywhere,
    ),
    Benchmark(
        "point_read_depth22",
        "random reads of 4 KiB from the newest of 22 points, on a disk, without the page cache",
        "a flat image",
        "reads/s",
        "ratio >= 0.7",
        read,
    ),
    Benchmark(
        "point_read_depth22_cached",
        "the same, all of it in the page cache",
        "a flat image",
        "reads/s",
        None,
        read_cached,
    ),
)
