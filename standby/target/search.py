"""Finding standbys on a KVM host by their manifests.

Storage directories come from profiles and from people; those of a host whose profiles are not
at hand are told by libvirt: a dormant domain names its head's images, and a pool its directory.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from xml.etree import ElementTree

import libvirt

from standby.errors import RepairStore
from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.model.manifest import Manifest
from standby.target import layout
from standby.target.layout import StandbyDirectory
from standby.target.manifest_format import read_manifest

_LOOK_S: Final = 120.0

# Arguments: storage directories. Prints, for each manifest directly below them, its directory
# and its text, both in base64.
_FIND_MANIFESTS: Final = """
for storage; do
  for manifest in "$storage"/*/standby.json; do
    [ -f "$manifest" ] || continue
    printf '%s' "${manifest%/standby.json}" | base64 -w 0
    printf ' '; base64 -w 0 -- "$manifest"; echo
  done
done
"""


@dataclass(frozen=True, slots=True)
class Found:
    """One standby's directory, and its manifest or what is wrong with it."""

    directory: StandbyDirectory
    manifest: Manifest | RepairStore


def find_standbys(host: Host, storages: Sequence[str]) -> tuple[Found, ...]:
    """Return the standbys directly below these directories, by directory."""
    argv = ("sh", "-c", _FIND_MANIFESTS, "standby-find", *sorted(set(storages)))
    text = host.run(argv, timeout=_LOOK_S).text
    found = {it.directory.path: it for it in _parse(text, host.name)}
    return tuple(found[path] for path in sorted(found))


def storages_known_to(connection: libvirt.virConnect) -> tuple[str, ...]:
    """Return the directories in which standbys may lie, as far as libvirt of the host knows."""
    return tuple(sorted({*_of_heads(connection), *_of_pools(connection)}))


def _of_heads(connection: libvirt.virConnect) -> Iterator[str]:
    with libvirt_calls("domains"):
        definitions = [
            domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
        ]
    for definition in definitions:
        yield from heads_named_in(definition)


def heads_named_in(definition: str) -> Iterator[str]:
    """Yield the storage directory of each head that a domain's XML names."""
    root = ElementTree.fromstring(definition)  # noqa: S314 - libvirt's own output
    for source in root.iterfind("./devices/disk/source"):
        image = PurePosixPath(source.get("file", ""))
        if image.parent.name == layout.HEAD and image.suffix == ".qcow2":
            yield str(image.parents[2])


def _of_pools(connection: libvirt.virConnect) -> Iterator[str]:
    with libvirt_calls("storage pools"):
        pools = [pool.XMLDesc() for pool in connection.listAllStoragePools()]
    for pool in pools:
        root = ElementTree.fromstring(pool)  # noqa: S314 - libvirt's own output
        path = root.findtext("./target/path", "")
        if path.startswith("/") and not path.startswith("/dev"):
            yield path


def _parse(text: str, host: str) -> Iterable[Found]:
    for line in text.splitlines():
        path, _, content = line.partition(" ")
        directory = StandbyDirectory(_decoded(path))
        where = f"{directory.manifest} on {host}"
        try:
            yield Found(directory, read_manifest(_decoded(content), where))
        except RepairStore as error:
            yield Found(directory, error)


def _decoded(word: str) -> str:
    return base64.b64decode(word).decode("utf-8", "surrogateescape")
