"""Contexts of any granularity combine into whole blocks, and no change is ever lost."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from standby.model.digest import BLOCK
from standby.model.extent import Extent, ExtentKind
from standby.transfer.blocks import BlockRanges, Range, runs, spans

BLOCKS = 40
SIZE = BLOCKS * BLOCK - 1000  # the last block is short

marks = st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, 3 * BLOCK)), max_size=30).map(
    lambda pairs: sorted((start, min(start + length, SIZE)) for start, length in pairs)
)
block_sets = st.sets(st.integers(0, BLOCKS - 1))


def ranges_of(blocks: set[int]) -> list[Range]:
    """Write a set of blocks as ranges, each one block after the other."""
    found = BlockRanges(SIZE)
    for block in sorted(blocks):
        found.mark(block * BLOCK, min((block + 1) * BLOCK, SIZE))
    return found.ranges()


def blocks_in(ranges: list[Range]) -> set[int]:
    return {block for start, end in ranges for block in range(start // BLOCK, -(-end // BLOCK))}


@given(marks)
def test_a_block_is_marked_when_any_byte_of_it_is(marked: list[Range]) -> None:
    found = BlockRanges(SIZE)
    for start, end in marked:
        found.mark(start, end)
    assert blocks_in(found.ranges()) == blocks_in(marked)


@given(marks)
def test_ranges_are_sorted_disjoint_apart_and_within_the_disk(marked: list[Range]) -> None:
    found = BlockRanges(SIZE)
    for start, end in marked:
        found.mark(start, end)
    ranges = found.ranges()
    assert all(start % BLOCK == 0 and (end % BLOCK == 0 or end == SIZE) for start, end in ranges)
    assert all(start < end for start, end in ranges)
    assert all(ranges[i][1] < ranges[i + 1][0] for i in range(len(ranges) - 1))


@given(block_sets, block_sets)
def test_what_changed_is_data_or_zero_and_nothing_else_is_touched(
    changed: set[int], data: set[int]
) -> None:
    kinds: dict[int, ExtentKind] = {}
    end = 0
    for run in runs(ranges_of(changed), ranges_of(data)):
        assert run.start >= end  # in order, never twice
        assert run.length > 0
        end = run.end
        for block in blocks_in([(run.start, run.end)]):
            kinds[block] = run.kind
    expected = {b: ExtentKind.DATA if b in data else ExtentKind.ZERO for b in changed}
    assert kinds == expected


def test_runs_end_where_the_disk_ends() -> None:
    whole = [(0, SIZE)]
    assert list(runs(whole, whole)) == [Extent(0, SIZE, ExtentKind.DATA)]
    assert list(runs(whole, [])) == [Extent(0, SIZE, ExtentKind.ZERO)]


@given(block_sets, st.integers(0, 5), st.integers(1, 10))
def test_spans_keep_every_range_and_stay_short(changed: set[int], gap: int, longest: int) -> None:
    grouped = list(spans(ranges_of(changed), gap * BLOCK, longest * BLOCK))
    flat = [piece for span in grouped for piece in span]
    assert flat == sorted(flat)
    assert blocks_in(flat) == changed
    assert sum(end - start for start, end in flat) == sum(e - s for s, e in ranges_of(changed))
    for span in grouped:
        assert span[-1][1] - span[0][0] <= longest * BLOCK
        assert all(b[0] - a[1] <= gap * BLOCK for a, b in itertools.pairwise(span))
