"""Boot points by hand: list them, revert to one, keep one from being merged."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from standby.app.places import Place
from standby.app.session import Session
from standby.errors import (
    Cancelled,
    ChooseOtherName,
    FixRequest,
    RepairStore,
    StopStandbyFirst,
    TryLater,
)
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import DomainFound, HeadUse, TargetObservation
from standby.model.plan import HeadMove
from standby.model.point import BootPoint
from standby.planning.selection import Spoilt, select_good_point, select_point
from standby.target import layout
from standby.target.listing import Listing, manifest_of
from standby.target.looking import look
from standby.target.opening import open_store
from standby.target.store import KvmStore

LATEST = "latest"
_SOON_S: Final = 60.0
_ASK_AGAIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Chain:
    """A standby's boot points, and which of them the head stands on."""

    manifest: Manifest
    head: PointName | None
    at: datetime  # when it was looked at, UTC
    missing: frozenset[str] = frozenset()  # files of boot points that are gone; relative paths

    def missing_below(self, point: BootPoint) -> tuple[str, ...]:
        """Return the images that are gone and without which a point cannot be read."""
        return tuple(sorted(self.manifest.images_below(point) & self.missing))


@dataclass(frozen=True, slots=True)
class Reverted:
    """What the dormant standby boots from now on."""

    point: BootPoint
    follows: bool  # whether it follows the newest point again
    head_kept: bool  # whether a head that somebody ran was set aside under kept/


def chain_of(session: Session, place: Place) -> Chain:
    """Read the boot points; asks nothing of libvirt, so that it works while libvirt does not."""
    listing, manifest = require_manifest(place)
    if listing.missing(manifest):  # or somebody published in the midst of the look
        listing, manifest = require_manifest(place)
    head = layout.point_of_head(listing.head) if listing.head_exists else None
    return Chain(manifest, head, session.clock.now(), frozenset(listing.missing(manifest)))


def revert(
    session: Session, place: Place, asked: str, zone: tzinfo, spoilt: Spoilt = Spoilt.REFUSED
) -> Reverted:
    """Let the dormant standby boot the point that `asked` means; no other point is lost.

    `latest` lets it follow the newest point again. Raises StopStandbyFirst while it runs,
    FixRequest for a spoilt point unless that is taken, RepairStore for one whose files are gone.
    """
    with locked(session, place) as store:
        target = store.observe()
        refuse_unless_dormant(place, target)
        now = session.clock.now()
        point = select_good_point(store.manifest.points, asked, now, zone, spoilt)
        _refuse_without_files(place, target, point)
        follows = asked.strip() == LATEST
        store.change(store.manifest.reverted(None if follows else point.name))
        ran = target.head.use is HeadUse.RAN
        store.move_head(HeadMove.SET_ASIDE if ran else HeadMove.MOVE)
        return Reverted(point, follows=follows, head_kept=ran)


def pin(session: Session, place: Place, asked: str, zone: tzinfo) -> BootPoint:
    """Keep a boot point from being merged away."""
    with locked(session, place) as store:
        point = select_point(store.manifest.points, asked, session.clock.now(), zone)
        store.change(store.manifest.with_pin(point.name))
        return store.manifest.point(point.name)


def unpin(session: Session, place: Place, asked: str, zone: tzinfo) -> BootPoint:
    """Let a boot point be merged again."""
    with locked(session, place) as store:
        point = select_point(store.manifest.points, asked, session.clock.now(), zone)
        store.change(store.manifest.without_pin(point.name))
        return store.manifest.point(point.name)


def require_manifest(place: Place) -> tuple[Listing, Manifest]:
    """Look at the directory. Raises FixRequest when there is no standby yet."""
    listing = look(place.host, place.directory)
    manifest = manifest_of(listing, place.where) if listing else None
    if listing is None or manifest is None:
        raise FixRequest(
            f"standby {place.called}",
            f"nothing in {place.where}",
            "a standby",
            f"make its first boot point: standby run {place.called}",
        )
    return listing, manifest


@contextmanager
def locked(session: Session, place: Place) -> Generator[KvmStore]:
    """Open the store of a standby that exists. Raises TryLater when a cycle is at work."""
    require_manifest(place)
    with open_store(place.host, place.directory, place.domain, None) as store:
        if session.cancel.is_set():
            raise Cancelled(f"standby {place.called}", "stopped before anything was changed")
        yield store


@contextmanager
def locked_soon(session: Session, place: Place) -> Generator[KvmStore]:
    """Open the store once a cycle that is at work has ended, within a minute.

    For who has something to say that took hours to find. Raises as `locked` does.
    """
    deadline = time.monotonic() + _SOON_S
    with ExitStack() as stack:
        while True:
            try:
                store = stack.enter_context(locked(session, place))
                break
            except TryLater:
                if time.monotonic() >= deadline or session.cancel.wait(_ASK_AGAIN_S):
                    raise
        yield store


def _refuse_without_files(place: Place, target: TargetObservation, point: BootPoint) -> None:
    missing = target.missing_below(point)
    if missing:
        raise RepairStore(
            f"boot point {point.name} of {place.called}",
            f"{', '.join(missing)} gone",
            "all files that it stands on",
            f"put it back from a copy; which points can be started: standby show {place.called}",
        )


def refuse_unless_dormant(place: Place, target: TargetObservation) -> None:
    """Raise StopStandbyFirst while the standby runs, ChooseOtherName if its domain is not ours."""
    name = target.manifest.standby
    if target.head.use is HeadUse.RUNNING:
        raise StopStandbyFirst(
            f"standby {place.called}",
            f"its domain {name} runs on {place.host.name}",
            "a domain that is off, without a saved state",
            f"there: virsh shutdown {name}",
        )
    if target.head.use is HeadUse.REPLACED:
        raise StopStandbyFirst(
            f"standby {place.called}",
            f"its domain {name} boots images of somebody's own on {place.host.name}, such as those "
            "of a snapshot",
            "a domain that boots our head",
            f"when they are not needed any more, there: virsh undefine {name} "
            "--snapshots-metadata --keep-nvram",
        )
    if target.domain is DomainFound.FOREIGN:
        raise ChooseOtherName(
            f"standby {place.called}",
            f"the domain {name} on {place.host.name} is not ours",
            "our dormant domain, or none",
            f"there: virsh domrename {name} ANOTHER-NAME",
        )
