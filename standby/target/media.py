"""Seeds on external media: a standby's directory with checksums beside it.

What is exported is a store like any other (docs/store-format.md), made by a first cycle into a
directory of the medium, and two things more: for each image the SHA-256 of each of its chunks
below checksums/, and SHA256SUMS, as sha256sum(1) writes it, of all small files. That one comes
last: without it the export was not finished. Both are checked with programs that every host has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from standby.errors import CommandFailed, ReplaceMedium
from standby.host.interface import Host
from standby.model.machine import MachineDefinition
from standby.model.manifest import Manifest
from standby.model.point import BootPoint
from standby.target import layout, programs
from standby.target.definitions import read_definition
from standby.target.layout import StandbyDirectory
from standby.target.listing import manifest_of
from standby.target.looking import look
from standby.target.seed_images import find_image
from standby.target.store import KvmStore

# Small enough to name what is damaged, large enough not to start too many programs.
CHUNK: Final = 4 << 20
_MOST_NAMED: Final = 8
_COPY_S: Final = 86400.0
_LOOK_S: Final = 120.0
_SUMS: Final = "SHA256SUMS"
_NO_SUMS: Final = 66  # EX_NOINPUT of sysexits.h

# Arguments: directory, bytes of a chunk, then the images.
_WRITE_SUMS: Final = """
set -eu
cd "$1"; chunk=$2; shift 2
rm -rf SHA256SUMS checksums
mkdir checksums
for file; do
  split -b "$chunk" --filter=sha256sum "$file" | cut -c 1-64 > "checksums/${file##*/}.sha256"
