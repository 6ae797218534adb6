"""The time zone of this machine or of whoever asks, with its changes of the clock."""

from __future__ import annotations

import os
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SYSTEM_ZONE = Path("/etc/localtime")  # localtime(5)


def local_zone() -> tzinfo:
    """Return the zone that $TZ names, else the system's.

    A zone that only the C library understands (TZ=CET-1CEST) is taken as its offset today.
    """
    named = os.environ.get("TZ")
    try:
        if named is not None:
            return ZoneInfo(named.removeprefix(":") or "UTC")
        with _SYSTEM_ZONE.open("rb") as file:
            return ZoneInfo.from_file(file, key=_name_of(_SYSTEM_ZONE.resolve()))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.now(UTC).astimezone().tzinfo or UTC


def _name_of(file: Path) -> str:
    """Return the IANA name of a zone's file; a copy of one has none."""
    _, found, name = str(file).partition("/zoneinfo/")
    return name if found else "local"
