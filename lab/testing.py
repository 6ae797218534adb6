"""Types of the fixtures that tests on the lab use."""

from typing import Protocol

from lab.blockguest import BlockGuest
from lab.linuxguest import LinuxGuest


class BlockGuestMaker(Protocol):
    """Makes a running guest without a system; one disk for each size in bytes."""

    def __call__(
        self, *sizes: int, kinds: tuple[str, ...] = ("qcow2",), host: str = "source"
    ) -> BlockGuest:
        """Without sizes there is one disk of 64 MiB; `kinds` repeats its last."""


class LinuxGuestMaker(Protocol):
    """Makes a real Linux guest, started, whose agent answers."""

    def __call__(
        self, *, machine: str = "q35", extra_disks: tuple[int, ...] = (), host: str = "source"
    ) -> LinuxGuest:
        """`extra_disks` are the sizes in bytes of further, empty disks."""
