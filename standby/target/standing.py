"""Who stands on a store's files, asked of the KVM host: images of the store, and domains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from standby.errors import TryLater
from standby.host.interface import Host
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import User
from standby.target import layout, programs
from standby.target.domain_interface import DormantDomain
from standby.target.layout import StandbyDirectory
from standby.target.users import Images, parse_images, point_of_file

_HEADERS_S: Final = 1800.0  # of a slow storage with many files
_TRIES: Final = 5


def read_images(host: Host, directory: StandbyDirectory) -> Images:
    """Read the header of every image of a store, tables among them.

    Raises RepairStore for a damaged one, TryLater when files come and go all the time.
    """
    argv = ("sh", "-c", programs.READ_HEADERS, "standby-headers", directory.path)
    for _ in range(_TRIES):
        done = host.run(argv, timeout=_HEADERS_S, accept=frozenset({0, 1}))
        images = parse_images(done.stdout, directory.path)
        if images is not None and not done.status:
            return images
    raise TryLater(
        directory.path,
        f"files changed while they were looked at: {done.stderr.strip() or 'their lengths'}",
        "a directory that only one manager works on",
        "see who writes there",
    )


def users_by_domains(
    domain: DormantDomain, directory: StandbyDirectory, manifest: Manifest, head: str
) -> Iterator[User]:
    """Yield who uses files of a store by a domain's definition, but for the dormant head."""
    inside = f"{directory.path}/"
    own = (f"{layout.HEAD}/", f"{head}/")
    for path in domain.files_in_use():
        relative = path.removeprefix(inside)
        if relative != path and not relative.startswith(own):
            yield User(f"a domain that uses {relative}", _point_of(relative, manifest))


def _point_of(relative: str, manifest: Manifest) -> PointName | None:
    folder = str(PurePosixPath(relative).parent)
    return layout.point_of_head(folder) or point_of_file(manifest, relative)
