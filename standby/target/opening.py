"""Taking a standby's directory over: its skeleton, its lock, its manifest healed and ours."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from standby.errors import RepairStore
from standby.host.interface import Host
from standby.model.manifest import JsonObject, Manifest
from standby.target import programs
from standby.target.domain_interface import DormantDomain
from standby.target.filesystems import require_promises
from standby.target.healing import Healing
from standby.target.layout import StandbyDirectory
from standby.target.listing import Listing, manifest_of
from standby.target.lock import Absent, hold_lock
from standby.target.looking import LOOK_S, look
from standby.target.merging import UNLIMITED, MergeSpeed
from standby.target.publication import NO_MANIFEST
from standby.target.qcow2 import Allocation
from standby.target.store import KvmStore, Work


def make_directory(host: Host, directory: StandbyDirectory) -> None:
    """Make the skeleton of a standby's directory; harmless when it is there."""
    host.run(("sh", "-c", programs.MAKE_DIRECTORY, "standby-make", directory.path), timeout=LOOK_S)


@contextmanager
def open_store(
    host: Host,
    directory: StandbyDirectory,
    domain: DormantDomain,
    first: Manifest | None,
    allocation: Allocation = Allocation.THIN,
    speed: MergeSpeed = UNLIMITED,
    profile: JsonObject | None = None,
) -> Generator[KvmStore]:
    """Take the lock, raise the generation, end what a predecessor left running.

    `first` is the manifest of a directory that has none yet; without it such a directory is an
    error. `profile`, the effective one, is kept in the manifest. Raises TryLater when another
    manager works on it, UseOtherStorage, RepairStore.
    """
    with hold_lock(host, directory, Absent.MADE if first else Absent.REFUSED) as lock:
        listing = look(host, directory, programs.TAKE_UP)
        where = f"{directory.manifest} on {host.name}"
        if listing:
            require_promises(listing.filesystem, directory.path, listing.mounted_with)
        begun = replace(first, token=first.token or secrets.token_hex(4)) if first else None
        before = Healing(host, directory, listing, begun).manifest() if listing else None
        manifest = before or _first_manifest(begun, where)
        work = Work(host, directory, domain, lock, allocation, speed)
        if profile is not None:
            manifest = manifest.with_profile(profile)
        replaced = listing.manifest if listing and before else NO_MANIFEST
        lock.require()
        yield KvmStore(work, manifest.taken_over(), replaced, _unhealed(listing, where))


def _unhealed(listing: Listing | None, where: str) -> Listing | None:
    """Return a listing that still holds: healing a manifest sets files aside."""
    try:
        return listing if listing and manifest_of(listing, where) else None
    except RepairStore:
        return None


def _first_manifest(first: Manifest | None, where: str) -> Manifest:
    if first is None:
        raise RepairStore(where, "no manifest", "a standby", "make it: standby run PROFILE")
    return first
