"""A manifest that is damaged or gone: its copy takes its place, or what the files tell.

Every publication leaves a copy of the manifest in kept/. It is made after the rename that
publishes, so after a crash in between it is one publication old: then the files that it does not
know are set aside in kept/, and nothing that anybody may want is taken for debris.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from standby.errors import CommandFailed, RepairStore, UseOtherVersion
from standby.host.interface import Host
from standby.model.manifest import FAILOVERS, Manifest
from standby.model.names import PointName
from standby.target import layout, programs
from standby.target.layout import StandbyDirectory
from standby.target.listing import Listing, manifest_of
from standby.target.manifest_format import pause_told, read_manifest
from standby.target.publication import digest_of
from standby.target.rebuilding import Remains, rebuilt
from standby.target.standing import read_images
from standby.target.writer import overtaken

log = logging.getLogger(__name__)

_LOOK_S: Final = 60.0
_REVERTED_TO: Final = re.compile(r'^  "reverted_to": "(V\d{8}_\d{6})",$', re.MULTILINE)
_FAILOVER: Final = re.compile(r'^  "failover": "([a-z ()]+)",$', re.MULTILINE)
_PINNED: Final = re.compile(
    r'^    \{"name": "(V\d{8}_\d{6})", "standing": "[a-z ]+", "pinned": true,', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Healing:
    """What there is to heal a manifest with. `first` is that of a standby without points."""

    host: Host
    directory: StandbyDirectory
    listing: Listing
    first: Manifest | None

    @property
    def where(self) -> str:
        """The manifest, for people."""
        return f"{self.directory.manifest} on {self.host.name}"

    def manifest(self) -> Manifest | None:
        """Return the manifest, healed if need be; None for a directory that never had one.

        What is damaged is kept. Raises RepairStore when it cannot be healed, UseOtherVersion.
        """
        try:
            return manifest_of(self.listing, self.where)
        except UseOtherVersion:
            raise
        except RepairStore as damage:
            return self._healed(damage)

    def _healed(self, damage: RepairStore) -> Manifest:
        path = f"{self.directory.path}/{layout.MANIFEST_COPY}"
        text = self.host.run(("cat", "--", path), timeout=_LOOK_S, accept=frozenset({0, 1})).text
        try:
            return self._copied(read_manifest(text, f"{path} on {self.host.name}"), damage)
        except UseOtherVersion:
            raise
        except RepairStore as lost:
            return self._rebuilt(text, lost)

    def _copied(self, copy: Manifest, damage: RepairStore) -> Manifest:
        if lost := sorted(copy.files() - self.listing.deltas):
            raise RepairStore(
                self.where,
                f"damaged, and its copy names {lost[0]}, which is gone",
                "a whole manifest",
            )
        if given_up := [p.name for p in copy.whole_points if _is_marked(self.listing, p.name)]:
            raise RepairStore(
                self.where,
                f"damaged, and its copy is older than the mark that gave {given_up[0]} up",
                "a whole manifest",
            )
        _set_aside(self.host, self.directory, self.listing, copy)
        log.warning("%s; its copy in %s/ has taken its place", damage, layout.KEPT)
        # The copy may be one publication old, and that one may have been what somebody chose.
        chosen = _with_choices(copy, self.listing.manifest)
        # One more than it says: the damaged one may have been of a later generation.
        return replace(chosen, generation=copy.generation + 1)

    def _rebuilt(self, copy: str, lost: RepairStore) -> Manifest:
        """Make it anew from the files; only for a cycle, which knows whose standby this is."""
        if self.first is None:
            raise lost
        images = read_images(self.host, self.directory)
        remains = Remains(self.listing, images, (self.listing.manifest, copy))
        manifest = rebuilt(remains, self.first, self.where)
        self._require_machine(manifest)
        _set_aside(self.host, self.directory, self.listing, manifest, [layout.MANIFEST_COPY])
        log.warning(
            "%s; made anew from the files, with all its boot points pinned. Look at them: "
            "standby verify --all; then unpin those that may be merged%s",
            lost,
            "" if remains.pauses else ". Whether it was paused nothing tells: cycles go on",
        )
        return manifest

    def _require_machine(self, manifest: Manifest) -> None:
        """Refuse points of another machine than the one that the cycle is of."""
        folder = layout.point_directory(manifest.points[-1].name)
        xml = self.host.read_file(self.directory / f"{folder}/{layout.DEFINITION}")
        found = re.search(r"<uuid>([0-9a-f-]{36})</uuid>", (xml or b"").decode(errors="replace"))
        whose = found[1] if found else "unknown"
        if whose != manifest.machine.uuid:
            raise RepairStore(
                self.where,
                f"damaged, and its boot points are of the machine {whose}",
                f"{manifest.machine.uuid}, which is to be protected",
                "protect another machine under another standby name",
            )


def _set_aside(
    host: Host,
    directory: StandbyDirectory,
    listing: Listing,
    manifest: Manifest,
    damaged: Sequence[str] = (),
) -> None:
    """Keep the damaged manifest, and what the healed one does not know."""
    known = {str(point.name) for point in manifest.points}
    unknown = [
        *(path for path in damaged if path in listing.files),
        *sorted(listing.deltas - manifest.files()),
        *sorted(path for path in listing.points if path.rpartition("/")[2] not in known),
    ]
    replaced = digest_of(listing.manifest)
    argv = ("bash", "-c", programs.SET_ASIDE, "standby-heal", directory.path, replaced, *unknown)
    try:
        host.run(argv, timeout=_LOOK_S)
    except CommandFailed as error:
        if error.status == programs.STATUS_OVERTAKEN:
            raise overtaken(host, directory) from error
        raise


def _with_choices(copy: Manifest, damaged: str) -> Manifest:
    """Return a manifest with what people chose, as far as a damaged text still tells it.

    What either of the two protects stays protected.
    """
    pinned = frozenset(_PINNED.findall(damaged))
    points = tuple(replace(p, pinned=p.pinned or str(p.name) in pinned) for p in copy.points)
    reverted, failover = _REVERTED_TO.search(damaged), _FAILOVER.search(damaged)
    whole = {str(point.name): point.name for point in copy.whole_points}
    states = {state.value: state for state in FAILOVERS}
    return replace(
        copy,
        points=points,
        reverted_to=whole.get(reverted[1] if reverted else "", copy.reverted_to),
        failover=states.get(failover[1] if failover else "", copy.failover),
        paused=next(iter(pause_told(damaged)), copy.paused),
    )


def _is_marked(listing: Listing, name: PointName) -> bool:
    return layout.given_up_mark(name) in listing.files
