"""What a profile asks of the parts that do its work."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from configuration_files import PROFILE, loaded

from standby.app.wiring import policy_of
from standby.target.layout import StandbyDirectory

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
RESYNCS = "resync: {window: 19:00-06:00}\n"


def policy_zone_offset(root: Path, more: str) -> float:
    profile = loaded(root, {"profiles/web1.yaml": PROFILE + RESYNCS + more})
    offset = NOON.astimezone(policy_of(profile, StandbyDirectory("/s/web1")).zone).utcoffset()
    assert offset is not None
    return offset.total_seconds() / 3600


def test_the_window_of_resyncs_goes_by_the_zone_of_the_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert policy_zone_offset(tmp_path, "schedule: {timezone: America/New_York}\n") == -5
    assert policy_zone_offset(tmp_path, "") == 9
