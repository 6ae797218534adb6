"""Fixtures of the tests that need the two-host lab.

The lab of a session is tied to the test process: however that ends, the lab's processes end,
and the next session clears what is left of its files.
"""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

pytest.register_assert_rewrite("support", "support_cli", "support_traces")

from support import Protect, Protection
from support_cli import CommandLine
from support_manager import ManagerHost

from lab import BlockGuest, Lab, LinuxGuest
from lab.layout import HostName
from lab.testing import BlockGuestMaker, LinuxGuestMaker

MIB = 1 << 20
STORAGE_BYTES = 4 << 30
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test below this directory."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A running lab that all tests of the session share: leave its hosts as they were found."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    built = Lab(f"t{os.getpid()}")
    built.up(storage_bytes=STORAGE_BYTES, with_parent=os.getpid())
    yield built
    built.down()


@pytest.fixture
def make_block_guest(lab: Lab) -> Iterator[BlockGuestMaker]:
    """Make guests without a system, each with a name of its own; undefined after the test."""
    made: list[BlockGuest] = []

    def make(*sizes: int, kinds: tuple[str, ...] = ("qcow2",), host: str = "source") -> BlockGuest:
        name = f"block{next(_numbers)}"
        guest = lab.block_guest(name, *(sizes or (64 * MIB,)), kinds=kinds, host=host)
        made.append(guest)
        guest.start()
        return guest

    yield make
    for guest in made:
        guest.undefine()


@pytest.fixture
def block_guest(make_block_guest: BlockGuestMaker) -> BlockGuest:
    """A running guest without a system, on `source`, with one qcow2 disk of 64 MiB."""
    return make_block_guest(64 * MIB)


@pytest.fixture
def make_linux_guest(lab: Lab) -> Iterator[LinuxGuestMaker]:
    """Make real Linux guests that answer, each with a name of its own; undefined after the test.

    A start takes about ten seconds: mark tests that use this as long.
    """
    made: list[LinuxGuest] = []

    def make(
        *, machine: str = "q35", extra_disks: tuple[int, ...] = (), host: str = "source"
    ) -> LinuxGuest:
        name = f"linux{next(_numbers)}"
        guest = lab.define_guest(name, host=host, machine=machine, extra_disks=extra_disks)
        made.append(guest)
        guest.start()
        guest.wait_for_agent()
        return guest

    yield make
    for guest in made:
        guest.undefine()


@pytest.fixture
def linux_guest(make_linux_guest: LinuxGuestMaker) -> LinuxGuest:
    """A real Linux guest on `source` whose agent answers."""
    return make_linux_guest()


@pytest.fixture(scope="session")
def managers(lab: Lab) -> Iterator[ManagerHost]:
    """Managers on the lab's manager host; their configuration knows both hypervisors."""
    host = ManagerHost(lab)
    yield host
    host.close()


@pytest.fixture
def cli(managers: ManagerHost) -> CommandLine:
    """The command line on the manager, with the configuration that `protect` writes to."""
    return CommandLine(managers, managers.root)


class Protector:
    """Protects guests, and knows what to remove afterwards."""

    def __init__(self, managers: ManagerHost, make: BlockGuestMaker, copies: Path) -> None:
        self._managers = managers
        self._make = make
        self._copies = copies
        self.made: list[Protection] = []

    def __call__(
        self, *sizes: int, kinds: tuple[str, ...] = ("qcow2",), limit: int = 22
    ) -> Protection:
        return self._protect(self._make(*sizes, kinds=kinds), "", limit)

    def beside(self, other: Protection, *, limit: int = 22) -> Protection:
        return self._protect(other.guest, f"{other.name}-second", limit)

    def other_way(self, *sizes: int) -> Protection:
        guest = self._make(*sizes, host=HostName.KVM)
        return self._protect(guest, "", 22, HostName.SOURCE)

    def _protect(
        self, guest: BlockGuest, name: str, limit: int, keeper: HostName = HostName.KVM
    ) -> Protection:
        protection = Protection(self._managers, guest, self._copies, name, keeper)
        self.made.append(protection)
        protection.configure(limit=limit)
        return protection


@pytest.fixture
def protect(
    managers: ManagerHost, make_block_guest: BlockGuestMaker, tmp_path: Path
) -> Iterator[Protect]:
    """Protect new guests without a system; guests, standbys and profiles go after the test."""
    protector = Protector(managers, make_block_guest, tmp_path)
    yield protector
    for protection in protector.made:
        protection.remove()
