"""Names that are safe everywhere, and names of boot points."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import FixRequest
from standby.model.names import PointName, is_safe_name

SECONDS = st.floats(946684800, 16725225600)  # the years 2000 to 2500
MOMENTS = SECONDS.map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@pytest.mark.parametrize("name", ["web", "web-01", "Web_01.prod", "0", "a" * 63])
def test_ordinary_names_are_safe(name: str) -> None:
    assert is_safe_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a..b", "-web", ".web", "a/b", "a b", "a\n", "web;ls", "ä", "a" * 64, "$(x)"],
)
def test_names_that_a_path_or_a_shell_could_misread_are_not(name: str) -> None:
    assert not is_safe_name(name)


@given(st.text(max_size=70))
def test_a_safe_name_needs_no_quoting(name: str) -> None:
    if is_safe_name(name):
        assert shlex.quote(name) == name


def test_a_point_is_named_by_the_second_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    moment = datetime(2026, 11, 22, 4, 56, 0, 999999, tzinfo=berlin)
    assert str(PointName.at(moment)) == "V20261122_035600"


@given(MOMENTS)
def test_a_name_reads_back_as_itself(moment: datetime) -> None:
    name = PointName.at(moment)
    assert PointName.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "V20261322_035600",
        "V20261122_036000",
        "v20261122_035600",
        "V2026",
        "V2026112_35600",
    ],
)
def test_anything_else_is_refused_with_the_format(text: str) -> None:
    with pytest.raises(FixRequest, match="yyyymmdd"):
        PointName.parse(text)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 22),  # noqa: DTZ001
        datetime(2026, 11, 22, tzinfo=timezone(timedelta(hours=1))),
        datetime(2026, 11, 22, microsecond=1, tzinfo=UTC),
    ],
)
def test_a_name_is_made_of_whole_seconds_in_utc_only(moment: datetime) -> None:
    with pytest.raises(FixRequest):
        PointName(moment)


@given(MOMENTS, MOMENTS)
def test_a_name_after_another_is_later_and_no_later_than_needed(
    one: datetime, two: datetime
) -> None:
    name, other = PointName.at(one), PointName.at(two)
    assert name.after(other) > other
    assert name.after(other) in {name, PointName(other.moment + timedelta(seconds=1))}
    if name > other:
        assert name.after(other) == name
