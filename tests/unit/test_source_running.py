"""Why a capture of a running machine cannot begin, asked of libvirt's own test driver."""

from __future__ import annotations

from collections.abc import Iterator

import libvirt
import pytest

from standby.errors import CommandFailed, Retry
from standby.host.local import LocalHost
from standby.sources.libvirt_vm import programs
from standby.sources.libvirt_vm.running import unprepared

NO_DIRECTORY = CommandFailed("source", "no directory", status=programs.NO_DIRECTORY)


@pytest.fixture
def domain() -> Iterator[libvirt.virDomain]:
    connection = libvirt.open("test:///default")
    yield connection.lookupByName("test")
    connection.close()


def test_a_machine_that_was_just_shut_off_is_tried_again(domain: libvirt.virDomain) -> None:
    domain.destroy()
    assert unprepared(NO_DIRECTORY, LocalHost(), domain).retry is Retry.LATER


def test_a_directory_that_may_not_be_seen_is_for_a_person_to_mend(
    domain: libvirt.virDomain,
) -> None:
    assert unprepared(NO_DIRECTORY, LocalHost(), domain).retry is Retry.NEVER
