"""A standby's store on this machine, written as cycles write it, and what its points must hold.

Everything is real but the dormant domain: whether one runs is for the test to say.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import subprocess
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import nbd
from blake3 import blake3

from standby.host.local import LocalHost
from standby.model.digest import BLOCK, DIGEST_BYTES
from standby.model.disk import DiskStorage, ImageFormat, SourceDisk
from standby.model.extent import NbdEndpoint
from standby.model.keep import Keep
from standby.model.machine import MachineDefinition, MachineIdentity
from standby.model.manifest import DefinedDomain, JsonObject, Manifest
from standby.model.names import PointName
from standby.model.observation import DomainFound
from standby.model.plan import CapturePlan, CyclePlan, DiskPlan, HeadMove
from standby.model.point import Base, BootPoint, Consistency, Delta, Standing, Way
from standby.planning.obstacles import obstacles
from standby.planning.retention import MergePlan, plan_merges
from standby.target.incoming import IncomingDisk
from standby.target.layout import StandbyDirectory, delta_name
from standby.target.manifest_format import read_manifest
from standby.target.merging import UNLIMITED, MergeSpeed
from standby.target.opening import make_directory, open_store
from standby.target.store import KvmStore
from tests.integration.nbd_servers import run

KIB = 1 << 10
MIB = 1 << 20
TABLE_UNIT = 4 * KIB
MACHINE = MachineIdentity("web", "6b21cf23-6d2c-4ef4-9c0c-0f1c3f6a7c11")
DEFINITION = MachineDefinition(
    f"<domain><name>web</name><uuid>{MACHINE.uuid}</uuid></domain>", b"variables"
)
START = datetime(2026, 11, 22, 3, 56, tzinfo=UTC)

Content = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `pattern` 0 is a write-zeroes request."""

    disk: str
    offset: int
    length: int
    pattern: int

    def apply(self, disks: Mapping[str, bytearray]) -> None:
        """Do to the contents of disks what it does to the disks."""
        end = self.offset + self.length
        disks[self.disk][self.offset : end] = bytes([self.pattern]) * self.length


@dataclass
class Domain:
    """The dormant domain as the test wants it to be."""

    active: bool = False
    used: list[str] = field(default_factory=list)

    def found(self) -> DomainFound:
        return DomainFound.OURS

    def is_active(self) -> bool:
        return self.active

    def boots_other(self, images: Collection[str]) -> bool:
        assert all(image.startswith("head/") for image in images)
        return False

    def define(
        self, definition: MachineDefinition, point: BootPoint, known: DefinedDomain | None
    ) -> DefinedDomain:
        assert definition == DEFINITION
        uuid = known.uuid if known else "00000000-0000-4000-8000-000000000000"
        return DefinedDomain(uuid, str(point.name))

    def undefine(self) -> None:
        raise AssertionError(f"{self} is to stay")

    def takes_variables(self, definition: MachineDefinition, point: BootPoint) -> bool:
        return definition.nvram is not None and bool(point.deltas)

    def keep_tpm(self, file: str) -> None:
        assert self, file  # it has none

    def place_tpm(self, definition: MachineDefinition, state: str) -> None:
        raise AssertionError(f"{definition} has no TPM: {state}")

    def files_in_use(self) -> Sequence[str]:
        return self.used


