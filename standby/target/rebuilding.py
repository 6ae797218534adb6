"""A manifest made anew from the files of a store, when it and its copy are lost. Pure.

The directories in points/ tell which boot points there were, the numbers of the deltas which of
them belong together, and their headers what stands on what. Where these do not agree nothing is
guessed: a boot point under another's name would be worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from standby.errors import RepairStore, UseOtherVersion
from standby.model.digest import DigestAlgorithm
from standby.model.manifest import FAILOVERS, MANIFEST_VERSION, Manifest
from standby.model.names import PointName
from standby.model.pause import Pause
from standby.model.point import (
    REMADE,
    Base,
    BootPoint,
    Consistency,
    Delta,
    Standing,
    Way,
    digests_beside,
)
from standby.model.spoilt import SpoiltDisk
from standby.model.state import State
from standby.target import layout
from standby.target.listing import Listing
from standby.target.manifest_format import pause_told
from standby.target.users import Images

_GENERATIONS: Final = 1000  # that damaged texts may be behind

_DeltaFiles = Mapping[str, str]  # by disk


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of a standby: its files, what they stand on, and damaged texts."""

    listing: Listing
    images: Images
    texts: Sequence[str]

    @property
    def pauses(self) -> tuple[Pause | None, ...]:
        """What the texts say of a pause; nothing when none does."""
        return tuple(told for text in self.texts for told in pause_told(text))


def rebuilt(remains: Remains, first: Manifest, where: str) -> Manifest:
    """Return a manifest of what the files tell; `first` is that of a standby without points.

    What they do not tell is taken for the worst: every point counts as pinned, so that none is
    merged away, as consistent after a crash, and without a checkpoint on the source; a disk
    without its table of digests counts as spoilt. Raises RepairStore when they do not agree,
    UseOtherVersion.
    """
    _require_our_version(remains.texts, where)
    sets, names = _sets(remains.listing, where), _names(remains.listing)
    if not sets or len(sets) != len(names):
        raise _disagreement(
            where, f"{len(names)} directories in points/, but deltas of {len(sets)}"
        )
    _require_chain(sets, remains.images, where)
    points = tuple(
        _point(name, files, remains, is_newest=files is sets[-1])
        for name, files in zip(names, sets, strict=True)
    )
    return replace(
        first,
        token=_found(r'"token": "([0-9a-z]+)"', remains.texts) or first.token,
        digests=_digests(remains.texts) or first.digests,
        generation=_generation(remains.texts) + _GENERATIONS,
        next_delta=1 + max(layout.delta_number(file) for files in sets for file in files.values()),
        reverted_to=_reverted_to(remains.listing, points),
        paused=next(iter(remains.pauses), None),
        failover=_failover(remains, where),
        points=points,
    )


def _require_our_version(texts: Sequence[str], where: str) -> None:
    version = _found(r'"version": (\d+),', texts)
    if version not in {None, str(MANIFEST_VERSION)}:
        raise UseOtherVersion(
            where,
            f"damaged, its copy too, and of version {version}",
            f"version {MANIFEST_VERSION}, as this program writes it",
            "use the version of standby that wrote it; nothing was changed",
        )


def _sets(listing: Listing, where: str) -> Sequence[_DeltaFiles]:
    """Return the deltas of each point, oldest first: a cycle numbers those of all disks."""
    files = [path for path in listing.files if layout.disk_of_delta(path)]
    sets: list[dict[str, str]] = []
    for file in sorted(files, key=layout.delta_number):
        disk = layout.disk_of_delta(file)
        if not sets or disk in sets[-1]:
            sets.append({})
        sets[-1][disk] = file
    if sets and (half := _half_published(listing, sets[-1])):
        raise _disagreement(where, f"a publication was interrupted before {half} was in place")
    return sets


def _half_published(listing: Listing, newest: _DeltaFiles) -> str | None:
    """Return a file in incoming/ that belongs to the newest deltas, if there is one."""
    last = max(map(layout.delta_number, newest.values()))
    following = (_published(path) for path in listing.files)
    beside = (path for path in following if path and layout.delta_number(path) == last + 1)
    return next((path for path in beside if layout.disk_of_delta(path) not in newest), None)


