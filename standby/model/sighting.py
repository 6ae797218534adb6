"""What a protected machine was found doing, by somebody who only looked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from standby.model.schedule import SourceEvent


class Power(Enum):
    """Whether a machine runs. One that is saved or was moved away is neither."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A machine as it was found; `ended_by` is how it went off, None when nobody knows."""

    power: Power
    ended_by: SourceEvent | None = None

    def may_be(self, wanted: frozenset[SourceEvent]) -> bool:
        """Tell whether it may be the end of one of the events that are wanted."""
        if self.power is Power.ON:
            return False
        ends = frozenset({self.ended_by} if self.ended_by else _ENDS)
        return bool(ends & wanted)


_ENDS = frozenset({SourceEvent.SHUTDOWN, SourceEvent.CRASH})