done
find standby.json points checksums -type f -exec sha256sum {} + > SHA256SUMS.new
sync "$@" checksums/* SHA256SUMS.new
mv -T SHA256SUMS.new SHA256SUMS
sync .
"""

# Arguments: directory. Prints the names that SHA256SUMS has, then what is not as it says.
_CHECK_SMALL: Final = """
cd "$1" || exit 66
[ -f SHA256SUMS ] || exit 66
cut -c 67- SHA256SUMS
echo ==
sha256sum --check --strict --quiet SHA256SUMS 2>&1 || true
"""

# Arguments: bytes of a chunk, a file, and the checksums of its chunks. Prints the numbers, from 0,
# of the chunks that differ; where one of the two is shorter, the rest differs.
_CHECK_CHUNKS: Final = """
set -eu -o pipefail
split -b "$1" --filter=sha256sum "$2" | cut -c 1-64 | paste -d ' ' - "$3" |
  awk '$1 != $2 || NF != 2 { print NR - 1 }'
"""


@dataclass(frozen=True, slots=True)
class Medium:
    """A finished seed on a medium."""

    host: Host
    directory: StandbyDirectory
    manifest: Manifest
    point: BootPoint
    stored: int  # bytes of its images

    @property
    def where(self) -> str:
        """Where it is, for people."""
        return f"{self.directory.path} on {self.host.name}"


def write_checksums(host: Host, directory: StandbyDirectory, manifest: Manifest) -> None:
    """Finish an export: read all images once more and write the checksums."""
    files = sorted(manifest.files())
    argv = ("bash", "-c", _WRITE_SUMS, "standby-sums", directory.path, str(CHUNK), *files)
    host.run(argv, timeout=_COPY_S)


def is_finished(host: Host, directory: StandbyDirectory) -> bool:
    """Tell whether an export into a directory was finished."""
    argv = ("test", "-e", directory / _SUMS)
    return host.run(argv, timeout=_LOOK_S, accept=frozenset({0, 1})).status == 0


def open_medium(host: Host, directory: StandbyDirectory) -> Medium:
    """Look at a seed on a medium. Raises ReplaceMedium unless all but its images is whole."""
    where = f"{directory.path} on {host.name}"
    listing = look(host, directory)
    written = listing is not None and bool(listing.manifest.strip())
    manifest = manifest_of(listing, where) if listing and written else None
    if listing is None or manifest is None or len(manifest.points) != 1:
        raise ReplaceMedium(
            where, "no finished seed", "what `standby export-seed` wrote", "name its DIRECTORY"
        )
    medium = Medium(
        host,
        directory,
        manifest,
        manifest.points[0],
        sum(listing.files.get(file, 0) for file in manifest.files()),
    )
    _require_whole(medium)
    return medium


def _require_whole(medium: Medium) -> None:
    argv = ("sh", "-c", _CHECK_SMALL, "standby-check", medium.directory.path)
    done = medium.host.run(argv, timeout=_LOOK_S, accept=frozenset({0, _NO_SUMS}))
    if done.status:
        raise ReplaceMedium(
            medium.where, f"no {_SUMS}: the export was not finished", "a whole export"
        )
    named, _, wrong = done.text.partition("==\n")
    if wrong.strip():
        raise damaged(medium, wrong.strip().splitlines())
    needed = {layout.MANIFEST, *(_sums_of(file) for file in medium.manifest.files())}
    needed.add(f"{layout.point_directory(medium.point.name)}/{layout.DEFINITION}")
    missing = sorted(needed - set(named.splitlines()))
    if missing:
        raise damaged(medium, [f"no checksum of {name}" for name in missing])


def take_in(store: KvmStore, medium: Medium) -> BootPoint:
    """Copy the seed into the store, check the copy, and publish it as the first boot point.

    Raises ReplaceMedium, naming what is damaged, UseOtherImage, Overtaken.
    """
    definition = _definition(medium)
    writer = store.writer
    moves = [
        (layout.incoming_name(file, writer.generation), file)
        for file in sorted(medium.manifest.files())
    ]
    try:
        for copy, file in moves:
            words = (medium.directory / file, copy)
            writer.run(programs.TAKE_FILE, "standby-take", *words, timeout=_COPY_S)
        _require_undamaged(store, medium, moves)
        _require_sizes(store, medium, {file: copy for copy, file in moves})
    except BaseException:
        store.give_up([copy for copy, _ in moves])
        raise
    store.take_seed(medium.manifest, definition, moves)
    return medium.point


def _definition(medium: Medium) -> MachineDefinition:
    definition = read_definition(medium.host, medium.directory, medium.point.name)
    if definition.digest != medium.point.definition:
        folder = layout.point_directory(medium.point.name)
        raise damaged(medium, [f"{folder}: another machine definition"])
    return definition


def _require_undamaged(store: KvmStore, medium: Medium, moves: Sequence[tuple[str, str]]) -> None:
    wrong = [text for copy, file in moves for text in _damage(store, medium, copy, file)]
    if wrong:
        raise damaged(medium, wrong)


def _damage(store: KvmStore, medium: Medium, copy: str, file: str) -> list[str]:
    sums = medium.directory / _sums_of(file)
    argv = ("bash", "-c", _CHECK_CHUNKS, "standby-check", str(CHUNK), store.directory / copy, sums)
    try:
        numbers = medium.host.run(argv, timeout=_COPY_S).text.split()
    except CommandFailed as error:
        return [f"{file}: {error.stderr.strip()}"]
    places = (int(number) * CHUNK >> 20 for number in numbers)
    return [f"{file} from {place} MiB to {place + (CHUNK >> 20)} MiB" for place in places]


def _require_sizes(store: KvmStore, medium: Medium, copies: dict[str, str]) -> None:
    """Refuse images that stand on others, or are not of the sizes that the manifest says."""
    for delta in medium.point.deltas:
        found = find_image(medium.host, store.directory / copies[delta.file])
        find_image(medium.host, store.directory / copies[delta.digests])
        if found.size != delta.size:
            raise damaged(medium, [f"{delta.file}: {found.size} bytes, not {delta.size}"])


def _sums_of(file: str) -> str:
    return f"checksums/{PurePosixPath(file).name}.sha256"


def damaged(medium: Medium, wrong: Sequence[str]) -> ReplaceMedium:
    """Return the error of a medium that is not as it was written."""
    more = f" and {len(wrong) - _MOST_NAMED} more" if len(wrong) > _MOST_NAMED else ""
    return ReplaceMedium(
        f"seed in {medium.where}",
        f"damaged: {'; '.join(wrong[:_MOST_NAMED])}{more}",
        "what its checksums say; nothing was taken in",
        "copy it anew, or export anew: standby export-seed PROFILE DIRECTORY",
    )
