"""How the cost of a cycle grows: with the disk, with what changed, with disks, with the chain."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.digests import MEASURED
from bench.run import ROUNDS, Benchmark, Measured
from bench.site import GIB, MIB, Site, site
from lab import BlockGuest
from tests.integration import nbd_servers
from tests.integration.digest_chain import Chain, serve
from tests.integration.nbd_servers import nbdkit

_BLOCK = 64 << 10
_CHANGED = 8 * MIB

Write = Callable[[BlockGuest, int], None]  # the guest, and the number of the round


def by_size(size: int, _: Path) -> Measured:
    """A cycle with 8 MiB changed at 128 places all over a disk of `size` bytes."""
    return _cycles([size], _scattered(size, _CHANGED // _BLOCK))


def by_change(changed: int, _: Path) -> Measured:
    """A cycle with `changed` bytes in one piece, on a disk of 4 GiB."""
    return _cycles([4 * GIB], _in_one_piece([0], changed))


def by_disks(disks: int, _: Path) -> Measured:
    """A cycle with 8 MiB changed in all, on so many disks of 10 GiB."""
    numbers = list(range(disks))
    return _cycles([10 * GIB] * disks, _in_one_piece(numbers, _CHANGED // disks))


def by_chain(points: int, _: Path) -> Measured:
    """A cycle with 8 MiB changed on top of so many points, without a merge."""
    return _cycles([10 * GIB], _in_one_piece([0], _CHANGED), before=points - 1)


def _cycles(sizes: list[int], write: Write, before: int = 1) -> Measured:
    """Return the median of cycles after `before` others; the first one is the seed."""
    with site("kvm") as here:
        guest = here.guest(*sizes)
        profile = here.protect(guest, limit=64)
        rounds = _rounds(here, guest, profile, write)
        for _ in range(before + 1):
            next(rounds)
        return Measured(statistics.median(next(rounds) for _ in range(ROUNDS)))


def _rounds(here: Site, guest: BlockGuest, profile: str, write: Write) -> Iterator[float]:
    number = 0
    while True:
        number += 1
        write(guest, number)
        yield float(here.cycle(profile)["seconds"])


def _scattered(size: int, blocks: int) -> Write:
    def write(guest: BlockGuest, number: int) -> None:
        for place in range(blocks):
            guest.write(place * (size // blocks), _BLOCK, number)

    return write


def _in_one_piece(disks: list[int], length: int) -> Write:
    def write(guest: BlockGuest, number: int) -> None:
        for disk in disks:
            guest.write(0, length, number, disk=disk)

    return write


def digest_memory(gib: int, place: Path) -> Measured:
    """Return the peak memory of a process that seeds, resyncs and verifies such a disk."""
    plugin = Path(nbd_servers.__file__).with_name("nbdkit_scattered.py")
    with (
        nbdkit(place / "s.sock", "python", plugin, f"gib={gib}") as reader,
        nbdkit(place / "t.sock", "null", f"{gib}G") as writer,
        serve(Chain(place).add(gib * GIB)) as tables,
    ):
        sockets = (reader.endpoint.socket, writer.endpoint.socket, tables.table.socket)
        return Measured(int(nbd_servers.run(sys.executable, "-c", MEASURED, *sockets)) / 1024)


def _curve(
    name: str,
    work: str,
    unit: str,
    measure: Callable[[int, Path], Measured],
    at: dict[str, int],
    goal: str | None = None,
) -> Iterator[Benchmark]:
    for words, number in at.items():
        yield Benchmark(
            f"{name}_{words}", work.format(words), "", unit, goal, partial(measure, number)
        )


_SIZES = {"10g": 10 * GIB, "100g": 100 * GIB, "500g": 500 * GIB, "2t": 2048 * GIB}
_CHANGES = {"1m": MIB, "8m": 8 * MIB, "64m": 64 * MIB, "512m": 512 * MIB}

BENCHMARKS = (
    *_curve("cycle_by_size", "8 MiB changed all over a disk of {}", "s", by_size, _SIZES),
    *_curve("cycle_by_change", "{} changed in one piece", "s", by_change, _CHANGES),
    *_curve(
        "cycle_by_disks",
        "8 MiB changed on {} disks",
        "s",
        by_disks,
        {str(n): n for n in (1, 2, 4, 8)},
    ),
    *_curve(
        "cycle_by_chain",
        "8 MiB changed, {} points below",
        "s",
        by_chain,
        {str(n): n for n in (2, 8, 22, 40)},
    ),
    *_curve(
        "digest_memory",
        "seed, resync and verify of a disk of {}",
        "MiB",
        digest_memory,
        {"10g": 10, "100g": 100, "500g": 500, "2t": 2048},
        "value <= 150",
    ),
)
