"""A protected machine on the lab, and what every one of its boot points must hold."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import yaml
from support_manager import ManagerHost

from lab import BlockGuest, Lab
from lab.domains import DiskSpec, target_name
from lab.layout import STORAGE as STORAGES
from lab.layout import HostName
from standby.cycle.report import CycleReport, Outcome
from standby.model.manifest import Manifest
from standby.model.point import BootPoint, Standing
from standby.target.manifest_format import read_manifest

KIB = 1 << 10
MIB = 1 << 20
SECTOR = 512
STORAGE = STORAGES[HostName.KVM]
_BESIDE = ("transfer", "merge", "resync", "schedule", "scripts", "notify", "limits")

Content = Mapping[str, Path]
"""Raw copies of a machine's disks at one moment, by their names in the machine."""


@dataclass
class Protection:
    """One machine, its standby, and copies of what its disks were at every point.

    `disks` are those a point is expected to have; tests that attach or detach some say so here.
    """

    managers: ManagerHost
    guest: BlockGuest
    copies: Path
    name: str = ""  # the profile's; without one the guest's
    keeper: HostName = HostName.KVM  # the host that keeps the standby
    disks: dict[str, DiskSpec] = field(default_factory=dict)
    kept: dict[str, Content] = field(default_factory=dict)
    copied: int = 0

    def __post_init__(self) -> None:
        specs = enumerate(self.guest.disks)
        self.disks = {target_name(number, disk.bus): disk for number, disk in specs}
        self.name = self.name or self.guest.name
        self.configure()

    @property
    def lab(self) -> Lab:
        """Where all this happens."""
        return self.managers.lab

    @property
    def directory(self) -> Path:
        """The standby's directory as the KVM host sees it."""
        return STORAGES[self.keeper] / f"{self.name}-standby"

    @property
    def store(self) -> Path:
        """The standby's directory as this process sees it."""
        return self.lab.path(self.keeper, self.directory)

    @property
    def manifest(self) -> Manifest:
        """The manifest as it is published now."""
        return read_manifest((self.store / "standby.json").read_text(), "the manifest")

    @property
    def points(self) -> tuple[str, ...]:
        """Names of the points, oldest first; none before there is a manifest."""
        if not (self.store / "standby.json").exists():
            return ()
        return tuple(str(point.name) for point in self.manifest.points)

    def configure(self, *, limit: int = 22, **more: object) -> None:
        """Write the profile. `more` goes into `source`, other sections beside it."""
        beside = {key: more.pop(key) for key in _BESIDE if key in more}
        source = {
            "type": "libvirt",
            "host": str(self.guest.host),
            "domain": self.guest.name,
            "consistency": "crash",
            "scratch": {"reserve": "64MiB"},
        }
        profile = {
            "source": {**source, **more},
            "target": {"host": str(self.keeper), "storage": str(STORAGES[self.keeper])},
            "boot_points": {"limit": limit},
            **beside,
        }
        self.profile_file.write_text(yaml.safe_dump(profile))

    @property
    def profile_file(self) -> Path:
        """The profile's file."""
        return self.managers.root / f"profiles/{self.name}.yaml"

    def write(self, disk: str, *commands: str) -> None:
        """Run commands of qemu-io(1) on a disk, whether the guest began with it or not."""
        number = ord(disk.removeprefix("vd")) - ord("a")
        specs = tuple(self.disks.values()) * (number + 1)
        replace(self.guest, disks=specs).qemu_io(*commands, disk=number)

    # ---- cycles ------------------------------------------------------------------------

    def cycle(self, *, full_copy: bool = False) -> CycleReport:
        """Run one cycle, and keep what the disks are now as the content of its point."""
        now = self.copy()
        return self.keep(self.managers.run(self.name, full_copy=full_copy), now)

    def cycle_when_free(self, *, full_copy: bool = False) -> CycleReport:
        """Run a cycle by a fresh manager, as soon as the lock of a dead one is free."""
        now = self.copy()
        return self.keep(self.managers.run_when_free(self.name, full_copy=full_copy), now)

    def copy(self) -> Content:
        """Copy all disks as the guest sees them now; nobody may write to them meanwhile."""
        if self.guest.state() != "shut off":
            for name in self.disks:
                self.write(name, "flush")
        self.copied += 1
        return {name: self._copy(name, disk) for name, disk in self.disks.items()}

    def keep(self, report: CycleReport, content: Content) -> CycleReport:
        """Note what the point of a cycle must hold."""
        if report.outcome is Outcome.PUBLISHED:
            self.kept[str(report.point)] = content
        return report

    def _copy(self, name: str, disk: DiskSpec) -> Path:
        """Copy a disk with all it stands on, by the names that these have on the source."""
        target = self.copies / f"{self.name}-{self.copied}-{name}.raw"
        root = self.lab.path(str(self.guest.host), Path("/"))
        argv = ["convert", "-U", "-f", disk.kind, "-O", "raw", str(disk.path), "/tmp/copy.raw"]  # noqa: S108
        run("chroot", str(root), "qemu-img", *argv)
        copy = root / "tmp/copy.raw"
        run("cp", "--sparse=always", str(copy), str(target))
        copy.unlink()
        return target

    # ---- what must be so ---------------------------------------------------------------

    def expect_exact(self, *, only: str | None = None) -> None:
        """Compare every point that may be read, or only one, with what was kept."""
        for point in self.manifest.points:
            if only in {None, str(point.name)} and point.standing is Standing.WHOLE:
                self._expect_exact(point)

    def _expect_exact(self, point: BootPoint) -> None:
        expected = self.kept[str(point.name)]
        assert {delta.disk for delta in point.deltas} == set(expected), point.name
        for delta in point.deltas:
            assert delta.size == expected[delta.disk].stat().st_size, (point.name, delta.disk)
            difference = differs(self.store / delta.file, expected[delta.disk])
            assert not difference, f"{point.name} {delta.disk}: {difference}"

    def extract(self, file: str, raw: Path) -> None:
        """Write what an image of the store reads as, with all it stands on, to a raw file."""
        argv = ("-U", "-f", "qcow2", "-O", "raw", str(self.store / file), str(raw))
        run("qemu-img", "convert", *argv)

    def expect_head_on(self, point: str) -> None:
        """What the standby would boot is what this point holds."""
        for disk, content in self.kept[point].items():
            difference = differs(self.store / f"head/{disk}.qcow2", content)
            assert not difference, f"head, {disk}: {difference}"

    def expect_tidy(self) -> None:
        """Nothing lies in the standby's directory that its manifest does not name."""
        manifest, store = self.manifest, self.store
        files = {f"deltas/{path.name}" for path in (store / "deltas").iterdir()}
        assert files == manifest.files()
        assert sorted(path.name for path in (store / "points").iterdir()) == sorted(self.points)
        assert not list((store / "incoming").iterdir())
        assert not list((store / "run").glob("cycle-*"))
        heads = [path.name for path in (store / "heads").iterdir()]
        head = [(store / "head").readlink().name] if (store / "head").is_symlink() else []
        assert heads == head
        assert all(point.standing is Standing.WHOLE for point in manifest.points)

    def remove(self) -> None:
        """Remove the standby and the profile."""
        self.profile_file.unlink(missing_ok=True)
        standby = f"{self.name}-standby"
        if standby in self.lab.virsh(self.keeper, "list", "--all", "--name").split():
            self.lab.virsh(self.keeper, "undefine", standby, "--nvram")
        self.lab.exec(self.keeper, ["rm", "-rf", str(self.directory)])


