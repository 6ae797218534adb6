"""A short look at what a KVM host says of a standby: its manifest alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from standby.app.places import place_of
from standby.app.session import Session
from standby.model.pause import Pause
from standby.profile import Profile
from standby.target.listing import manifest_of
from standby.target.looking import look


@dataclass(frozen=True, slots=True)
class Glance:
    """When the newest boot point was last true (UTC), None without one; and the pause."""

    newest: datetime | None = None
    paused: Pause | None = None


def glance(session: Session, profile: Profile) -> Glance:
    """Look. Raises StandbyError when the host does not answer or the manifest is damaged."""
    place = place_of(session, profile)
    listing = look(place.host, place.directory)
    manifest = None if listing is None else manifest_of(listing, place.where)
    if manifest is None:
        return Glance()
    newest = manifest.newest
    moment = None if newest is None else max(newest.true_at, newest.name.moment)
    return Glance(moment, manifest.paused)