class World:
    """One standby and the content of every point it ever had."""

    def __init__(self, place: Path) -> None:
        self.path = place / "standby"
        self.host = LocalHost("kvm")
        self.directory = StandbyDirectory(str(self.path))
        self.domain = Domain()
        self.speed = UNLIMITED
        self.kept: dict[PointName, Content] = {}
        self.now: dict[str, bytearray] = {}
        self._place = place
        make_directory(self.host, self.directory)

    @property
    def manifest(self) -> Manifest:
        """The manifest as it is published now."""
        return read_manifest((self.path / "standby.json").read_text(), "the manifest")

    @property
    def points(self) -> tuple[PointName, ...]:
        """Names of the points, oldest first."""
        return tuple(point.name for point in self.manifest.points)

    @contextmanager
    def opened(
        self, speed: MergeSpeed | None = None, profile: JsonObject | None = None
    ) -> Generator[KvmStore]:
        """Open the store under its lock, as a manager does."""
        first = Manifest("web", MACHINE, "")
        speed = speed or self.speed
        with open_store(
            self.host, self.directory, self.domain, first, speed=speed, profile=profile
        ) as store:
            yield store

    # ---- points ------------------------------------------------------------------------

    def publish(self, *changes: Change, sizes: Mapping[str, int] | None = None) -> PointName:
        """Add a point with these changes; `sizes` of all its disks from now on, in bytes."""
        with self.opened() as store:
            return self.publish_in(store, changes, sizes)

    def publish_in(
        self,
        store: KvmStore,
        changes: Sequence[Change],
        sizes: Mapping[str, int] | None = None,
        move: HeadMove = HeadMove.MOVE,
    ) -> PointName:
        """Add a point to an opened store, as a cycle does."""
        newest = store.manifest.newest
        if newest and newest.name in self.kept:  # what an interrupted one wrote is forgotten
            self.now = {disk: bytearray(c) for disk, c in self.kept[newest.name].items()}
        self._resize(sizes)
        plan = self.plan(store)
        store.discard(store.observe().debris)
        with store.incoming(plan) as incoming:
            for disk in incoming.disks:
                name = disk.plan.disk.name
                _write(disk, [c for c in changes if c.disk == name], self.now[name])
            incoming.close()
            self.kept[plan.point] = {disk: bytes(content) for disk, content in self.now.items()}
            store.publish(plan, _point(plan, incoming.stored()), DEFINITION)
        store.move_head(move)
        return plan.point

    def _resize(self, sizes: Mapping[str, int] | None) -> None:
        if sizes is None:
            return
        before = self.now
        self.now = {}
        for disk, size in sizes.items():
            content = before.get(disk, bytearray())
            self.now[disk] = bytearray(content + bytes(size - len(content)))

    def plan(self, store: KvmStore) -> CyclePlan:
        """Plan the next point, of the disks as they are now."""
        manifest = store.manifest
        newest = manifest.newest
        point = PointName(newest.name.moment + timedelta(hours=1)) if newest else PointName(START)
        disks = []
        for number, (disk, content) in enumerate(self.now.items()):
            source = SourceDisk(
                disk, f"/vms/{disk}", ImageFormat.QCOW2, DiskStorage.FILE, len(content)
            )
            below = newest.delta_of(disk) if newest else None
            way = Way.INCREMENTAL if below else Way.SEED
            file = below.file if below else None
            disks.append(DiskPlan(source, way, "test", file, manifest.next_delta + number))
        capture = CapturePlan(tuple(disks), "standby-", f"standby-{point}", None, Consistency.CRASH)
        return CyclePlan(
            MACHINE, point, Way.INCREMENTAL, "test", capture, (), (), (), HeadMove.MOVE
        )

    # ---- merges ------------------------------------------------------------------------

    def merge(self, limit: int, seen: Callable[[], None] = lambda: None) -> MergePlan:
        """Be a manager that merges down to a limit; `seen` hears of progress."""
        with self.opened() as store:
            return merge_down(store, limit, seen)

    # ---- what must be so ---------------------------------------------------------------

    def expect_exact(self) -> None:
        """Every whole point holds what it held when it was made, digests included."""
        for point in self.manifest.points:
            if point.standing is Standing.WHOLE:
                expected = self.kept[point.name]
                assert {delta.disk for delta in point.deltas} == set(expected), point.name
                for delta in point.deltas:
                    wanted = expected[delta.disk]
                    wrong = _difference(self.read(delta.file), wanted)
                    assert not wrong, f"{point.name} {delta.disk}: {wrong}"
                    wrong = _difference(self.read(delta.digests), table_of(wanted))
                    assert not wrong, f"digests of {point.name} {delta.disk}: {wrong}"

    def expect_head(self, point: PointName) -> None:
        """What the standby would boot is what this point holds."""
        for disk, expected in self.kept[point].items():
            assert _difference(self.read(f"head/{disk}.qcow2"), expected) == "", disk

    def expect_tidy(self) -> None:
        """Nothing is there that the manifest does not name."""
        manifest = self.manifest
        assert {f"deltas/{p.name}" for p in (self.path / "deltas").iterdir()} == manifest.files()
        assert sorted(p.name for p in (self.path / "points").iterdir()) == sorted(
            str(name) for name in self.points
        )
        assert not list((self.path / "incoming").iterdir())
        assert not list((self.path / "run").iterdir())

    def create_overlay(self, path: Path, backing: str) -> None:
        """Make an image that is not ours, standing on whatever `backing` names."""
        argv = ("-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", backing)
        run("qemu-img", "create", *argv, path, "1M")

    @contextmanager
    def opened_by_somebody(self, file: str) -> Generator[None]:
        """Have an image open as a running machine has, with the locks that QEMU takes."""
        argv = ["qemu-io", "-f", "qcow2", str(self.path / file)]
        reader = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert reader.stdout is not None
            assert reader.stdout.read(7) == b"qemu-io"  # its prompt: it has opened the image
            yield
        finally:
            reader.kill()
            reader.wait(10)

    def read(self, file: str) -> bytes:
        """Read an image through its whole chain, whoever has it open."""
        raw = self._place / f"read-{os.getpid()}.raw"
        argv = ["convert", "-U", "-f", "qcow2", "-O", "raw", str(self.path / file), str(raw)]
        subprocess.run(["qemu-img", *argv], check=True)
        content = raw.read_bytes()
        raw.unlink()
        return content


