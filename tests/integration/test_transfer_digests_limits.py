"""Tables of digests cost no memory that grows with the disk, and are never ahead of the data."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from standby.errors import Cancelled, TransferFailed
from standby.model.digest import BLOCK, DIGEST_BYTES
from standby.transfer import (
    CopyResult,
    Differing,
    DiskCopy,
    Everything,
    RateLimit,
    Unfinished,
    ZeroPolicy,
    copy_disks,
)
from standby.transfer.feed import BUFFERS
from tests.integration.digest_chain import Chain, serve, table_of, table_of_file
from tests.integration.nbd_servers import GIB, KIB, MIB, content, nbdkit, open_files, run

# The process that is measured does nothing else, and prints its peak in KiB after each step.
MEASURED = """
import sys
from pathlib import Path
from standby.model.digest import DigestAlgorithm
from standby.model.extent import NbdEndpoint
from standby.transfer import *
source, target, pair = sys.argv[1:]
source, target = NbdEndpoint(source, ""), NbdEndpoint(target, "")
digests = DigestTable(NbdEndpoint(pair, "table"), DigestAlgorithm.BLAKE3)
def tell(*found):
    print(*found, Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0], flush=True)
for scope in (Everything(), Differing()):
    copy = DiskCopy("vda", source, target, scope, ZeroPolicy.WRITE, digests=digests)
    (result,) = copy_disks([copy])
    tell(result.data_bytes, result.zero_bytes, result.unchanged_bytes)
found = verify_disk(DigestedDisk("vda", source, digests))
tell(found.read_bytes, found.zero_bytes, found.damaged_bytes)
"""


@pytest.mark.parametrize("gib", [128, pytest.param(2048, marks=pytest.mark.long)])
def test_huge_disks_are_seeded_resynced_and_verified_in_little_memory(
    tmp_path: Path, gib: int
) -> None:
    size = gib * GIB
    pages, spans = 64 * GIB // (16 * MIB), (size - 64 * GIB) // (256 * MIB)
    data = 256 * MIB + BLOCK * (pages - 16 + spans)
    plugin = Path(__file__).with_name("nbdkit_scattered.py")
    pair = Chain(tmp_path).add(size)
    with (
        nbdkit(tmp_path / "s.sock", "python", plugin, f"gib={gib}") as reader,
        nbdkit(tmp_path / "t.sock", "null", str(size)) as writer,
        serve(pair) as tables,
    ):
        sockets = (reader.endpoint.socket, writer.endpoint.socket, tables.table.socket)
        argv = [sys.executable, "-c", MEASURED, *sockets]
        measured = subprocess.run(argv, check=True, capture_output=True, text=True)
    seed, resync, verified = (
        [int(w) for w in line.split()] for line in measured.stdout.split("\n")[:3]
    )
    assert seed[:3] == [data, size - data, 0]
    assert resync[:3] == [0, 0, size]
    assert verified[:3] == [data, size - data, 0]
    assert max(seed[3], resync[3], verified[3]) * KIB <= 100 * MIB
    # One page for each of those, and the tables of the qcow2 image.
    assert pair.table.stat().st_blocks * 512 <= (pages + spans) * 4 * KIB * 1.2


# The same few megabytes again and again, as a daemon does for years.
REPEATED = """
import sys
from pathlib import Path
from standby.model.digest import DigestAlgorithm
from standby.model.extent import NbdEndpoint
from standby.transfer import *
source, target, pair = sys.argv[1:]
source, target = NbdEndpoint(source, ""), NbdEndpoint(target, "")
digests = DigestTable(NbdEndpoint(pair, "table"), DigestAlgorithm.BLAKE3)
copies = [DiskCopy("vda", source, target, scope, ZeroPolicy.WRITE, digests=digests)
          for scope in (Everything(), Differing())]
for number in range(40):
    for copy in copies:
        copy_disks([copy])
    verify_disk(DigestedDisk("vda", source, digests))
    if number in (9, 39):
        print(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0])
