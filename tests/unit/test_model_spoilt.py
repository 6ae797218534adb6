"""Ranges of damage: covered whole, in a bounded number, and told apart exactly."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from standby.model.spoilt import (
    MOST_RANGES,
    Range,
    covering,
    gaps,
    joined,
    overlap,
    spoilt_disk,
    total,
    without,
)

EDGE = 60
RANGES = st.lists(
    st.tuples(st.integers(0, EDGE), st.integers(0, EDGE)).map(lambda pair: tuple(sorted(pair))),
    max_size=12,
)


def places(ranges: Iterable[Range]) -> set[int]:
    return {at for start, end in ranges for at in range(start, end)}


def are_apart(ranges: list[Range]) -> bool:
    pairs = itertools.pairwise(ranges)
    return all(a < b for a, b in ranges) and all(a[1] < b[0] for a, b in pairs)


@given(RANGES, RANGES)
def test_ranges_are_joined_cut_and_taken_away_exactly(
    some: list[Range], others: list[Range]
) -> None:
    assert places(joined(some)) == places(some)
    assert places(overlap(some, others)) == places(some) & places(others)
    assert places(without(some, others)) == places(some) - places(others)
    assert places(gaps(some, 7, 50)) == set(range(7, 50)) - places(some)
    for found in (joined(some), overlap(some, others), without(some, others)):
        assert are_apart(found)
    assert total(joined(some)) == len(places(some))


@given(RANGES, st.integers(1, 5))
def test_a_cover_leaves_no_damage_out_and_closes_the_smallest_gaps(
    ranges: list[Range], most: int
) -> None:
    found = covering(ranges, most)
    assert places(ranges) <= places(found)
    assert len(found) <= most
    assert are_apart(list(found))
    if len(joined(ranges)) <= most:
        assert places(found) == places(ranges)
    elif most > 1:
        kept = [b[0] - a[1] for a, b in itertools.pairwise(found)]
        closed = gaps(ranges, found[0][0], found[-1][1])
        smallest = sorted(end - start for start, end in closed)[: -len(kept)]
        assert max(smallest) <= min(kept)


def test_the_mark_of_a_disk_is_bounded_and_absent_without_damage() -> None:
    assert spoilt_disk("vda", []) is None
    mark = spoilt_disk("vda", [(at, at + 1) for at in range(0, 10_000, 2)])
    assert mark is not None
    assert len(mark.ranges) == MOST_RANGES
