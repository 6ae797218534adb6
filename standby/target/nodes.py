"""Images as the storage daemon opens them: QEMU's block nodes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Access(Enum):
    """What a node is opened for."""

    READ = "read"
    WRITE = "write"


class Caching(Enum):
    """Whether the host's page cache stands between QEMU and the file.

    Past it, what is copied does not wait in memory until the flush at the end, does not drive
    out what the machines of that host have there, and what is read is what the storage holds.
    Where a file system cannot do that, the storage daemon goes through the cache.
    """

    PAGES = "through the page cache"
    NONE = "past the page cache"


def image_node(
    name: str, path: str, access: Access = Access.WRITE, caching: Caching = Caching.PAGES
) -> Mapping[str, object]:
    """Describe a qcow2 file; QEMU finds those that it stands on by their headers, read-only."""
    cache = {"cache": {"direct": True}} if caching is Caching.NONE else {}
    return {
        "driver": "qcow2",
        "node-name": name,
        "read-only": access is Access.READ,
        "file": {"driver": "file", "filename": path, **cache},
        **cache,
    }
