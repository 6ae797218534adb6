"""What a look at a standby's directory and its domain means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from standby.host.interface import Host
from standby.model.manifest import Manifest
from standby.model.observation import HeadObservation, HeadUse, TargetObservation, User
from standby.target import layout, programs
from standby.target.domain_interface import DormantDomain
from standby.target.layout import StandbyDirectory
from standby.target.listing import Listing, manifest_of, parse_listing

LOOK_S: Final = 120.0


def look(
    host: Host, directory: StandbyDirectory, program: str = programs.OBSERVE
) -> Listing | None:
    """Look at a standby's directory without its lock; None when there is none."""
    argv = ("sh", "-c", program, "standby-observe", directory.path)
    done = host.run(argv, timeout=LOOK_S, accept=frozenset({0, 73}))
    if done.status:
        return None
    return parse_listing(done.text, f"{directory.path} on {host.name}")


def observe_unlocked(
    host: Host, directory: StandbyDirectory, domain: DormantDomain
) -> TargetObservation | None:
    """Look at a standby without its lock; None when there is no manifest."""
    where = f"{directory.manifest} on {host.name}"
    listing = look(host, directory)
    manifest = manifest_of(listing, where) if listing else None
    if listing and manifest and listing.missing(manifest):
        # Somebody may have published in the midst of the look, after the files were listed.
        listing = look(host, directory)
        manifest = manifest_of(listing, where) if listing else None
    return observe_target(domain, listing, manifest) if listing and manifest else None


def mounted(listing: Listing) -> Sequence[User]:
    """Return the read-only exports of points; their pidfiles name the point."""
    found = (path for path in listing.files if layout.point_of_mount(path))
    return [User(f"a read-only export ({path})", layout.point_of_mount(path)) for path in found]


def kept_heads(listing: Listing) -> Sequence[User]:
    """Return the heads that were run and set aside; their directories name the point."""
    kept = (path for path in listing.directories if path.startswith(f"{layout.KEPT}/"))
    return [User(path, point) for path in sorted(kept) if (point := layout.point_of_head(path))]


def observe_target(
    domain: DormantDomain, listing: Listing, manifest: Manifest
) -> TargetObservation:
    """Say what a look at the directory and the domain means."""
    use = _head_use(listing, domain)
    return TargetObservation(
        manifest=manifest,
        head=HeadObservation(use, layout.point_of_head(listing.head) if listing.head else None),
        domain=domain.found(),
        available=listing.available,
        debris=listing.debris(manifest),
        unfinished=listing.unfinished(),
        users=(*mounted(listing), *kept_heads(listing)),
        clock=listing.clock,
        missing=listing.missing(manifest),
    )


def _head_use(listing: Listing, domain: DormantDomain) -> HeadUse:
    if domain.is_active():
        return HeadUse.RUNNING
    if not listing.head:
        return HeadUse.ABSENT
    if domain.boots_other([f"{layout.HEAD}/{name}" for name in listing.head_images]):
        return HeadUse.REPLACED
    return HeadUse.RAN if listing.head_was_written else HeadUse.DORMANT
