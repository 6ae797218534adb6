"""How much of a host work may take."""

from __future__ import annotations

from enum import Enum


class Priority(Enum):
    """How work competes with whatever else a host has to do."""

    NORMAL = "as any program"
    LOW = "with what others leave of processors and disks"
