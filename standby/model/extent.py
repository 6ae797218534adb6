"""Ranges of a disk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ExtentKind(Enum):
    """What a range of the source holds."""

    DATA = "data"
    ZERO = "zero"  # reads as zeroes, whether allocated or not


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of a disk, in bytes."""

    start: int
    length: int
    kind: ExtentKind

    @property
    def end(self) -> int:
        """First byte after the range."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class NbdEndpoint:
    """A disk reachable by NBD on a UNIX socket of this machine."""

    socket: str
    export: str
