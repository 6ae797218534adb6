"""All there is to say about one standby: a look at both ends, and what the history counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from standby.app.inspect import StandbyLook, judge, look_at
from standby.app.known import NOTHING_KNOWN, Known
from standby.app.places import Place
from standby.app.session import Session
from standby.app.wiring import source_of
from standby.errors import StandbyError
from standby.model.observation import SourceObservation
from standby.planning.problems_source import changed_since
from standby.planning.replicate import checkpoint_owner
from standby.planning.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Pending:
    """What changed on the machine since the newest boot point, in bytes, by disk.

    Disks of which nobody can tell are not in it. `unknown` says why nothing is known at all.
    """

    disks: Mapping[str, int]
    untold: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def total(self) -> int | None:
        """Bytes of all disks; None when nobody can tell of each."""
        return None if self.unknown or self.untold else sum(self.disks.values())


@dataclass(frozen=True, slots=True)
class HealthPage:
    """One standby; `statistics` is None without a history."""

    look: StandbyLook
    pending: Pending
    statistics: Statistics | None


def look_closely(session: Session, place: Place, known: Known = NOTHING_KNOWN) -> HealthPage:
    """Look at a standby and at its machine; one that does not answer is no error.

    Raises StandbyError when the KVM host cannot be asked.
    """
    first = look_at(session, place, known)
    source, error = _look_at_source(session, place, first)
    look = judge(place, first.target, first.at, known, source) if source else first
    return HealthPage(look, _pending(first, source, error), known.statistics(place.profile.name))


def _look_at_source(
    session: Session, place: Place, look: StandbyLook
) -> tuple[SourceObservation | None, str]:
    owner = checkpoint_owner(place.profile.name, look.manifest)
    try:
        return source_of(session, place.profile).observe(owner), ""
    except StandbyError as error:
        return None, f"{error.subject}: {error.found}"


def _pending(look: StandbyLook, source: SourceObservation | None, error: str) -> Pending:
    newest = look.manifest.newest
    if source is None:
        return Pending({}, unknown=error)
    if newest is None:
        return Pending({}, unknown="no boot point to count from")
    if newest.checkpoint is None:
        return Pending({}, unknown="the newest boot point has no checkpoint")
    disks = changed_since(source, newest.checkpoint)
    untold = tuple(it.name for it in source.disks if it.name not in disks)
    return Pending(disks, untold)