"""


@pytest.mark.long
def test_copy_after_copy_no_memory_is_lost(tmp_path: Path) -> None:
    pair = Chain(tmp_path).add(GIB)
    with (
        nbdkit(tmp_path / "s.sock", "sparse-random", "1G", "percent=4") as reader,
        nbdkit(tmp_path / "t.sock", "null", "1G") as writer,
        serve(pair) as tables,
    ):
        sockets = (reader.endpoint.socket, writer.endpoint.socket, tables.table.socket)
        argv = [sys.executable, "-c", REPEATED, *sockets]
        measured = subprocess.run(argv, check=True, capture_output=True, text=True)
    early, late = (int(word) for word in measured.stdout.split())
    assert (late - early) * KIB < 4 * MIB


SIZE = 48 * MIB


def crash(tmp_path: Path, chain: Chain, raw: Path, done: int) -> bytes:
    """Seed with a daemon that is killed after `done` bytes; return the source's bytes."""
    data = os.urandom(SIZE)
    raw.write_bytes(data)
    with nbdkit(tmp_path / "s.sock", "file", raw) as reader, serve(chain.add(SIZE)) as writer:

        def kill(_disk: str, moved: int, _total: int) -> None:
            if moved >= done:
                writer.server.kill()

        copy = DiskCopy(
            "vda",
            reader.endpoint,
            writer.image,
            Everything(),
            ZeroPolicy.LEAVE_OUT,
            digests=writer.digests,
        )
        with pytest.raises(TransferFailed):
            copy_disks([copy], limiter=RateLimit(SIZE), progress=kill)
    return data


