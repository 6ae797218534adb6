"""Why a capture of a running machine cannot begin, asked of libvirt's own test driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from standby.errors import CommandFailed, Retry
from standby.host.local import LocalHost
from standby.model.machine import PowerState
from standby.sources.libvirt_vm import programs
from standby.sources.libvirt_vm.running import power_state, unprepared

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


_NODE = """
<node xmlns:test="http://libvirt.org/schemas/domain/test/1.0">
  <domain type="test">
    <name>web</name><memory>1024</memory><os><type>hvm</type></os>
    <test:runstate>{state}</test:runstate>
  </domain>
</node>
"""


@pytest.mark.parametrize(
    ("state", "power"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, PowerState.RUNNING),
        (libvirt.VIR_DOMAIN_PAUSED, PowerState.PAUSED),
        (libvirt.VIR_DOMAIN_CRASHED, PowerState.PAUSED),
        (libvirt.VIR_DOMAIN_SHUTOFF, PowerState.OFF),
    ],
)
def test_a_machine_that_crashed_and_is_preserved_still_has_its_images_open(
    tmp_path: Path, state: int, power: PowerState
) -> None:
    """To take it for one that is off would be to wait for ever for a capture of images in use."""
    (tmp_path / "node.xml").write_text(_NODE.format(state=state))
    connection = libvirt.open(f"test://{tmp_path}/node.xml")
    try:
        assert power_state(connection.lookupByName("web")) is power
    finally:
        connection.close()
