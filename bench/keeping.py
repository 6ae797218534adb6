"""A pair of image and table, served as on the KVM host: by the product's own storage daemon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from standby.host.local import LocalHost
from standby.host.storage_daemon import DaemonSettings, Export, storage_daemon
from standby.target.nodes import Access, Caching, image_node
from tests.integration.digest_chain import Ends, Pair


@contextmanager
def kept(pair: Pair, access: Access = Access.WRITE) -> Iterator[Ends]:
    """Serve both files until the block ends: the image past the page cache, where that can be."""
    names = ("image", "table")
    settings = DaemonSettings(
        str(pair.image.with_suffix(".pid")),
        (
            image_node("image", str(pair.image), access, Caching.NONE),
            image_node("table", str(pair.table), access),
        ),
        tuple(Export(name, name, access is Access.WRITE) for name in names),
    )
    with (
        storage_daemon(LocalHost("bench"), settings) as daemon,
        daemon.endpoints(names) as (image, table),
    ):
        yield Ends(image, table)
