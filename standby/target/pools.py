"""libvirt storage pools as places for stores."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree

import libvirt

from standby.errors import UseOtherStorage
from standby.host.libvirt import libvirt_calls

# Pools that are a mounted directory; the others hold volumes that are not files of ours to make.
_DIRECTORIES: Final = frozenset({"dir", "fs", "netfs"})


def pool_directory(connection: libvirt.virConnect, name: str) -> str:
    """Return the directory of a pool. Raises UseOtherStorage when it has none or is not active."""
    with libvirt_calls(f"storage pool {name}"):
        pool = connection.storagePoolLookupByName(name)
        active = bool(pool.isActive())
        root = ElementTree.fromstring(pool.XMLDesc())  # noqa: S314 - libvirt's own output
    kind, path = root.get("type", ""), root.findtext("./target/path", "")
    if kind not in _DIRECTORIES or not path:
        raise UseOtherStorage(
            f"storage pool {name}", f"of type {kind!r}", "a pool of type dir, fs or netfs"
        )
    if not active:
        raise UseOtherStorage(
            f"storage pool {name}", "not active", "an active pool", f"virsh pool-start {name}"
        )
    return path
