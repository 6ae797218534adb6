"""Damage is found and named exactly, and mended only by what has the right digest."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standby.errors import Cancelled, RepairStore, UseOtherStorage
from standby.model.digest import BLOCK, DigestAlgorithm
from standby.model.extent import NbdEndpoint
from standby.transfer import (
    Changed,
    Differing,
    DigestedDisk,
    DigestTable,
    DiskCopy,
    Everything,
    OnlyRanges,
    OwnLayer,
    Pace,
    RateLimit,
    Scope,
    Unchanged,
    Verified,
    ZeroPolicy,
    build_table,
    copy_disks,
    mend_blocks,
    verify_disk,
)
from standby.transfer.unreadable import verify_through
from standby.transfer.verify import VerifyScope
from tests.integration.digest_chain import Chain, Pair, flip, serve, table_of
from tests.integration.nbd_servers import (
    MIB,
    add_bitmap,
    create,
    nbdkit,
    open_files,
    qemu_io,
    qemu_nbd,
)

SIZE = 8 * MIB + 512
LAST = 8 * MIB


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Data in the first half and in the last, short block."""
    image = create(tmp_path / "source.qcow2", SIZE)
    qemu_io(image, "write -P 0x11 0 4M", f"write -P 0x12 {LAST} 512")
    return image


@pytest.fixture
def chain(tmp_path: Path, source: Path) -> Chain:
    """A seed, and a point in which 1 MiB is other data, 64 KiB were zeroed, and 1 MiB is new."""
    chain = Chain(tmp_path)
    move(source, chain.add(SIZE), Everything(), ZeroPolicy.LEAVE_OUT)
    add_bitmap(source, "b")
    qemu_io(source, "write -P 0x22 1M 1M", "write -z 3M 64k", "write -P 0x33 6M 1M")
    move(source, chain.add(SIZE), Changed("qemu:dirty-bitmap:b"), ZeroPolicy.WRITE)
    return chain


def move(source: Path, pair: Pair, scope: Scope, zeroes: ZeroPolicy) -> None:
    bitmap = "b" if isinstance(scope, Changed) else None
    with qemu_nbd(source, bitmap=bitmap) as reader, serve(pair) as writer:
        end, target, digests = reader.endpoint, writer.image, writer.digests
        copy_disks([DiskCopy("vda", end, target, scope, zeroes, digests=digests)])


def verify(pair: Pair, scope: Everything | OwnLayer | OnlyRanges = Everything()) -> Verified:  # noqa: B008
    with serve(pair, writable=False) as served:
        return verify_disk(served.disk, scope)


def blocks(*offsets: int) -> tuple[tuple[int, int], ...]:
    return tuple((offset, min(offset + BLOCK, SIZE)) for offset in offsets)


def test_a_sound_image_has_no_damage(chain: Chain) -> None:
    seed, point = (verify(pair) for pair in chain.pairs)
    assert seed == Verified("vda", 4 * MIB + 512, 4 * MIB, 0, ())
    assert point == Verified("vda", 5 * MIB - BLOCK + 512, 3 * MIB + BLOCK, 0, ())


@pytest.mark.parametrize("offset", [0, 1, BLOCK - 1, 2 * MIB, 4 * MIB - 1, LAST, SIZE - 1])
@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_a_flipped_bit_is_named_by_its_block_in_every_point_that_shares_it(
    chain: Chain, offset: int, mask: int
) -> None:
    flip(chain.pairs[0].image, offset, mask)
    for pair in chain.pairs:
        found = verify(pair)
        assert found.damaged == blocks(offset - offset % BLOCK)
        assert found.damaged_bytes == sum(end - start for start, end in found.damaged)


def test_damage_below_newer_data_spoils_only_the_older_point(chain: Chain) -> None:
    flip(chain.pairs[0].image, MIB + 5)
    flip(chain.pairs[0].image, 3 * MIB + 5)  # zeroed since
    assert verify(chain.pairs[0]).damaged == blocks(MIB, 3 * MIB)
    assert verify(chain.pairs[1]).damaged == ()