def merge_down(store: KvmStore, limit: int, seen: Callable[[], None] = lambda: None) -> MergePlan:
    """Do the merges that are due, as a cycle does."""
    found = replace(store.observe(), users=tuple(store.users()))
    planned = plan_merges(store.manifest.points, Keep(limit), START, obstacles(found))
    store.discard(found.debris)
    for merge in planned.merges:
        store.merge(merge.older, lambda *_: seen())
    return planned


def _point(plan: CyclePlan, stored: Mapping[str, int]) -> BootPoint:
    deltas = tuple(
        Delta(
            disk.disk.name,
            delta_name(disk.disk.name, disk.number),
            disk.disk.size,
            stored[disk.disk.name],
            Base.NOTHING if disk.below is None else Base.BELOW,
        )
        for disk in plan.capture.disks
    )
    return BootPoint(plan.point, plan.way, "test", Consistency.CRASH, deltas, 0, plan.point.moment)


def _write(incoming: IncomingDisk, changes: Sequence[Change], now: bytearray) -> None:
    """Send changes to a delta, and the digests of the blocks they touch to its table."""
    with _opened(incoming.endpoint) as data, _opened(incoming.digests) as digests:
        for change in changes:
            end = change.offset + change.length
            if change.pattern:
                data.pwrite(bytes([change.pattern]) * change.length, change.offset)
            else:
                data.zero(change.length, change.offset, nbd.CMD_FLAG_NO_HOLE * (end % 2))
            change.apply({change.disk: now})
        table = table_of(bytes(now))
        for change in changes:
            first, last = change.offset // BLOCK, (change.offset + change.length - 1) // BLOCK
            place = slice(first * DIGEST_BYTES, (last + 1) * DIGEST_BYTES)
            digests.pwrite(table[place], place.start)
        data.flush()
        digests.flush()


@contextmanager
def _opened(endpoint: NbdEndpoint) -> Generator[nbd.NBD]:
    handle = nbd.NBD()
    handle.set_export_name(endpoint.export)
    handle.connect_unix(endpoint.socket)
    yield handle
    handle.shutdown()


