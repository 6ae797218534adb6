"""What is in a standby's directory: the output of the observing program, parsed. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from standby.errors import RepairStore
from standby.model.manifest import Manifest
from standby.model.seed import UnfinishedSeed
from standby.target import layout
from standby.target.manifest_format import read_manifest

_BLOCK_BYTES = 512  # find's %b counts in these


@dataclass(frozen=True, slots=True)
class Listing:
    """One look at a standby's directory. Sizes in bytes."""

    files: Mapping[str, int]  # relative path -> allocated bytes; files only
    directories: frozenset[str]
    head: str  # what the link `head` names, "" without one
    head_sizes: tuple[str, str]  # sizes of its images when it was made, and now
    available: int
    filesystem: str  # as stat(1) names it: ext2/ext3, xfs, nfs, smb2
    mounted_with: str  # options, of network file systems only
    manifest: str  # its text, "" without one
    clock: datetime | None = None  # the host's, UTC
    links: frozenset[str] = frozenset()  # relative paths

    @property
    def deltas(self) -> frozenset[str]:
        """What lies among the deltas."""
        return frozenset(path for path in self.files if path.startswith(f"{layout.DELTAS}/"))

    @property
    def points(self) -> frozenset[str]:
        """The directories of boot points."""
        return frozenset(path for path in self.directories if layout.is_point_directory(path))

    def debris(self, manifest: Manifest) -> tuple[str, ...]:
        """Return what interrupted runs left: everything of ours that nothing refers to."""
        return tuple(sorted(self._debris(manifest)))

    def missing(self, manifest: Manifest) -> tuple[str, ...]:
        """Return what boot points consist of and is not there; a link may lead to it."""
        return tuple(sorted(manifest.files() - self.files.keys() - self.links))

    def _debris(self, manifest: Manifest) -> Iterator[str]:
        points = {point.name for point in manifest.points}
        used = manifest.files() | {path for seed in self.unfinished() for path in seed.files}
        for path in self.files:
            if self._is_old_delta(path, used):
                yield path
        for path in self.directories:
            point = layout.point_of_directory(path)
            if (point is not None and point not in points) or self._is_old_head(path):
                yield path

    @staticmethod
    def _is_old_delta(path: str, used: frozenset[str]) -> bool:
        if path in used:
            return False
        return posixpath.dirname(path) == layout.INCOMING or layout.delta_number(path) > 0

    def _is_old_head(self, path: str) -> bool:
        # A head that nobody ran holds nothing; whether one was run is asked before it is dropped.
        made = path.removesuffix(layout.UNFINISHED_HEAD)
        is_head = layout.point_of_head(made) is not None and path.startswith(layout.HEADS + "/")
        return is_head and path != self.head

    def unfinished(self) -> tuple[UnfinishedSeed, ...]:
        """Return copies that can go on, newest last; one without its table cannot."""
        seeds = [seed for path in self.files if (seed := layout.SeedFile.parse(path))]
        return tuple(
            UnfinishedSeed(
                disk=seed.disk,
                size=seed.size,
                number=seed.number,
                origin=seed.origin,
                image=seed.image,
                digests=seed.digests,
                stored=self.files[seed.image],
                below=layout.delta_name(seed.disk, seed.below) if seed.below else None,
            )
            for seed in sorted(seeds, key=lambda seed: (seed.generation, seed.image))
            if seed.digests in self.files and seed.image in self.files
        )

    @property
    def head_exists(self) -> bool:
        """Whether the link `head` names a directory that is there."""
        return self.head in self.directories

    @property
    def head_was_written(self) -> bool:
        """Whether anybody wrote to the head's images: qcow2 cannot take a write in place."""
        fresh, now = self.head_sizes
        return self.head_exists and fresh != now

    @property
    def head_images(self) -> tuple[str, ...]:
        """Names of the images that the head was made of; of one made by hand, those it has."""
        fresh, now = self.head_sizes
        lines = (fresh or now).splitlines()
        return tuple(name for line in lines if (name := line.partition(" ")[2]))

    def next_head_number(self) -> int:
        """Return a number that no head's directory has."""
        return 1 + max(map(layout.number_of_head, self.directories), default=0)


def parse_listing(text: str, where: str) -> Listing:
    """Parse what programs.OBSERVE printed. Raises RepairStore when it is not that, or not all."""
    sections = _sections(text)
    if "short" in sections:
        raise RepairStore(
            where,
            "not all of it can be read",
            "a directory that can be read as a whole",
            "see what cannot, there and as the same user: find DIRECTORY > /dev/null",
        )
    try:
        entries = [line.split(" ", 2) for line in sections["files"].split("\n") if line]
        return Listing(
            files={
                path: int(blocks) * _BLOCK_BYTES for kind, blocks, path in entries if kind == "f"
            },
            directories=frozenset(path for kind, _, path in entries if kind == "d"),
            links=frozenset(path for kind, _, path in entries if kind == "l"),
            head=sections["head"].strip(),
            head_sizes=(sections["fresh"].strip(), sections["now"].strip()),
            available=int(sections["available"]),
            filesystem=sections["type"].strip(),
            mounted_with=sections["options"].strip(),
            manifest=sections["manifest"],
            clock=datetime.fromtimestamp(int(sections["clock"]), UTC),
        )
    except (KeyError, ValueError, OverflowError, OSError) as error:
        raise RepairStore(where, f"unreadable directory listing ({error!r})") from error


def manifest_of(listing: Listing, where: str) -> Manifest | None:
    """Read the manifest that the listing carries; None when there never was one.

    Raises RepairStore when it is damaged or was lost, UseOtherVersion.
    """
    if listing.manifest.strip():
        return read_manifest(listing.manifest, where)
    if listing.deltas or listing.points:
        raise RepairStore(
            where,
            "no manifest, but what belongs to boot points",
            "a manifest",
            "the next cycle takes its copy, or makes it anew: standby run PROFILE",
        )
    return None


def _sections(text: str) -> Mapping[str, str]:
    # Not splitlines: names may hold any of the characters that it takes for the end of a line.
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        if line.startswith("== ") and "manifest" not in sections:
            current = sections.setdefault(line[3:].strip(), [])
        else:
            current.append(line)
    return {name: "\n".join(lines) for name, lines in sections.items()}