class Protect(Protocol):
    """Protects a new guest without a system; one disk for each size in bytes."""

    def __call__(
        self, *sizes: int, kinds: tuple[str, ...] = ("qcow2",), limit: int = 22
    ) -> Protection:
        """The guest runs; without sizes it has one disk of 64 MiB."""

    def beside(self, other: Protection, *, limit: int = 22) -> Protection:
        """Protect the machine of another protection by a second standby."""

    def other_way(self, *sizes: int) -> Protection:
        """Protect a machine of the KVM host, kept by the source's host."""


def differs(image: Path, raw: Path) -> str:
    """Say where a qcow2 image differs from a raw file of its size, "" when they are equal."""
    argv = ("compare", "-U", "-f", "qcow2", "-F", "raw", str(image), str(raw))
    done = subprocess.run(["qemu-img", *argv], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def run(*argv: str) -> str:
    """Run a program on this machine that must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


class Scribbler:
    """Writes at random, repeatably: data, zeroes in every way, parts of clusters."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def scribble(self, guest: BlockGuest, sizes: Sequence[int], requests: int = 12) -> None:
        """Send some requests to every disk of these sizes, in bytes."""
        for disk, size in enumerate(sizes):
            guest.qemu_io(*(self._request(size) for _ in range(requests)), disk=disk)

    def _request(self, size: int) -> str:
        rnd = self._random
        length = rnd.choice(
            (SECTOR, 4 * KIB, 64 * KIB, 256 * KIB, 2 * MIB, SECTOR * rnd.randrange(1, 900))
        )
        length = min(length, size)
        step = rnd.choice((SECTOR, 4 * KIB, 64 * KIB))
        offset = rnd.randrange(0, size - length + 1, step)
        if rnd.random() < 0.05:
            offset = size - length  # to the very end
        verb = rnd.choice(("write", "write", "write", "-z", "-z -u", "discard"))
        if verb == "discard":
            return f"discard {offset} {length}"
        pattern = f"-P {rnd.randrange(1, 256)}" if verb == "write" else verb
        return f"write {pattern} {offset} {length}"