def test_a_file_can_be_verified_without_what_shines_through(chain: Chain) -> None:
    flip(chain.pairs[0].image, 5)
    flip(chain.pairs[1].image, 6 * MIB + 5)
    found = verify(chain.pairs[1], OwnLayer())
    assert found == Verified("vda", 2 * MIB, BLOCK, BLOCK, blocks(6 * MIB))


def test_a_flipped_bit_of_a_digest_is_named_too(chain: Chain) -> None:
    flip(chain.pairs[0].table, 3 * 16 + 7)
    assert verify(chain.pairs[0]).damaged == blocks(3 * BLOCK)


def test_data_where_the_table_says_zeroes_is_damage_and_the_other_way_round(chain: Chain) -> None:
    qemu_io(chain.pairs[1].image, "write -P 0x44 5M 64k", "write -z 0 64k", "discard 64k 64k")
    found = verify(chain.pairs[1])
    assert blocks(5 * MIB)[0] in found.damaged
    assert found.damaged[0][0] == 0


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sets(st.integers(0, 63), min_size=1, max_size=40))
def test_any_set_of_damaged_blocks_is_named_as_it_is(chain: Chain, damaged: set[int]) -> None:
    for block in damaged:
        flip(chain.pairs[0].image, block * BLOCK + block)
    found = verify(chain.pairs[0])
    for block in damaged:  # flipped back for the next example
        flip(chain.pairs[0].image, block * BLOCK + block)
    named = {at // BLOCK for start, end in found.damaged for at in range(start, end, BLOCK)}
    assert named == damaged
    assert all(a[1] < b[0] for a, b in zip(found.damaged, found.damaged[1:], strict=False))


def test_more_damage_than_can_be_named_is_counted(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standby.transfer.verify.MOST_NAMED", 3)
    for block in range(0, 30, 2):
        flip(chain.pairs[0].image, block * BLOCK)
    found = verify(chain.pairs[0])
    assert found.damaged == blocks(0, 2 * BLOCK, 4 * BLOCK)
    assert found.damaged_bytes == 15 * BLOCK


def test_verifying_needs_no_right_to_write_and_can_be_stopped(chain: Chain) -> None:
    cancel = threading.Event()
    files = open_files()

    def stop(_disk: str, done: int, _total: int) -> None:
        if done:
            cancel.set()

    with serve(chain.pairs[1], writable=False) as served, pytest.raises(Cancelled):
        verify_disk(served.disk, pace=Pace(RateLimit(MIB), progress=stop, cancel=cancel))
    assert open_files() == files


def test_progress_ends_at_the_size_of_the_disk(chain: Chain) -> None:
    told: list[tuple[str, int, int]] = []
    with serve(chain.pairs[1], writable=False) as served:
        verify_disk(served.disk, pace=Pace(progress=lambda *now: told.append(now)))
    assert told[-1] == ("vda", SIZE, SIZE)
    assert told == sorted(told)


def test_a_server_that_does_not_tell_layers_is_refused(source: Path, chain: Chain) -> None:
    with (
        qemu_nbd(source) as image,
        serve(chain.pairs[0]) as tables,
        pytest.raises(UseOtherStorage),
    ):
        verify_disk(DigestedDisk("vda", image.endpoint, tables.digests), OwnLayer())


def test_the_source_can_be_compared_with_a_point(source: Path, chain: Chain) -> None:
    with qemu_nbd(source) as image, serve(chain.pairs[1]) as tables:
        found = verify_disk(DigestedDisk("vda", image.endpoint, tables.digests))
        assert found.damaged == ()
    with qemu_nbd(source) as image, serve(chain.pairs[0]) as tables:
        found = verify_disk(DigestedDisk("vda", image.endpoint, tables.digests))
    assert found.damaged == ((MIB, 2 * MIB), *blocks(3 * MIB), (6 * MIB, 7 * MIB))


@pytest.mark.parametrize("scope", [Everything(), OwnLayer(), OnlyRanges(((0, 4 * MIB),))])
def test_blocks_that_cannot_be_read_are_damaged_and_the_rest_is_verified_all_the_same(
    chain: Chain, scope: VerifyScope
) -> None:
    flip(chain.pairs[0].image, 0)
    for block in (3, 33):
        make_unreadable(chain.pairs[0].image, block)
    with serve(chain.pairs[0], writable=False) as served:
        found, as_asked = verify_through(served.disk, scope, SIZE, Pace())
    assert not as_asked
    assert found.damaged == blocks(0, 3 * BLOCK, 33 * BLOCK)
    assert found.damaged_bytes == 3 * BLOCK


def make_unreadable(image: Path, block: int) -> None:
    """Let the image's own metadata lead nowhere for a block: QEMU answers with EIO."""
    with image.open("r+b") as file:
        file.seek(40)  # l1_table_offset, of the qcow2 specification
        (table,) = struct.unpack(">Q", file.read(8))
        file.seek(table)
        (entry,) = struct.unpack(">Q", file.read(8))
        place = (entry & 0x00FFFFFFFFFFFE00) + 8 * block
        file.seek(place)
        (cluster,) = struct.unpack(">Q", file.read(8))
        file.seek(place)
        file.write(struct.pack(">Q", cluster + 512))


# A table for an image that has none.


@pytest.mark.parametrize("algorithm", list(DigestAlgorithm))
def test_any_image_can_be_given_its_table(
    tmp_path: Path, source: Path, algorithm: DigestAlgorithm
) -> None:
    pair = Chain(tmp_path).add(SIZE)
    qemu_io(pair.table, "write -P 0x55 0 4k")  # what stood there before is not kept
    with qemu_nbd(source) as image, serve(pair) as tables:
        digests = DigestTable(tables.table, algorithm)
        build_table(DigestedDisk("vda", image.endpoint, digests))
    assert pair.content()[1] == table_of(flat(source), algorithm)


def test_a_new_table_vouches_for_nothing_that_is_known_to_be_damaged(
    tmp_path: Path, source: Path
) -> None:
    pair = Chain(tmp_path).add(SIZE)
    damaged = [(2 * BLOCK, 4 * BLOCK), (6 * MIB, 6 * MIB + BLOCK), (LAST, SIZE)]
    with qemu_nbd(source) as image, serve(pair) as tables:
        disk = DigestedDisk("vda", image.endpoint, tables.digests)
        build_table(disk, damaged=damaged)
        assert verify_disk(disk).damaged == tuple(damaged)


def flat(image: Path) -> bytes:
    return Pair(image, image).content()[0]


def test_a_table_that_is_too_small_is_not_begun(tmp_path: Path) -> None:
    source = create(tmp_path / "large.qcow2", 1024 * MIB)
    pair = Chain(tmp_path).add(SIZE)
    with qemu_nbd(source) as image, serve(pair) as tables, pytest.raises(RepairStore):
        build_table(DigestedDisk("vda", image.endpoint, tables.digests))


# Mending.


def mend(pair: Pair, damaged: tuple[tuple[int, int], ...], healthy: NbdEndpoint) -> object:
    with serve(pair) as served:
        return mend_blocks(served.disk, damaged, healthy)


def test_a_block_is_mended_in_place_for_every_point_that_shares_it(
    source: Path, chain: Chain
) -> None:
    for offset in (0, 3 * BLOCK + 7, LAST + 3):
        flip(chain.pairs[0].image, offset)
    size = chain.pairs[0].image.stat().st_size
    damaged = verify(chain.pairs[0]).damaged
    assert damaged == blocks(0, 3 * BLOCK, LAST)
    with qemu_nbd(source) as healthy, serve(chain.pairs[0]) as served:
        mended = mend_blocks(served.disk, damaged, healthy.endpoint)
    assert (mended.mended, mended.unlike) == (damaged, ())
    assert chain.pairs[0].image.stat().st_size == size
    assert [verify(pair).damaged for pair in chain.pairs] == [(), ()]


def test_what_has_another_digest_by_now_is_not_written(source: Path, chain: Chain) -> None:
    flip(chain.pairs[0].image, MIB)  # the source has other data there since
    flip(chain.pairs[0].image, 2 * MIB)
    before = flat(chain.pairs[0].image)
    with qemu_nbd(source) as healthy, serve(chain.pairs[0]) as served:
        mended = mend_blocks(served.disk, blocks(MIB, 2 * MIB), healthy.endpoint)
    assert (mended.mended, mended.unlike) == (blocks(2 * MIB), blocks(MIB))
    after = flat(chain.pairs[0].image)
    assert after[: 2 * MIB] == before[: 2 * MIB]
    assert verify(chain.pairs[0]).damaged == blocks(MIB)


def test_what_should_be_zeroes_is_never_mended(source: Path, chain: Chain) -> None:
    """A table that lost entries says zeroes of what holds data, and others have zeroes there."""
    qemu_io(chain.pairs[0].image, "write -P 0x66 5M 64k")
    qemu_io(chain.pairs[1].table, "write -z 0 4k")
    before = [flat(pair.image) for pair in chain.pairs]
    for pair, damaged in zip(chain.pairs, (blocks(5 * MIB), blocks(0, 6 * MIB)), strict=True):
        with qemu_nbd(source) as healthy, serve(pair) as served:
            mended = mend_blocks(served.disk, damaged, healthy.endpoint)
        assert (mended.mended, mended.unlike) == ((), damaged)
    assert [flat(pair.image) for pair in chain.pairs] == before


def test_chosen_ranges_alone_can_be_verified(chain: Chain) -> None:
    for offset in (0, 2 * MIB, LAST):
        flip(chain.pairs[0].image, offset)
    found = verify(chain.pairs[1], OnlyRanges(((1, 2), (LAST, SIZE))))
    assert found.damaged == blocks(0, LAST)
    assert found.read_bytes == BLOCK + 512


def test_a_source_is_compared_only_where_nothing_changed(source: Path, chain: Chain) -> None:
    qemu_io(source, "write -P 0x44 0 4k", "write -P 0x44 5M 4k")  # marked since the newest point
    flip(source, 2 * MIB)  # not marked
    with qemu_nbd(source, bitmap="b") as image, serve(chain.pairs[0]) as tables:
        subject = DigestedDisk("vda", image.endpoint, tables.digests)
        found = verify_disk(subject, Unchanged("qemu:dirty-bitmap:b"))
    assert found.damaged == blocks(2 * MIB)
    # 0 and 5M, and what the chain's second point brought: 1 MiB, 64 KiB and 1 MiB.
    assert found.passed_bytes == 2 * MIB + 3 * BLOCK


def test_ranges_are_sent_anew_whatever_tracker_and_digests_say(source: Path, chain: Chain) -> None:
    flip(chain.pairs[0].image, 0)
    flip(chain.pairs[1].table, 2 * MIB // BLOCK * 16)  # the digest, not the data
    spoilt = verify(chain.pairs[1]).damaged
    assert spoilt == blocks(0, 2 * MIB)
    for scope in (Changed("qemu:dirty-bitmap:b", spoilt), Differing()):
        pair = chain.add(SIZE)
        with qemu_nbd(source, bitmap="b") as reader, serve(pair) as writer:
            zeroes, digests = ZeroPolicy.WRITE, writer.digests
            end, target = reader.endpoint, writer.image
            copy = DiskCopy("vda", end, target, scope, zeroes, digests=digests, again=spoilt)
            (result,) = copy_disks([copy])
        assert result.data_bytes == 2 * BLOCK
        assert pair.content() == (flat(source), table_of(flat(source)))


def test_a_source_that_is_shorter_or_longer_mends_what_it_has(tmp_path: Path, chain: Chain) -> None:
    whole = flat(chain.pairs[0].image)
    damaged = (*blocks(0, 2 * MIB), (4 * MIB - BLOCK, 4 * MIB), *blocks(LAST))
    for start, _ in damaged:
        flip(chain.pairs[0].image, start)
    short, long = tmp_path / "short.raw", tmp_path / "long.raw"
    short.write_bytes(whole[: 2 * MIB + 1])
    long.write_bytes(whole + os.urandom(MIB))
    with nbdkit(tmp_path / "h.sock", "file", short) as healthy, serve(chain.pairs[0]) as served:
        mended = mend_blocks(served.disk, damaged, healthy.endpoint)
    assert (mended.mended, mended.unlike) == (damaged[:1], damaged[1:])
    with nbdkit(tmp_path / "h.sock", "file", long) as healthy, serve(chain.pairs[0]) as served:
        mended = mend_blocks(served.disk, damaged[1:], healthy.endpoint)
    assert (mended.mended, mended.unlike) == (damaged[1:], ())
    assert flat(chain.pairs[0].image) == whole
