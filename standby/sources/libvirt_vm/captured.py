"""A disk of a capture, and where it is read."""

from __future__ import annotations

from dataclasses import dataclass

from standby.model.disk import SourceDisk
from standby.model.extent import NbdEndpoint


@dataclass(frozen=True, slots=True)
class CapturedDisk:
    """One disk of a capture. `changes` is the NBD context of its bitmap; None: everything."""

    disk: SourceDisk
    endpoint: NbdEndpoint
    changes: str | None
