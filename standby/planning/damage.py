"""How damage is told."""

from __future__ import annotations

from standby.model.amount import readable
from standby.model.point import BootPoint


def damage(point: BootPoint) -> str:
    """Say for people how much of which disks of a point is spoilt."""
    return ", ".join(f"{readable(it.bytes)} of {it.disk}" for it in point.spoilt)