@pytest.mark.parametrize("done", [1, SIZE // 3, SIZE * 3 // 4])
def test_no_digest_is_stored_before_its_block(tmp_path: Path, done: int) -> None:
    """Whatever entries a killed daemon left, the blocks that they stand for are there."""
    chain = Chain(tmp_path)
    data = crash(tmp_path, chain, tmp_path / "source.raw", done)
    image, table = (content(path) for path in (chain.pairs[0].image, chain.pairs[0].table))
    wanted = table_of(data)
    for at in range(0, SIZE // BLOCK * DIGEST_BYTES, DIGEST_BYTES):
        entry = table[at : at + DIGEST_BYTES]
        if any(entry):
            assert entry == wanted[at : at + DIGEST_BYTES]
            offset = at // DIGEST_BYTES * BLOCK
            assert image[offset : offset + BLOCK] == data[offset : offset + BLOCK]


def test_stored_digests_wait_for_a_flush_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for one page only, every page goes out during the copy, behind a flush."""
    monkeypatch.setattr("standby.transfer.table._KEPT", 4096)
    log = tmp_path / "log"
    raw = tmp_path / "source.raw"
    with raw.open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(BLOCK))
            file.seek(16 * MIB - BLOCK, os.SEEK_CUR)
        file.truncate(GIB)
    pair = Chain(tmp_path).add(GIB)
    argv = ("--filter=log", "memory", "1G", f"logfile={log}")
    with (
        nbdkit(tmp_path / "s.sock", "file", raw) as reader,
        nbdkit(tmp_path / "t.sock", *argv) as target,
        serve(pair) as tables,
    ):
        for scope in (Everything(), Differing()):
            copy = DiskCopy(
                "vda",
                reader.endpoint,
                target.endpoint,
                scope,
                ZeroPolicy.WRITE,
                digests=tables.digests,
            )
            copy_disks([copy])
    assert content(pair.table) == table_of_file(raw)
    assert log.read_text().count(" Flush id=") >= 3


def test_a_table_that_dies_or_a_cancel_leaves_nothing_open(tmp_path: Path) -> None:
    before = open_files()
    chain, raw = Chain(tmp_path), tmp_path / "source.raw"
    crash(tmp_path, chain, raw, 1)
    cancel = threading.Event()
    cancel.set()
    with nbdkit(tmp_path / "s.sock", "file", raw) as reader, serve(chain.pairs[0]) as writer:
        copy = DiskCopy(
            "vda",
            reader.endpoint,
            writer.image,
            Differing(),
            ZeroPolicy.WRITE,
            digests=writer.digests,
        )
        with pytest.raises(Cancelled):
            copy_disks([copy], cancel=cancel)
    assert open_files() == before


# Going on after an interruption.


class Seed:
    """A first seed into one pair of files, tried again and again while its source changes."""

    def __init__(self, place: Path) -> None:
        self.raw = place / "source.raw"
        self.pair = Chain(place).add(GIB)
        self._place = place
        self._tries = 0

    def go_on(self, crash_after: int | None = None) -> CopyResult | None:
        """Copy what is missing; None when the daemon was killed after so many bytes sent."""
        self._tries += 1
        scope, zeroes = (Unfinished(), ZeroPolicy.WRITE)
        if self._tries == 1:
            scope, zeroes = (Everything(), ZeroPolicy.LEAVE_OUT)
        socket = self._place / "s.sock"
        with nbdkit(socket, "file", self.raw) as reader, serve(self.pair) as writer:
            copy = DiskCopy(
                "vda", reader.endpoint, writer.image, scope, zeroes, digests=writer.digests
            )

            def kill(_disk: str, moved: int, _total: int) -> None:
                if crash_after is not None and moved >= crash_after:
                    writer.server.kill()

            try:
                (result,) = copy_disks([copy], progress=kill)
            except TransferFailed:
                return None
        return result

    def has_stored(self) -> bool:
        """Tell whether some digests are stored: at a kill their flush may be under way."""
        return any(content(self.pair.table))

    def expect_exact(self) -> None:
        run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", self.raw, self.pair.image)
        assert content(self.pair.table) == table_of_file(self.raw)


@pytest.fixture
def seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seed:
    """1 GiB in four spans, with data and holes; every span is stored as soon as it is done."""
    monkeypatch.setattr("standby.transfer.table._STORE_EVERY", 0.0)
    monkeypatch.setattr("standby.transfer.engine._REPORT_EVERY", 0.0)
    seed = Seed(tmp_path)
    with seed.raw.open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(4 * MIB))
            file.seek(12 * MIB, os.SEEK_CUR)
        file.truncate(GIB)
    return seed


def test_an_interrupted_seed_sends_only_what_is_missing(seed: Seed) -> None:
    for _ in range(5):
        assert seed.go_on(crash_after=GIB * 3 // 4) is None
        if seed.has_stored():
            break
    result = seed.go_on()
    assert result is not None
    assert result.data_bytes <= 192 * MIB  # at least one of four spans was stored
    assert result.data_bytes + result.unchanged_bytes >= 256 * MIB
    seed.expect_exact()


def test_what_changed_between_two_tries_is_sent(seed: Seed) -> None:
    """Data elsewhere, other data, data that became a hole, and a hole that became data."""
    assert seed.go_on(crash_after=GIB * 3 // 4) is None
    with seed.raw.open("r+b") as file:
        for place in range(0, GIB, 64 * MIB):
            file.seek(place)
            file.write(os.urandom(BLOCK))
            file.seek(place + 2 * MIB)
            file.write(bytes(BLOCK))
            file.seek(place + 9 * MIB)
            file.write(os.urandom(BLOCK))
    assert seed.go_on() is not None
    seed.expect_exact()


def test_back_to_what_it_was_between_interrupted_tries_is_not_taken_for_unchanged(
    seed: Seed,
) -> None:
    """A is stored with its digest; B is written over it, and the daemon dies; then A again."""
    assert seed.go_on() is not None
    places = range(0, GIB, 16 * MIB)
    blocks = {}
    with seed.raw.open("r+b") as file:
        for place in places:
            file.seek(place)
            blocks[place] = file.read(BLOCK)
            file.seek(place)
            file.write(os.urandom(BLOCK))
    assert seed.go_on(crash_after=GIB // 2) is None
    with seed.raw.open("r+b") as file:
        for place, data in blocks.items():
            file.seek(place)
            file.write(data)
    assert seed.go_on() is not None
    seed.expect_exact()


@pytest.mark.parametrize("maximum", [16 * KIB, 96 * KIB])
def test_blocks_that_take_several_reads_get_the_digests_of_the_whole(
    tmp_path: Path, maximum: int
) -> None:
    disk = os.urandom(3 * MIB) + bytes(MIB) + os.urandom(MIB + 512)
    raw = tmp_path / "source.raw"
    raw.write_bytes(disk)
    pair = Chain(tmp_path).add(len(disk))
    policy = ("--filter=blocksize-policy", "blocksize-error-policy=error", "blocksize-minimum=512")
    policy += ("blocksize-preferred=4096", f"blocksize-maximum={maximum}")
    with nbdkit(tmp_path / "s.sock", "file", raw, *policy) as reader, serve(pair) as ends:
        for scope in (Everything(), Differing()):
            copy = DiskCopy(
                "vda", reader.endpoint, ends.image, scope, ZeroPolicy.WRITE, digests=ends.digests
            )
            (result,) = copy_disks([copy])
    assert result.unchanged_bytes == len(disk)
    assert pair.content() == (disk, table_of(disk))


def test_more_disks_than_buffers_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None waits until another has ended: its server would wait as long."""
    monkeypatch.setattr("standby.transfer.engine._REPORT_EVERY", 0.0)
    done: dict[str, int] = {}
    behind: list[int] = []

    def note(disk: str, moved: int, total: int) -> None:
        done[disk] = moved
        if moved == total and not behind:
            behind.append(min(done.values()))

    size = 16 * MIB
    pair = Chain(tmp_path).add(size)
    with nbdkit(tmp_path / "s.sock", "pattern", str(size)) as reader, serve(pair) as ends:
        one = DiskCopy(
            "vda", reader.endpoint, ends.image, Everything(), ZeroPolicy.WRITE, digests=ends.digests
        )
        copy_disks([one])
        disks = [f"vd{number}" for number in range(BUFFERS + 4)]
        same = [replace(one, disk=disk, scope=Differing()) for disk in disks]
        results = copy_disks(same, progress=note)
    assert [result.unchanged_bytes for result in results] == [size] * len(disks)
    assert behind[0] >= size // 2
