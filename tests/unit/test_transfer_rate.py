"""A rate limit holds within 5 % over any ten seconds, and is used up."""

from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import FixRequest
from standby.transfer import RateLimit

MIB = 1024 * 1024
rates = st.integers(64 * 1024, 2000 * MIB)


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def send_for(
    seconds: float, limit: RateLimit, clock: Clock, late: list[float]
) -> list[tuple[float, int]]:
    """Send the largest pieces as soon as allowed, waking up late as given, in turns."""
    sent: list[tuple[float, int]] = []
    end = clock.now + seconds
    turn = 0
    while clock.now < end:
        pause = limit.wait_before(limit.piece)
        if pause:
            clock.now += pause + late[turn % len(late)]
            turn += 1
        else:
            sent.append((clock.now, limit.piece))
    return sent


def most_in_any(seconds: float, sent: list[tuple[float, int]]) -> int:
    """Return the most bytes that any window of that length holds."""
    times = [moment for moment, _ in sent]
    sums = [0]
    for _, length in sent:
        sums.append(sums[-1] + length)
    return max(
        sums[bisect_left(times, start + seconds)] - sums[index] for index, start in enumerate(times)
    )


lateness = st.lists(st.sampled_from([0.0, 0.0005, 0.002, 0.02, 0.09, 0.5, 3.0]), min_size=1)


@given(rates, lateness)
def test_no_ten_seconds_carry_more_than_five_percent_too_much(rate: int, late: list[float]) -> None:
    clock = Clock()
    sent = send_for(25, RateLimit(rate, clock), clock, late)
    assert most_in_any(10, sent) <= rate * 10 * 1.05


@given(rates, st.sampled_from([0.0, 0.001, 0.01, 0.05]))
def test_the_rate_is_reached_though_every_wait_lasts_a_little_long(rate: int, late: float) -> None:
    clock = Clock()
    sent = send_for(20, RateLimit(rate, clock), clock, [late])
    assert sum(length for _, length in sent) >= rate * 20 * 0.95


def test_idle_time_is_not_saved_up() -> None:
    clock = Clock()
    limit = RateLimit(10 * MIB, clock)
    limit.wait_before(limit.piece)
    clock.now += 3600
    assert most_in_any(10, send_for(12, limit, clock, [0.0])) <= 100 * MIB * 1.05


def test_several_senders_share_one_limit() -> None:
    clock = Clock()
    limit = RateLimit(MIB, clock)
    assert limit.wait_before(MIB) == 0.0
    assert limit.wait_before(1) > 0.8


def test_waiting_counts_nothing() -> None:
    clock = Clock()
    limit = RateLimit(MIB, clock)
    limit.wait_before(MIB)
    assert limit.wait_before(MIB) == limit.wait_before(MIB)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_must_be_positive(rate: int) -> None:
    with pytest.raises(FixRequest):
        RateLimit(rate)
