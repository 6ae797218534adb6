"""What is left of a store when the power fails: every cut of the log of its storage's writes.

python -m tests.chaos.power DIRECTORY SEED CUTS, as root, in mount and PID namespaces of its own,
so that nothing is left of it however it ends. The store lies on ext4 on a loop device, over a
storage daemon that logs every write and flush on its way.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from standby.model.names import PointName
from standby.model.point import Standing
from tests.chaos.writelog import Entry, read_log, replay
from tests.integration.store_world import KIB, MIB, Change, World

_DEVICE = 192 * MIB
_SIZES = {"vda": 3 * MIB, "vdb": 1 * MIB + 512}
_ROUNDS = 7
_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Milestone:
    """What the manifest says from this place of the log on."""

    log_bytes: int
    points: frozenset[PointName]


def main(place: Path, seed: int, cuts: int) -> None:
    """Write a store's history, then look at what each cut leaves of it."""
    chances = random.Random(seed)
    log = place / "log"
    with _logged_storage(place) as mounted:
        world = World(mounted)
        milestones = list(_history(world, log, chances))
    entries = read_log(log)
    # The hardest moment: what was published a moment ago, and nothing was flushed since.
    hard = [it.log_bytes for it in milestones]
    anywhere = [entry.end for entry in entries if entry.end > hard[0]]
    chosen = sorted([*hard, *chances.sample(anywhere, cuts)])
    for moment in chosen:
        _look(place, world, entries, moment, milestones, chances)
    print(f"{len(entries)} entries, {len(chosen)} cuts: all points whole")


def _history(world: World, log: Path, chances: random.Random) -> Iterator[Milestone]:
    for number in range(_ROUNDS):
        changes = [_change(chances) for _ in range(6)]
        world.publish(*changes, sizes=_SIZES if number == 0 else None)
        yield Milestone(log.stat().st_size, frozenset(world.points))
        world.merge(_LIMIT)
        yield Milestone(log.stat().st_size, frozenset(world.points))


def _change(chances: random.Random) -> Change:
    disk = chances.choice(list(_SIZES))
    length = chances.choice((512, 4 * KIB, 64 * KIB, 300 * KIB))
    offset = chances.randrange(0, _SIZES[disk] - length + 1, 512)
    return Change(disk, offset, length, chances.choice((0, *range(1, 256))))


def _look(
    place: Path,
    world: World,
    entries: Sequence[Entry],
    moment: int,
    milestones: Sequence[Milestone],
    chances: random.Random,
) -> None:
    """Cut the power when the log is `moment` bytes long.

    What was written before the last flush is there; of what came after it, any may be.
    """
    image = place / "cut.img"
    with image.open("wb") as file:
        file.truncate(_DEVICE)
    done = [entry for entry in entries if entry.end <= moment]
    kept = max((n + 1 for n, entry in enumerate(done) if entry.is_flush), default=0)
    lucky = [entry for entry in done[kept:] if chances.random() < 0.5]
    replay(place / "log", [*done[:kept], *lucky], image)
    before = [it.points for it in milestones if it.log_bytes <= moment]
    after = [it.points for it in milestones if it.log_bytes > moment]
    with _mounted(image, world.path.parent):
        points = world.manifest.points
        whole = {point.name for point in points if point.standing is Standing.WHOLE}
        missing = before[-1] & (after[0] if after else before[-1]) - whole
        assert not missing, f"cut at {moment}: {sorted(map(str, missing))} lost"
        world.expect_exact()
    image.unlink()


# ---- storage ------------------------------------------------------------------------------


@contextmanager
def _logged_storage(place: Path) -> Iterator[Path]:
    """Mount a file system whose writes and flushes are logged; yield where."""
    disk, served = place / "disk.img", place / "served"
    with disk.open("wb") as file:
        file.truncate(_DEVICE)
    (place / "log").touch()
    served.touch()
    argv = [
        *("qemu-storage-daemon", "--pidfile", place / "daemon.pid"),
        *("--blockdev", f"driver=file,node-name=disk,filename={disk}"),
        *("--blockdev", f"driver=file,node-name=log,filename={place / 'log'}"),
        *("--blockdev", "driver=blklogwrites,node-name=top,file=disk,log=log,log-sector-size=512"),
        *("--export", f"type=fuse,id=top,node-name=top,mountpoint={served},writable=on"),
    ]
    with subprocess.Popen(argv) as daemon:
        try:
            _await(place / "daemon.pid", daemon)
            _run("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0", served)
            with _mounted(served, place / "mounted"):
                yield place / "mounted"
        finally:
            daemon.terminate()
            daemon.wait(30)


@contextmanager
def _mounted(image: Path, where: Path) -> Iterator[None]:
    where.mkdir(exist_ok=True)
    _run("mount", "-o", "loop", "-t", "ext4", image, where)
    try:
        yield
    finally:
        _run("umount", where)


def _await(pidfile: Path, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while not pidfile.exists() or not pidfile.read_text():
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the storage daemon did not start")
        time.sleep(0.02)


def _run(*argv: str | Path) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stderr}")


def in_namespaces(place: Path, seed: int, cuts: int) -> subprocess.CompletedProcess[str]:
    """Run all this apart from the machine's mounts and processes; it ends when we do."""
    argv = [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, "-m", "tests.chaos.power", str(place), str(seed), str(cuts)),
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    main(directory, int(sys.argv[2]), int(sys.argv[3]))
