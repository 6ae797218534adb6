"""What a manager knows of its machines besides the word of their KVM hosts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from standby.model.run import Run
from standby.model.schedule import Schedule
from standby.model.state import State
from standby.profile import Profile


@dataclass(frozen=True, slots=True)
class Doing:
    """What is being done to a standby now. `share` is from 0 to 1, None when nobody can tell."""

    state: State
    share: float | None = None

    @property
    def text(self) -> str:
        """The state with how far it is: seeding (73 %)."""
        return self.state.value + ("" if self.share is None else f" ({self.share:.0%})")


class Known(Protocol):
    """The manager's own knowledge; every answer may be that it does not know."""

    def runs(self, profile: str) -> tuple[Run, ...] | None:
        """Return the last runs of a profile, newest first; None without a history."""

    def next_run(self, profile: str) -> datetime | None:
        """Return when a profile runs next, UTC; None when it does not, or nobody knows."""

    def doing(self, profile: str) -> Doing | None:
        """Return what is done to a profile's standby now."""

    def outdated(self, profile: str) -> str:
        """Say what is wrong with a profile of which an earlier version is in effect; else ""."""


class NothingKnown:
    """No history, no daemon."""

    def runs(self, profile: str) -> tuple[Run, ...] | None:
        """Return None: there is no history."""
        del profile
        return None

    def next_run(self, profile: str) -> datetime | None:
        """Return None: nobody runs anything."""
        del profile
        return None

    def doing(self, profile: str) -> Doing | None:
        """Return None: nobody says."""
        del profile
        return None

    def outdated(self, profile: str) -> str:
        """Return "": nothing is in effect but what is written."""
        del profile
        return ""


NOTHING_KNOWN = NothingKnown()


def schedule_of(profile: Profile) -> Schedule:
    """Return when a profile's cycles run."""
    del profile
    return Schedule(UTC)


def rpo_of(profile: Profile) -> timedelta | None:
    """Return how far a standby may be behind, as its profile says."""
    del profile
    return None
