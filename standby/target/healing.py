"""A manifest that is damaged or gone: the copy beside it takes its place, under the lock.

Every publication leaves a copy of the manifest in kept/. It is made after the rename that
publishes, so after a crash in between it is one publication old: then the files that it does not
know are set aside in kept/, and nothing that anybody may want is taken for debris.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from standby.errors import RepairStore
from standby.host.interface import Host
from standby.model.manifest import Manifest
from standby.target import layout, programs
from standby.target.layout import StandbyDirectory
from standby.target.listing import Listing, manifest_of
from standby.target.manifest_format import read_manifest

log = logging.getLogger(__name__)

_LOOK_S: Final = 60.0


def manifest_or_copy(host: Host, directory: StandbyDirectory, listing: Listing) -> Manifest | None:
    """Return the manifest, healed if need be; None for a directory that never had one.

    What is damaged is kept. Raises RepairStore when the copy is damaged as well, or names files
    that are not there.
    """
    where = f"{directory.manifest} on {host.name}"
    try:
        return _stored(listing, where)
    except RepairStore as damage:
        manifest = _copy(host, directory, damage)
        if lost := sorted(manifest.files() - _deltas(listing)):
            raise RepairStore(
                where, f"damaged, and its copy names {lost[0]}, which is gone", "a whole manifest"
            ) from damage
        _set_aside(host, directory, listing, manifest)
        log.warning("%s; its copy in %s/ has taken its place", damage, layout.KEPT)
        # One more than it says: the damaged one may have been of a later generation.
        return replace(manifest, generation=manifest.generation + 1)


def _stored(listing: Listing, where: str) -> Manifest | None:
    manifest = manifest_of(listing, where)
    if manifest is None and _deltas(listing):
        raise RepairStore(where, "no manifest, but deltas of boot points", "a manifest")
    return manifest


def _copy(host: Host, directory: StandbyDirectory, damage: RepairStore) -> Manifest:
    path = f"{directory.path}/{layout.MANIFEST_COPY}"
    text = host.run(("cat", "--", path), timeout=_LOOK_S, accept=frozenset({0, 1})).text
    try:
        return read_manifest(text, f"{path} on {host.name}")
    except RepairStore:
        raise damage from None


def _set_aside(
    host: Host, directory: StandbyDirectory, listing: Listing, manifest: Manifest
) -> None:
    """Keep the damaged manifest, and what the copy does not know."""
    known = {str(point.name) for point in manifest.points}
    points = {path for path in listing.directories if layout.is_point_directory(path)}
    unknown = [
        *sorted(_deltas(listing) - manifest.files()),
        *sorted(path for path in points if path.rpartition("/")[2] not in known),
    ]
    argv = ("bash", "-c", programs.SET_ASIDE, "standby-heal", directory.path, *unknown)
    host.run(argv, timeout=_LOOK_S)


def _deltas(listing: Listing) -> frozenset[str]:
    return frozenset(path for path in listing.files if path.startswith(f"{layout.DELTAS}/"))
