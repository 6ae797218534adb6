"""The table says what the image holds, what it says is there is not sent, and no change is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from standby.errors import FixRequest, RepairStore
from standby.model.digest import BLOCK, DigestAlgorithm, table_bytes
from standby.model.extent import NbdEndpoint
from standby.transfer import (
    Changed,
    CopyResult,
    Differing,
    DigestTable,
    DiskCopy,
    Everything,
    RateLimit,
    Scope,
    ZeroPolicy,
    copy_disks,
)
from tests.integration.digest_chain import Chain, serve, table_of
from tests.integration.nbd_servers import (
    MIB,
    add_bitmap,
    content,
    create,
    nbdkit,
    qemu_io,
    qemu_nbd,
    run,
)

SIZE = 8 * MIB


class World:
    """A source whose writes are tracked, and the chain of its copies."""

    def __init__(self, place: Path, size: int = SIZE) -> None:
        self.source = create(place / "source.qcow2", size)
        self.chain = Chain(place)
        self._bitmaps = 0

    def track(self) -> None:
        """Begin a new bitmap; the one before goes on too, as no test needs it to end."""
        self._bitmaps += 1
        add_bitmap(self.source, f"b{self._bitmaps}")

    def seed(self, zeroes: ZeroPolicy = ZeroPolicy.LEAVE_OUT) -> CopyResult:
        return self._copy(Everything(), zeroes)

    def increment(self) -> CopyResult:
        return self._copy(Changed(f"qemu:dirty-bitmap:b{self._bitmaps}"), ZeroPolicy.WRITE)

    def resync(self) -> CopyResult:
        return self._copy(Differing(), ZeroPolicy.WRITE)

    def _copy(self, scope: Scope, zeroes: ZeroPolicy) -> CopyResult:
        pair = self.chain.add(len(content(self.source)))
        bitmap = scope.context.rpartition(":")[2] if isinstance(scope, Changed) else None
        with qemu_nbd(self.source, bitmap=bitmap) as reader, serve(pair) as writer:
            (result,) = copy_disks(
                [
                    DiskCopy(
                        "vda", reader.endpoint, writer.image, scope, zeroes, None, writer.digests
                    )
                ]
            )
        self.track()
        self.check()
        return result

    def check(self) -> None:
        """The newest point is the source, and its table is the table of that."""
        image, table = self.chain.pairs[-1].content()
        exact = image == content(self.source)  # no report could show the difference
        assert exact
        assert table == table_of(image)
        run("qemu-img", "check", self.chain.pairs[-1].image)
        run("qemu-img", "check", self.chain.pairs[-1].table)


def moved(result: CopyResult) -> tuple[int, int, int]:
    return result.data_bytes, result.zero_bytes, result.unchanged_bytes


@pytest.fixture
def world(tmp_path: Path) -> World:
    """8 MiB, the first half of it data, and its seed."""
    world = World(tmp_path)
    qemu_io(world.source, "write -P 0x11 0 4M")
    assert moved(world.seed()) == (4 * MIB, 0, 0)
    return world


def test_a_block_that_was_written_again_as_it_was_is_not_sent(world: World) -> None:
    qemu_io(world.source, "write -P 0x11 1M 1M", "write -P 0x22 2M 64k")
    assert moved(world.increment()) == (BLOCK, 0, MIB)
    image = world.chain.pairs[-1].image
    assert image.stat().st_blocks * 512 < MIB


def test_one_changed_byte_is_a_changed_block(world: World) -> None:
    qemu_io(world.source, "write -P 0x12 1048575 1")
    assert moved(world.increment()) == (BLOCK, 0, 0)


def test_back_and_forth_between_points_is_followed(world: World) -> None:
    """A, B, A: each differs from the point before it."""
    for pattern in ("0x22", "0x11", "0x22", "0x11"):
        qemu_io(world.source, f"write -P {pattern} 1M 64k")
        assert moved(world.increment()) == (BLOCK, 0, 0)


@pytest.mark.parametrize("older", [0, 1, 2])
def test_back_and_forth_is_followed_across_merges(world: World, older: int) -> None:
    for pattern in ("0x22", "0x33", "0x22"):
        qemu_io(world.source, f"write -P {pattern} 1M 64k")
        world.increment()
    world.chain.merge(older)
    world.check()
    qemu_io(world.source, "write -P 0x33 1M 64k")
    assert moved(world.increment()) == (BLOCK, 0, 0)
    while len(world.chain.pairs) > 1:
        world.chain.merge(0)
        world.check()
    qemu_io(world.source, "write -P 0x11 1M 64k")
    assert moved(world.increment()) == (BLOCK, 0, 0)


@pytest.mark.parametrize("zero", ["write -P 0", "write -z", "write -z -u", "discard"])
def test_zero_to_data_to_zero_is_followed(world: World, zero: str) -> None:
    for _ in range(2):
        qemu_io(world.source, f"{zero} 1M 128k")
        assert moved(world.increment()) == (0, 2 * BLOCK, 0)
        qemu_io(world.source, "write -P 0x11 1M 128k")
        assert moved(world.increment()) == (2 * BLOCK, 0, 0)
    world.chain.merge(1)
    world.chain.merge(0)
    qemu_io(world.source, f"{zero} 1M 128k")
    assert moved(world.increment()) == (0, 2 * BLOCK, 0)


@pytest.mark.parametrize("zero", ["write -P 0", "write -z", "write -z -u", "discard"])
def test_what_was_zero_before_is_not_zeroed_again(world: World, zero: str) -> None:
    qemu_io(world.source, f"{zero} 5M 2M", f"{zero} 1M 64k")
    data, zeroes, _ = moved(world.increment())
    assert (data, zeroes) == (0, BLOCK)


def test_an_emptied_disk_leaves_a_thin_delta_and_a_thin_table(world: World) -> None:
    qemu_io(world.source, "discard 0 8M")
    assert moved(world.increment()) == (0, 4 * MIB, 4 * MIB)
    pair = world.chain.pairs[-1]
    assert pair.image.stat().st_blocks * 512 < MIB
    assert pair.table.stat().st_blocks * 512 <= 32 * 1024


def test_an_increment_without_a_difference_writes_no_digest(world: World) -> None:
    before = table_blocks(world)
    qemu_io(world.source, "write -P 0x11 0 4M", "write -z 4M 4M")
    assert moved(world.increment()) == (0, 0, 8 * MIB)
    assert table_blocks(world) <= before


def table_blocks(world: World) -> int:
    return world.chain.pairs[-1].table.stat().st_blocks


def test_changes_across_the_pages_and_sheets_of_a_table_are_followed(tmp_path: Path) -> None:
    """A page stands for 16 MiB and a sheet for 256 MiB of the disk."""
    world = World(tmp_path, 300 * MIB)
    across = [f"write -P 0x22 {edge - BLOCK} 128k" for edge in (16 * MIB, 48 * MIB, 256 * MIB)]
    qemu_io(world.source, *across, "write -P 0x33 80M 20M")
    world.seed()
    qemu_io(world.source, *(line.replace("0x22", "0x44") for line in across))
    assert moved(world.increment()) == (6 * BLOCK, 0, 0)
    qemu_io(world.source, "write -z 0 300M", "write -P 0x33 90M 64k")
    data, zero, unchanged = moved(world.increment())
    assert (data, zero) == (0, 6 * BLOCK + 20 * MIB - BLOCK)
    assert unchanged == 300 * MIB - zero
    qemu_io(world.source, *across)
    assert moved(world.increment()) == (6 * BLOCK, 0, 0)
    assert moved(world.resync()) == (0, 0, 300 * MIB)


def test_a_disk_that_grew_keeps_the_digest_of_its_last_short_block(tmp_path: Path) -> None:
    world = World(tmp_path, MIB + 512)
    qemu_io(world.source, f"write -P 0x11 0 {MIB + 512}")
    world.seed()
    table = world.chain.pairs[-1].content()[1]
    run("qemu-img", "bitmap", "--remove", world.source, "b1")
    run("qemu-img", "resize", world.source, str(300 * MIB))
    world.track()
    qemu_io(world.source, "write -P 0x22 299M 1M")
    assert moved(world.increment()) == (MIB, 0, 0)
    grown = world.chain.pairs[-1].content()[1]
    assert grown[: 17 * 16] == table[: 17 * 16]
    qemu_io(world.source, f"write -P 0x22 {MIB + 512} 512")
    assert moved(world.increment()) == (BLOCK, 0, 0)
    world.chain.merge(0)
    world.check()
    assert moved(world.resync())[:2] == (0, 0)


@pytest.mark.parametrize("size", [512, BLOCK - 512, BLOCK, BLOCK + 512, 5 * MIB + 66048])
def test_a_disk_may_end_inside_a_block(tmp_path: Path, size: int) -> None:
    world = World(tmp_path, size)
    qemu_io(world.source, f"write -P 0x11 0 {size}")
    world.seed()
    qemu_io(world.source, f"write -P 0x12 {size - 1} 1")
    world.increment()
    qemu_io(world.source, f"write -z {size - 512} 512")
    world.increment()
    assert moved(world.resync())[:2] == (0, 0)


def test_a_disk_need_not_be_whole_sectors(tmp_path: Path) -> None:
    raw = tmp_path / "source.raw"
    raw.write_bytes(os.urandom(3 * BLOCK + 1001))
    chain = Chain(tmp_path)
    for scope in (Everything(), Differing()):
        pair = chain.add(4 * BLOCK)
        with nbdkit(tmp_path / "s.sock", "file", raw) as reader, serve(pair) as writer:
            copy = DiskCopy(
                "vda",
                reader.endpoint,
                writer.image,
                scope,
                ZeroPolicy.WRITE,
                digests=writer.digests,
            )
            (result,) = copy_disks([copy])
        assert result.data_bytes == (raw.stat().st_size if scope == Everything() else 0)
        image, table = pair.content()
        assert image == raw.read_bytes().ljust(4 * BLOCK, b"\0")
        assert table == table_of(image)


def test_a_resync_sends_only_what_differs(world: World) -> None:
    qemu_io(world.source, "write -P 0x22 1M 64k", "write -z 2M 64k", "write -P 0x33 7M 64k")
    assert moved(world.resync()) == (2 * BLOCK, BLOCK, SIZE - 3 * BLOCK)


def test_a_resync_without_a_difference_sends_nothing(world: World) -> None:
    assert moved(world.resync()) == (0, 0, SIZE)


def test_a_full_copy_believes_nothing(world: World) -> None:
    """It is asked for when somebody doubts the target."""
    assert moved(world.seed(ZeroPolicy.WRITE)) == (4 * MIB, 4 * MIB, 0)


@pytest.mark.parametrize("algorithm", list(DigestAlgorithm))
def test_the_table_is_made_by_the_algorithm_that_is_asked_for(
    tmp_path: Path, algorithm: DigestAlgorithm
) -> None:
    source = create(tmp_path / "source.qcow2", SIZE)
    qemu_io(source, "write -P 0x11 1M 1M")
    pair = Chain(tmp_path).add(SIZE)
    with qemu_nbd(source) as reader, serve(pair) as writer:
        digests = DigestTable(writer.table, algorithm)
        scope, zeroes = Everything(), ZeroPolicy.LEAVE_OUT
        copy_disks([DiskCopy("vda", reader.endpoint, writer.image, scope, zeroes, digests=digests)])
    assert pair.content()[1] == table_of(content(source), algorithm)


def test_a_resync_needs_a_table() -> None:
    nowhere = NbdEndpoint("/nowhere", "")
    with pytest.raises(FixRequest):
        DiskCopy("vda", nowhere, nowhere, Differing(), ZeroPolicy.WRITE)


def test_a_table_that_is_too_small_is_refused(tmp_path: Path) -> None:
    source = create(tmp_path / "source.qcow2", 17 * MIB)
    pair = Chain(tmp_path).add(17 * MIB)
    create(pair.table, table_bytes(16 * MIB), options="cluster_size=4096")
    with (
        qemu_nbd(source) as reader,
        serve(pair) as writer,
        pytest.raises(RepairStore, match=r"digests: 4096 bytes.*at least 8192 bytes"),
    ):
        copy_disks(
            [
                DiskCopy(
                    "vda",
                    reader.endpoint,
                    writer.image,
                    Differing(),
                    ZeroPolicy.WRITE,
                    digests=writer.digests,
                )
            ]
        )


def test_a_resync_reads_no_faster_than_it_may(world: World) -> None:
    pair = world.chain.add(SIZE)
    with qemu_nbd(world.source) as reader, serve(pair) as writer:
        copy = DiskCopy(
            "vda",
            reader.endpoint,
            writer.image,
            Differing(),
            ZeroPolicy.WRITE,
            digests=writer.digests,
        )
        (result,) = copy_disks([copy], read_limiter=RateLimit(4 * MIB))
    assert 0.8 <= result.seconds <= 3
