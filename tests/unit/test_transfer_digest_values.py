"""Digests are what the manifest says they are, and zeroes are never mistaken for data."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from standby.model.digest import BLOCK, DIGEST_BYTES, DigestAlgorithm, blocks_of, table_bytes
from standby.model.extent import Extent, ExtentKind
from standby.model.spoilt import joined
from standby.transfer.buffers import Loan
from standby.transfer.digests import ZERO, digester, digester_of, entries
from standby.transfer.sieve import by_content, by_digests, mendable

HASHES: dict[DigestAlgorithm, Callable[[bytes], bytes]] = {
    DigestAlgorithm.BLAKE3: lambda block: blake3(block).digest(),
    DigestAlgorithm.BLAKE2B: lambda block: hashlib.blake2b(block).digest(),
    DigestAlgorithm.SHA256: lambda block: hashlib.sha256(block).digest(),
}
NUMBER_ONE = bytes(15) + b"\x01"


def block(fill: int) -> bytes:
    return bytes([fill]) * BLOCK


@pytest.mark.parametrize("algorithm", list(DigestAlgorithm))
def test_a_digest_is_the_first_128_bits_of_the_hash(algorithm: DigestAlgorithm) -> None:
    data = block(1) + bytes(range(256)) * 256
    found = digester(algorithm)(memoryview(data))
    wanted = [HASHES[algorithm](part)[:16] for part in (data[:BLOCK], data[BLOCK:])]
    assert found == b"".join(wanted)


@pytest.mark.parametrize("algorithm", list(DigestAlgorithm))
@pytest.mark.parametrize("length", [1, 512, 1000, BLOCK - 1])
def test_a_short_block_counts_as_filled_up_with_zeroes(
    algorithm: DigestAlgorithm, length: int
) -> None:
    digest = digester(algorithm)
    data = block(1) + b"x" * length
    assert digest(memoryview(data)) == digest(memoryview(data.ljust(2 * BLOCK, b"\0")))
    assert digest(memoryview(bytes(length))) == ZERO


@pytest.mark.parametrize("algorithm", list(DigestAlgorithm))
@pytest.mark.parametrize("place", [0, 1, BLOCK // 2, BLOCK - 1])
def test_only_a_block_of_zeroes_has_the_digest_of_zeroes(
    algorithm: DigestAlgorithm, place: int
) -> None:
    data = bytearray(2 * BLOCK)
    data[BLOCK + place] = 1
    found = digester(algorithm)(memoryview(data))
    assert found[:DIGEST_BYTES] == ZERO
    assert found[DIGEST_BYTES:] != ZERO


def test_data_whose_hash_begins_with_zeroes_is_not_taken_for_zeroes() -> None:
    digest = digester_of(lambda _: bytes(16))
    assert digest(memoryview(block(7) + block(0))) == NUMBER_ONE + ZERO


@pytest.mark.parametrize(
    ("start", "length", "wanted"),
    [
        (0, BLOCK, slice(0, 16)),
        (BLOCK, 1, slice(16, 32)),
        (3 * BLOCK, 2 * BLOCK + 1, slice(48, 96)),
    ],
)
def test_entries_lie_at_16_bytes_times_the_number_of_the_block(
    start: int, length: int, wanted: slice
) -> None:
    assert entries(start, length) == wanted


@given(st.integers(1, 1 << 50))
def test_a_table_has_room_for_every_block(size: int) -> None:
    assert entries(0, size).stop <= table_bytes(size)
    assert table_bytes(size) % 4096 == 0


# What becomes of each block.

fills = st.lists(st.integers(0, 2), min_size=1, max_size=16)
digest_of = digester(DigestAlgorithm.BLAKE3)
START = 5 * BLOCK


def kinds(found: list[Extent], count: int, end: int) -> list[ExtentKind | None]:
    """Return each block's kind; check that the runs are sorted, apart and inside."""
    by_block: list[ExtentKind | None] = [None] * count
    position = START
    for run in found:
        assert START <= position <= run.start < run.end <= end
        assert (run.start - START) % BLOCK == 0
        position = run.end
        for at in range(run.start, run.end, BLOCK):
            by_block[(at - START) // BLOCK] = run.kind
    return by_block


def kind(fill: int) -> ExtentKind:
    return ExtentKind.DATA if fill else ExtentKind.ZERO


@given(fills, st.integers(1, BLOCK))
def test_data_and_zeroes_are_told_apart_by_looking(now: list[int], last: int) -> None:
    data = b"".join(map(block, now))[: (len(now) - 1) * BLOCK + last]
    found = list(by_content(START, memoryview(data)))
    assert kinds(found, len(now), START + len(data)) == [kind(fill) for fill in now]
    assert sum(run.length for run in found) == len(data)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=16))
def test_only_blocks_whose_digests_differ_are_moved(pairs: list[tuple[int, int]]) -> None:
    now, before = (digest_of(memoryview(b"".join(map(block, f)))) for f in zip(*pairs, strict=True))
    length = len(pairs) * BLOCK - 100
    found = kinds(list(by_digests(START, length, now, before)), len(pairs), START + length)
    assert found == [kind(new) if new != old else None for new, old in pairs]


@given(fills)
def test_where_nothing_is_known_everything_is_moved(now: list[int]) -> None:
    digests = digest_of(memoryview(b"".join(map(block, now))))
    length = len(now) * BLOCK
    found = kinds(list(by_digests(START, length, digests, None)), len(now), START + length)
    assert found == [kind(fill) for fill in now]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=16))
def test_only_what_should_be_there_mends(pairs: list[tuple[int, int]]) -> None:
    """Offered and recorded: written if equal and not zeroes, else left."""
    offered, wanted = (
        digest_of(memoryview(b"".join(map(block, f)))) for f in zip(*pairs, strict=True)
    )
    length = len(pairs) * BLOCK
    found = kinds(list(mendable(START, length, offered, wanted)), len(pairs), START + length)
    assert found == [kind(old) if old == new != 0 else None for new, old in pairs]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=20))
def test_joined_ranges_are_the_same_bytes_sorted_and_apart(pairs: list[tuple[int, int]]) -> None:
    ranges = [(start, start + length) for start, length in pairs]
    found = joined(ranges)
    assert {at for r in found for at in range(*r)} == {at for r in ranges for at in range(*r)}
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))


# Buffers.


def test_a_buffer_has_the_same_view_of_the_same_place_each_time() -> None:
    loan = Loan()
    buffer = loan.take(BLOCK)
    view = buffer.view(16, 32)
    view[:] = b"x" * 32
    assert buffer.view(16, 32) is view
    assert bytes(buffer[16:48]) == b"x" * 32
    loan.end()


def test_what_was_given_back_is_lent_again_and_nothing_is_lent_twice() -> None:
    first, second = Loan(), Loan()
    size = 12_345  # that nobody else asks for
    mine, other = first.take(size), second.take(size)
    assert mine is not other
    first.give_back(mine)
    assert second.take(size) is mine
    second.end()
    assert {id(first.take(size)), id(first.take(size))} == {id(mine), id(other)}
    first.end()


def test_blocks_are_counted_upwards() -> None:
    assert [blocks_of(size) for size in (0, 1, BLOCK, BLOCK + 1)] == [0, 1, 1, 2]
