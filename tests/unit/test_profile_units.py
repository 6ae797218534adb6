"""Durations, sizes and rates are read exactly, and written so that they read the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standby.profile.units import (
    Reserve,
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)

SIZES = st.integers(0, 2**63 - 1)


@given(st.timedeltas(timedelta(0), timedelta(days=36525)))
def test_a_duration_written_and_read_is_the_same(duration: timedelta) -> None:
    whole = timedelta(seconds=int(duration.total_seconds()))
    assert parse_duration(format_duration(whole)) == whole


@given(SIZES | st.integers(0, 4096).map(lambda count: count * 1000**3))
def test_a_size_written_and_read_is_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(SIZES)
def test_a_rate_written_and_read_is_the_same(rate: int) -> None:
    assert parse_rate(format_rate(rate)) == rate


@given(SIZES.map(lambda size: Reserve(size=size)) | st.integers(1, 99).map(lambda p: Reserve(0, p)))
def test_a_reserve_written_and_read_is_the_same(reserve: Reserve) -> None:
    assert Reserve.parse(str(reserve)) == reserve


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1h", 3600), ("7d", 604800), ("4w", 2419200), ("1h30m", 5400)],
)
def test_durations_mean_what_they_say(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 67108864), ("64MB", 64000000), ("1 TiB", 2**40), ("512B", 512), ("3kB", 3000)],
)
def test_sizes_tell_powers_of_1024_from_powers_of_1000(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"), [("50MiB/s", 52428800), ("400Mbit/s", 50000000), ("1kbit/s", 125)]
)
def test_rates_are_bytes_or_bits_in_a_second(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "1m1h", "-5s", "1.5h", "5sec", "\uff19s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "64", "64M", "64mib", "MiB", "1.5GiB", "-1B", "64MiB/s"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|unit"):
        parse_size(text)


@pytest.mark.parametrize("text", ["50MiB", "50", "50MiB/m", "/s", "50/s", "50Mbit"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate|unit"):
        parse_rate(text)


def test_quantities_beyond_all_reason_are_refused() -> None:
    with pytest.raises(ValueError, match="hundred years"):
        parse_duration("5219w")
    with pytest.raises(ValueError, match="larger"):
        parse_size("8192PiB")


@given(st.text(max_size=20))
def test_no_text_makes_a_parser_fail_otherwise_than_by_refusing(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_rate, Reserve.parse):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - any other exception fails the test


def test_a_reserve_is_a_size_or_a_share_of_the_file_system() -> None:
    assert Reserve.parse("2GiB").bytes_of(10**12) == 2 * 1024**3
    assert Reserve.parse("5%").bytes_of(1000) == 50
    with pytest.raises(ValueError, match="no room"):
        Reserve.parse("100%")
