"""Runs what was drawn, one run after the other on one machine, and checks after each.

A run: somebody does something, the guest writes, a cycle begins and is struck; then all is
mended, every boot point must be what the source was, and the next cycle must work, send no more
than what differs, and leave nothing behind.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from support import KIB, MIB, SECTOR, Content, Protection, Scribbler
from support_cli import CommandLine
from support_manager import Manager, ManagerHost
from support_messages import Stop, StopAt
from support_traces import expect_no_traces

from lab import Lab
from standby.cycle.report import CycleReport, Outcome
from standby.errors import StandbyError
from standby.model.point import Delta, Standing, Way
from tests.chaos.faults import CLOCK_SHIFTS, mend, strike
from tests.chaos.model import BLOCK, differing
from tests.chaos.scenario import KILLS_LIBVIRT, LOSES_HISTORY, Deed, Fault, Run

SIZES = (12 * MIB, 5 * MIB + 3 * SECTOR)
_LIMIT = 3
_MOST_POINTS = 12  # below the hard cap: pins and reverts are taken back in time
_GROWTH = 256 * KIB + SECTOR
_LARGEST = 16 * MIB
_CYCLE_S = 100.0
_FREE_S = 45.0  # until the lock of a dead manager is free
# A fresh libvirtd holds each domain until it has found its QEMU again, longer than the 30 s that
# its callers wait on a machine that has much to do.
_RECONNECTING_S = 150.0


class Broken(AssertionError):
    """A promise was broken."""


class LostPoint(Broken):
    """A boot point is not what the source was."""


class FullCopy(Broken):
    """More was sent than differs."""


@dataclass
class Tally:
    """What happened so far."""

    runs: int = 0
    struck: dict[str, int] = field(default_factory=dict)
    points: int = 0
    resyncs: int = 0
    lost_points: int = 0
    full_copies: int = 0

    def as_json(self, seed: int) -> str:
        """Return it in one line."""
        return json.dumps({"seed": seed, **self.__dict__})


@dataclass
class Chaos:
    """One protected machine in trouble."""

    lab: Lab
    managers: ManagerHost
    place: Path
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        guest = self.lab.block_guest(f"chaos{time.monotonic_ns() % 10**9}", *SIZES)
        guest.start()
        self.sizes = list(SIZES)
        self.protection = Protection(self.managers, guest, self.place)
        self.protection.configure(limit=_LIMIT)
        self.command = CommandLine(self.managers, self.managers.root)
        self.scribbler = Scribbler(1)
        self._write(6)
        self.protection.cycle()

    def close(self) -> None:
        """Remove everything."""
        self.protection.remove()
        self.protection.guest.undefine()

    def run(self, run: Run) -> None:
        """Do one run. Raises Broken, or whatever else went wrong."""
        self.scribbler = Scribbler(run.chance)
        self.tally.runs += 1
        self._do(run)
        self._write(run.requests)
        if run.fault in _FLIPS:
            self._flip(run)
        else:
            self._struck_cycle(run)
        self._expect_points()
        self._write(run.requests)
        self._expect_next_cycle(run)
        self._forget_old_copies()

    # ---- what somebody does before ------------------------------------------------------

    def _do(self, run: Run) -> None:
        name, points = self.protection.name, self.protection.points
        crowded = len(points) > _MOST_POINTS
        deed = Deed.UNPIN if crowded else run.deed
        some = points[run.chance % len(points)]
        if deed is Deed.REVERT:
            self.command.run("revert", name, some)
        if deed is Deed.FOLLOW or crowded:
            self.command.run("revert", name, "latest")
        if deed is Deed.PIN:
            self.command.run("pin", name, some)
        if deed is Deed.UNPIN:
            for point in self.protection.manifest.points:
                if point.pinned:
                    self.command.run("unpin", name, str(point.name))
        if deed is Deed.GROW and self.sizes[0] < _LARGEST:
            self._grow()
        if deed is Deed.VERIFY:
            self.command.run("verify", name, "--all")

    def _grow(self) -> None:
        self.sizes[0] += _GROWTH
        guest = self.protection.guest
        argv = ("blockresize", guest.name, str(guest.disks[0].path), f"{self.sizes[0]}B")
        self.lab.virsh("source", *argv)

    def _write(self, requests: int) -> None:
        self.scribbler.scribble(self.protection.guest, self.sizes, requests=requests)

    # ---- the cycle that is struck ---------------------------------------------------------

    def _struck_cycle(self, run: Run) -> None:
        now = self.protection.copy()
        with self.managers.manager() as manager:
            manager.clock_shift = CLOCK_SHIFTS.get(run.fault, 0.0)
            self._begin(manager, run, now)
        self.managers.cool_down()
        mend(self.protection)
        self._note_published(now)

    def _begin(self, manager: Manager, run: Run, now: Content) -> None:
        at = run.moment
        stop = StopAt(Stop.PHASE, at.phase) if at.phase else None
        manager.begin(self.protection.name, stop=stop)
        try:
            waits = stop is not None and manager.reaches()
            if stop is None:
                manager.works_for(at.seconds)
            self._strike(manager, run)
            if waits and run.fault is not Fault.MANAGER:
                manager.go_on()
            if run.fault is not Fault.MANAGER and (waits or stop is None):
                self._check(manager.finish(_CYCLE_S), now)
        except StandbyError:
            pass  # what it means is for other tests to say

    def _strike(self, manager: Manager, run: Run) -> None:
        self.tally.struck[run.fault.name] = self.tally.struck.get(run.fault.name, 0) + 1
        if run.fault is Fault.MANAGER:
            manager.kill()
        else:
            strike(run.fault, self.protection)

    def _note_published(self, now: Content) -> None:
        """Take what stands in the manifest and nobody reported for published."""
        for point in self.protection.points:
            if self.protection.kept.setdefault(point, now) is now:
                self.tally.points += 1

    # ---- damage ------------------------------------------------------------------------------

    def _flip(self, run: Run) -> None:
        """Damage must be found and named; here it is undone by flipping the same byte back.

        Damaged manifests are healed by the next cycle.
        """
        self.tally.struck[run.fault.name] = self.tally.struck.get(run.fault.name, 0) + 1
        if run.fault in _MANIFESTS:
            self._flip_manifests(run)
            return
        path, offset = self._victim(run)
        self.lab.damage("kvm", path, offset=offset)
        name = self.protection.name
        try:
            self.command.run("verify", name, "--all", status=1)
        finally:
            self.lab.damage("kvm", path, offset=offset)
        self.command.run("verify", name, "--all")

    def _flip_manifests(self, run: Run) -> None:
        before, now = self.protection.points, self.protection.copy()
        for name in _MANIFESTS[run.fault]:
            size = (self.protection.store / name).stat().st_size
            path = self.protection.directory / name
            self.lab.damage("kvm", path, offset=run.chance % (size - 1))
        report = self.managers.run_when_free(self.protection.name)
        self._check(report, now)
        lost = set(before) - set(self.protection.points) - set(map(str, report.merged))
        if lost:
            self.tally.lost_points += len(lost)
            raise LostPoint(f"not in the manifest any more: {sorted(lost)}")

    def _victim(self, run: Run) -> tuple[Path, int]:
        directory, store = self.protection.directory, self.protection.store
        points = self.protection.manifest.points
        if run.fault is Fault.BIT_IN_DIGESTS:
            # Of older points only the digests of their own blocks are looked at by --all.
            points = points[-1:]
        deltas = [d for point in points for d in point.deltas]
        places = [place for delta in deltas for place in _places(store, delta, run.fault)]
        file, offset = places[run.chance % len(places)]
        return directory / file, offset

    # ---- what must be so -----------------------------------------------------------------------

    def _expect_points(self) -> None:
        for point in self.protection.manifest.points:
            if point.standing is Standing.WHOLE:
                self._expect_exact(str(point.name))

    def _expect_exact(self, name: str) -> None:
        try:
            self.protection.expect_exact(only=name)
        except AssertionError as error:
            self.tally.lost_points += 1
            raise LostPoint(str(error)) from error

    def _expect_next_cycle(self, run: Run) -> None:
        now = self.protection.copy()
        within = _RECONNECTING_S if run.fault in KILLS_LIBVIRT else _FREE_S
        report = self.managers.run_when_free(self.protection.name, within=within)
        self._check(report, now)
        if report.outcome is Outcome.STILL_TRUE and differing(self._newest_copy(), now):
            raise Broken(f"said to be still true, and is not: {report.reason}")
        allowed = {Way.INCREMENTAL}
        if run.fault in LOSES_HISTORY:
            allowed.add(Way.RESYNC)
            self.tally.resyncs += report.way is Way.RESYNC
        if report.way not in allowed:
            raise FullCopy(f"the next cycle was a {report.way.value}: {report.reason}")
        self._expect_points()
        manifest = self.protection.manifest
        head = manifest.reverted_to or manifest.points[-1].name
        self.protection.expect_head_on(str(head))
        expect_no_traces(self.protection)

    def _check(self, report: CycleReport, now: Content) -> None:
        """Count a cycle that ended well, and what it sent against what differs."""
        if report.outcome is not Outcome.PUBLISHED:
            return
        most = differing(self._newest_copy(but=str(report.point)), now)
        self.protection.keep(report, now)
        self.tally.points += 1
        if report.data > most:
            self.tally.full_copies += 1
            raise FullCopy(f"{report.data} bytes sent, {most} differ: {report.reason}")

    def _newest_copy(self, but: str = "") -> Content:
        kept = self.protection.kept
        return kept[max(name for name in kept if name != but)]

    def _forget_old_copies(self) -> None:
        kept, points = self.protection.kept, set(self.protection.points)
        for name in [name for name in kept if name not in points]:
            for path in kept.pop(name).values():
                if not any(path in content.values() for content in kept.values()):
                    path.unlink(missing_ok=True)


_MANIFESTS = {
    Fault.BIT_IN_MANIFEST: ("standby.json",),
    Fault.BITS_IN_BOTH_MANIFESTS: ("standby.json", "kept/standby.json"),
}
_FLIPS = frozenset({Fault.BIT_IN_DATA, Fault.BIT_IN_DIGESTS, *_MANIFESTS})


def _places(store: Path, delta: Delta, fault: Fault) -> list[tuple[str, int]]:
    """Return places in a delta's own data, or in its digests, that its point reads."""
    if fault is Fault.BIT_IN_DATA:
        return [(delta.file, at) for at in _own_data(store / delta.file, delta.size)]
    used = -(-delta.size // BLOCK) * 16
    return [(delta.digests, at) for at in _own_data(store / delta.digests, used)]


def _own_data(image: Path, end: int) -> list[int]:
    """Return where in the file some bytes lie that the image itself holds, below `end`."""
    argv = ["qemu-img", "map", "-U", "--output=json", "-f", "qcow2", str(image)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    extents = json.loads(done.stdout)
    return [e["offset"] for e in extents if e["data"] and not e["depth"] and e["start"] < end]
