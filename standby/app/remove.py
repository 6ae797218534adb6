"""Stop protecting a machine; on request take its standby away as well."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from enum import Enum

from standby.app.places import Place
from standby.app.points import locked, refuse_unless_dormant, require_manifest
from standby.app.session import Session
from standby.app.wiring import source_of
from standby.errors import StopStandbyFirst, TryLater
from standby.model.manifest import Manifest
from standby.model.observation import HeadUse, TargetObservation
from standby.planning.replicate import checkpoint_owner
from standby.target import layout
from standby.target.listing import Listing
from standby.target.looking import observe_target
from standby.target.removal import remove_directory
from standby.target.store import KvmStore


class SourceCare(Enum):
    """What is done about our checkpoints on the source."""

    FORGET = "forget"
    LEAVE = "leave"  # the source is gone for good, or nobody can reach it


class StandbyCare(Enum):
    """What becomes of the standby."""

    KEEP = "keep"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal would take away. Nothing has happened yet. Bytes."""

    place: Place
    manifest: Manifest
    standby: StandbyCare
    checkpoints: tuple[str, ...]  # on the source
    stored: int  # by everything in the standby's directory
    kept: tuple[str, ...]  # where somebody's changes are: below kept/, in a head that was run


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken away, and what somebody else had put into the directory."""

    removal: Removal
    strangers: tuple[str, ...] = ()


def plan_removal(
    session: Session, place: Place, source: SourceCare, standby: StandbyCare
) -> Removal:
    """Look at what there is to remove. Raises what keeps the source from being asked.

    Raises StopStandbyFirst while the standby runs.
    """
    listing, manifest = require_manifest(place)
    refuse_unless_dormant(place, observe_target(place.domain, listing, manifest))
    checkpoints: tuple[str, ...] = ()
    if source is SourceCare.FORGET:
        owner = checkpoint_owner(place.profile.name, manifest)
        observed = source_of(session, place.profile).observe(owner)
        checkpoints = tuple(checkpoint.name for checkpoint in observed.checkpoints)
    return Removal(
        place=place,
        manifest=manifest,
        standby=standby,
        checkpoints=checkpoints,
        stored=sum(listing.files.values()),
        kept=_kept(listing),
    )


def remove(session: Session, removal: Removal) -> Removed:
    """Do it, while no cycle can run. Doing it again after an interruption does the rest.

    Raises StopStandbyFirst while the standby runs or somebody stands on its boot points, TryLater
    when its boot points, or what somebody changed, are not those any more that the removal names.
    """
    place = removal.place
    with locked(session, place) as store:
        target = store.observe()
        refuse_unless_dormant(place, target)
        _require_as_named(removal, store)
        if removal.standby is StandbyCare.DELETE:
            _require_changes_named(removal, target)
            _refuse_while_used(place, store)
        if removal.checkpoints:
            source_of(session, place.profile).forget(removal.checkpoints)
        if removal.standby is StandbyCare.KEEP:
            return Removed(removal)
        return Removed(removal, _delete(place, store))


def _require_as_named(removal: Removal, store: KvmStore) -> None:
    """Refuse to take away what nobody was told of: cycles go on while somebody thinks."""
    named, there = ([it.name for it in kept.points] for kept in (removal.manifest, store.manifest))
    if named != there:
        raise TryLater(
            f"standby {removal.place.called}",
            "its boot points have changed since they were named",
            "the same boot points",
            "nothing was removed: look again, and decide anew",
        )


def _require_changes_named(removal: Removal, target: TargetObservation) -> None:
    """Refuse to delete what somebody changed since: it was not named."""
    changed = {user.what for user in target.users if user.what.startswith(f"{layout.KEPT}/")}
    if target.head.use is HeadUse.RAN:
        changed.add(layout.HEAD)
    if since := sorted(changed - set(removal.kept)):
        raise TryLater(
            f"standby {removal.place.called}",
            f"somebody ran it since its parts were named: {', '.join(since)}",
            "only what was named",
            "nothing was removed: look again, and decide anew",
        )


def _delete(place: Place, store: KvmStore) -> tuple[str, ...]:
    place.domain.undefine()  # from here on it cannot be started by its name
    _refuse_while_open(place, store)
    # From here on no manifest may name a point whose files go, whatever happens in between.
    store.change(store.manifest.without_points())
    return remove_directory(place.host, place.directory, store.manifest.generation)


def _refuse_while_used(place: Place, store: KvmStore) -> None:
    for user in store.users():
        if not user.what.startswith(f"{layout.KEPT}/"):  # those are ours to delete
            raise _used(place, user.what)
    _refuse_while_open(place, store)


def _refuse_while_open(place: Place, store: KvmStore) -> None:
    if store.head_is_open():
        raise _used(place, "whoever runs the standby's head, under whatever name,")


def _used(place: Place, who: str) -> StopStandbyFirst:
    return StopStandbyFirst(
        f"standby {place.called}",
        f"{who} stands on its boot points",
        "boot points that nobody uses",
        "end or delete that first",
    )


def _kept(listing: Listing) -> tuple[str, ...]:
    kept = (path for path in listing.directories if posixpath.dirname(path) == layout.KEPT)
    return (*sorted(kept), *([layout.HEAD] if listing.head_was_written else []))
