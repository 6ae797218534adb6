"""Names that are safe as file names, libvirt domain names and shell words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from standby.errors import FixRequest

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
SAFE_NAME_RULE = "1 to 63 letters, digits, '_', '.', '-', starting with a letter or digit"
_POINT_FORMAT = "V%Y%m%d_%H%M%S"
_POINT_NAME = re.compile(r"V([0-9]{8})_([0-9]{6})")


def is_safe_name(text: str) -> bool:
    """Tell whether `text` may name a profile, a host, a standby or a disk."""
    return SAFE_NAME.fullmatch(text) is not None and ".." not in text


@dataclass(frozen=True, slots=True, order=True)
class PointName:
    """Name of a boot point: the moment of its capture, whole seconds, UTC."""

    moment: datetime

    def __post_init__(self) -> None:
        if self.moment.tzinfo is None or self.moment.utcoffset() or self.moment.microsecond:
            raise FixRequest("boot point name", str(self.moment), "whole seconds in UTC")

    def __str__(self) -> str:
        return self.moment.strftime(_POINT_FORMAT)

    @classmethod
    def at(cls, moment: datetime) -> PointName:
        """Name the point captured at `moment` (any zone; fractions are cut off)."""
        return cls(moment.astimezone(UTC).replace(microsecond=0))

    @classmethod
    def parse(cls, text: str) -> PointName:
        """Read a name such as V20261122_035600; raise FixRequest when it is not one."""
        found = _POINT_NAME.fullmatch(text)
        if found is None:
            raise _not_a_name(text)
        try:  # strptime takes ten times as long, and a history is full of these
            name = cls(datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00"))
        except ValueError as error:
            raise _not_a_name(text) from error
        if str(name) != text:  # some versions of Python take 24 for the hour
            raise _not_a_name(text)
        return name

    def after(self, other: PointName) -> PointName:
        """Return this name, or the first free second after `other` if the clock went back."""
        return max(self, PointName(other.moment + timedelta(seconds=1)))


def _not_a_name(text: str) -> FixRequest:
    return FixRequest(
        "boot point name", repr(text), "V<yyyymmdd_hhmmss>", "list them: standby points"
    )
