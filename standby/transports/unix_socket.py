"""NBD on a UNIX socket of a host: as it is when the host is the manager, else forwarded by SSH."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from standby.host.interface import Host
from standby.model.extent import NbdEndpoint


@contextmanager
def nbd_endpoint(host: Host, socket: str, export: str) -> Generator[NbdEndpoint]:
    """Yield the endpoint at which the export of a server on `host` can be reached from here.

    Nothing is connected yet: a socket that nobody listens on is found out by the NBD client.
    Raise ReachHost, GrantAccess, AcceptHostKey.
    """
    with host.forward(socket) as local:
        yield NbdEndpoint(local, export)