def table_of(disk: bytes) -> bytes:
    """Return the digests that a disk of that content has, made here without the product."""
    table = bytearray(-(-len(disk) // BLOCK) * DIGEST_BYTES)
    for number, start in enumerate(range(0, len(disk), BLOCK)):
        block = disk[start : start + BLOCK].ljust(BLOCK, b"\0")
        if any(block):
            place = number * DIGEST_BYTES
            table[place : place + DIGEST_BYTES] = blake3(block).digest()[:DIGEST_BYTES]
    return bytes(table).ljust(-(-len(table) // TABLE_UNIT) * TABLE_UNIT, b"\0")


def seeded(seed: int) -> random.Random:
    """Return chances that can be repeated."""
    return random.Random(seed)


def _difference(found: bytes, expected: bytes) -> str:
    if found == expected:
        return ""
    if len(found) != len(expected):
        return f"{len(found)} bytes instead of {len(expected)}"
    place = next(
        n for n in range(0, len(found), 512) if found[n : n + 512] != expected[n : n + 512]
    )
    return f"at {place}: {found[place : place + 8].hex()}, not {expected[place : place + 8].hex()}"


def random_changes(rnd: random.Random, sizes: Mapping[str, int], count: int) -> list[Change]:
    """Return writes and zeroes at random, parts of clusters and many clusters alike."""
    changes = []
    for _ in range(count):
        disk = rnd.choice(list(sizes))
        length = rnd.choice((512, 4 * KIB, 64 * KIB, 512 * rnd.randrange(1, 600)))
        length = min(length, sizes[disk])
        offset = rnd.randrange(0, sizes[disk] - length + 1, rnd.choice((512, 64 * KIB)))
        changes.append(Change(disk, offset, length, rnd.choice((0, 0, rnd.randrange(1, 256)))))
    return changes


class Moments(logging.Handler):
    """Counts the commands that end and the progress that is told; ends the process at one."""

    def __init__(self, last: int) -> None:
        super().__init__(logging.DEBUG)
        self._last = last
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        if "status" in str(record.msg):
            self.passes()

    def passes(self) -> None:
        """Count one moment."""
        self._count += 1
        if self._count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A manager of its own, killed at its `last` moment, if any."""

    place: Path
    last: int = 0

    def start(self) -> BaseProcess:
        """Start it. It is forked from a process without threads, unlike the test's own."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        process = context.Process(target=self.live)
        process.start()
        return process

    def live(self) -> None:
        """Be it."""
        moments = Moments(self.last)
        logger = logging.getLogger("standby.host.outcome")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(moments)
        self.work(World(self.place), moments.passes)

    def work(self, world: World, seen: Callable[[], None]) -> None:
        """Do what this manager does."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Merger(Worker):
    """Merges down to a limit."""

    limit: int
    speed: MergeSpeed = UNLIMITED

    def work(self, world: World, seen: Callable[[], None]) -> None:
        with world.opened(self.speed) as store:
            merge_down(store, self.limit, seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher(Worker):
    """Adds a point, of disks that hold zeroes but for these changes, and moves the head to it."""

    sizes: Mapping[str, int]
    changes: Sequence[Change]

    def work(self, world: World, seen: Callable[[], None]) -> None:
        del seen
        world.publish(*self.changes, sizes=self.sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverter(Worker):
    """Lets the head stand on a boot point."""

    point: PointName

    def work(self, world: World, seen: Callable[[], None]) -> None:
        del seen
        with world.opened() as store:
            store.change(store.manifest.reverted(self.point))
            store.move_head(HeadMove.MOVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetsAside(Worker):
    """Keeps the head that somebody ran, and puts a fresh one in its place."""

    def work(self, world: World, seen: Callable[[], None]) -> None:
        del seen
        with world.opened() as store:
            store.move_head(HeadMove.SET_ASIDE)


def was_killed(worker: Worker) -> bool:
    """Let it work to its end; tell whether it was killed."""
    process = worker.start()
    process.join()
    assert process.exitcode in {0, -signal.SIGKILL}, process.exitcode
    return process.exitcode != 0