def _published(path: str) -> str | None:
    """Return the name in deltas/ that publication would give to an image in incoming/."""
    if not path.endswith(".qcow2"):
        return None
    if seed := layout.SeedFile.parse(path):
        return layout.delta_name(seed.disk, seed.number)
    folder, _, name = path.rpartition("/")
    return f"{layout.DELTAS}/{name.partition('.')[2]}" if folder == layout.INCOMING else None


def _names(listing: Listing) -> Sequence[PointName]:
    found = (layout.point_of_directory(path) for path in listing.directories)
    return sorted(name for name in found if name is not None)


def _require_chain(sets: Sequence[_DeltaFiles], images: Images, where: str) -> None:
    """Refuse what no cycle makes, and what may be grouped in another way than it was made.

    A delta stands on the one of the point below, or on nothing if that has none of its disk. Where
    disks come and go the numbers do not tell whose deltas they are: only disks that were added
    leave no doubt.
    """
    for below, files in pairwise([{}, *sets]):
        for disk, file in files.items():
            base = images.stands_on.get(file)
            if file not in images.sizes or base != below.get(disk):
                raise _disagreement(where, f"{file} stands on {base or 'nothing that can be read'}")
        if gone := sorted(below.keys() - files):
            last = min(files.values(), key=layout.delta_number)
            raise _disagreement(where, f"no delta of {gone[0]} goes with {last}")


def _point(name: PointName, files: _DeltaFiles, remains: Remains, *, is_newest: bool) -> BootPoint:
    listing, images = remains.listing, remains.images
    given_up = not is_newest and layout.given_up_mark(name) in listing.files
    deltas = tuple(
        Delta(
            disk=disk,
            file=file,
            size=images.sizes[file],
            stored=listing.files[file],
            base=Base.BELOW if images.stands_on[file] else Base.NOTHING,
        )
        for disk, file in files.items()
    )
    lost = (d for d in deltas if digests_beside(d.file) not in listing.files and not given_up)
    return BootPoint(
        name=name,
        made=Way.INCREMENTAL if any(d.base is Base.BELOW for d in deltas) else Way.SEED,
        reason=REMADE,
        consistency=Consistency.CRASH,
        deltas=deltas,
        sent=0,
        true_at=name.moment,
        pinned=not given_up,
        standing=Standing.GIVEN_UP if given_up else Standing.WHOLE,
        spoilt=tuple(SpoiltDisk(delta.disk, ((0, delta.size),)) for delta in lost),
    )


def _reverted_to(listing: Listing, points: Sequence[BootPoint]) -> PointName | None:
    """Return the point that the head stands on, unless it is the newest, which it follows."""
    stands_on = layout.point_of_head(listing.head) if listing.head else None
    older = {point.name for point in points[:-1] if point.standing is Standing.WHOLE}
    return stands_on if stands_on in older else None


def _failover(remains: Remains, where: str) -> State | None:
    """Return the state that a failover led to, as a damaged text still says.

    Raises RepairStore when none does and somebody ran the standby: no cycle may take it back.
    """
    words = {f'"{state.value}"': state for state in FAILOVERS}
    word = _found(r'"failover": (null|"[a-z ()]+"),', remains.texts)
    if word not in {"null", *words} and remains.listing.head_was_written:
        raise _disagreement(where, "somebody ran the standby, perhaps in the machine's place")
    return words.get(word or "")


def _generation(texts: Sequence[str]) -> int:
    return int(_found(r'"generation": (\d{1,9})\b', texts) or 0)


def _digests(texts: Sequence[str]) -> DigestAlgorithm | None:
    known = "|".join(algorithm.value for algorithm in DigestAlgorithm)
    word = _found(rf'"digests": "({known})"', texts)
    return DigestAlgorithm(word) if word else None


def _found(pattern: str, texts: Sequence[str]) -> str | None:
    return next((match[1] for text in texts if (match := re.search(pattern, text))), None)


def _disagreement(where: str, found: str) -> RepairStore:
    return RepairStore(
        where,
        f"damaged, its copy too, and its files do not agree: {found}",
        "a manifest, or files that tell what it said",
        "nothing was changed; boot a point by hand as README.md says under: recover by hand",
    )
