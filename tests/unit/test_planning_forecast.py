"""How much room the boot points asked for will take."""

from __future__ import annotations

from dataclasses import replace

from cli_world import MIB, points
from hypothesis import given
from hypothesis import strategies as some

from standby.model.keep import Keep
from standby.model.point import BootPoint, Way
from standby.planning.forecast import forecast


def chain(*stored: int) -> tuple[BootPoint, ...]:
    """Points whose deltas take so much; the oldest is the seed."""
    return tuple(
        replace(
            point,
            made=Way.INCREMENTAL if n else Way.SEED,
            deltas=tuple(replace(delta, stored=bytes_) for delta in point.deltas),
        )
        for n, (point, bytes_) in enumerate(zip(points(len(stored)), stored, strict=True))
    )


def test_before_the_seed_only_the_first_is_known() -> None:
    told = forecast((), Keep(5), Way.SEED, 800 * MIB)
    assert (told.oldest, told.each, told.total) == (800 * MIB, None, None)


def test_with_a_seed_alone_the_next_changes_stand_for_all() -> None:
    told = forecast(chain(800 * MIB), Keep(5), Way.INCREMENTAL, 10 * MIB)
    assert (told.each, told.total, told.measured) == (10 * MIB, 840 * MIB, 1)


def test_the_points_there_are_tell_what_the_others_will_take() -> None:
    told = forecast(chain(800 * MIB, 10 * MIB, 30 * MIB), Keep(5), Way.INCREMENTAL, 500 * MIB)
    assert (told.each, told.total, told.measured) == (20 * MIB, 880 * MIB, 2)


def test_a_full_copy_in_between_says_nothing_of_what_changes() -> None:
    oldest, *others = chain(800 * MIB, 10 * MIB, 900 * MIB)
    others[1] = replace(others[1], made=Way.SEED)
    told = forecast((oldest, *others), Keep(5), Way.INCREMENTAL, 0)
    assert (told.each, told.measured) == (10 * MIB, 1)


@given(some.lists(some.integers(0, 1 << 40), min_size=2, max_size=64), some.integers(1, 64))
def test_a_forecast_lies_between_all_smallest_and_all_largest(
    stored: list[int], limit: int
) -> None:
    told = forecast(chain(*stored), Keep(limit), Way.INCREMENTAL, 0)
    changes = stored[1:]
    assert told.total is not None
    assert stored[0] + (limit - 1) * min(changes) <= told.total
    assert told.total <= stored[0] + (limit - 1) * max(changes)
