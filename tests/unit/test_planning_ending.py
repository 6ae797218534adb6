"""When a pause ends, as people write it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from standby.errors import FixRequest
from standby.planning.ending import ending

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)  # 13:00 in Berlin


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2026-11-26 14:00"),
        ("in 90 m", "2026-11-26 13:30"),
        ("3d", "2026-11-29 12:00"),
        ("18:00", "2026-11-26 17:00"),
        ("08:00", "2026-11-27 07:00"),
        ("13:00", "2026-11-27 12:00"),
        ("today 18:30", "2026-11-26 17:30"),
        ("Tomorrow 18:00", "2026-11-27 17:00"),
        ("2026-12-24 18:00", "2026-12-24 17:00"),
        ("2026-12-24T18:00Z", "2026-12-24 18:00"),
    ],
)
def test_times_to_come_are_read(text: str, expected: str) -> None:
    assert f"{ending(text, NOW, BERLIN):%Y-%m-%d %H:%M}" == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "today 12:00", "2026-11-25 18:00", "yesterday 18:00", "-2h"]
)
def test_what_has_passed_or_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(FixRequest):
        ending(text, NOW, BERLIN)
