"""Hosts over a real network with real libvirt: one connection for all, lost links noticed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab

CHECKOUT = Path(__file__).parents[2]
NOTICED_WITHIN = 30  # seconds: 20, and some for a busy machine

PROLOGUE = """
import sys, time
sys.path.insert(0, {checkout!r})
from standby.errors import ReachHost
from standby.host.address import HostAddress
from standby.host.connections import Connections
from standby.host.libvirt import libvirt_calls
connections = Connections()
host = connections.host(HostAddress("kvm", {destination!r}))
def say(*words):
    print(*words, flush=True)
"""


def program(text: str, destination: str) -> list[str]:
    prologue = PROLOGUE.format(checkout=str(CHECKOUT), destination=destination)
    return [sys.executable, "-c", prologue + text]


HELD = """held = host.hold(("cat",), ready=b"", timeout=5)
    while held.alive:
        time.sleep(0.1)
    raise ReachHost("kvm", "held command lost")
"""


@pytest.fixture
def restored(lab: Lab) -> Iterator[Lab]:
    yield lab
    lab.restore("kvm")


@pytest.mark.parametrize("user", ["root", "standby"])
def test_libvirt_answers_through_the_forwarded_socket(lab: Lab, user: str) -> None:
    text = "say(host.libvirt().getHostname()); connections.close()"
    said = lab.exec("manager", program(text, f"{user}@kvm"), limit=60)
    assert said.strip() == "kvm"


def test_libvirt_is_reached_again_after_its_daemon_was_restarted(lab: Lab) -> None:
    text = """
first = host.libvirt()
say("connected")
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    try:
        if host.libvirt() is not first:
            break
    except ReachHost:
        pass
    time.sleep(0.1)
say(host.libvirt().getHostname(), host.libvirt() is not first)
"""
    with lab.popen("manager", program(text, "root@kvm")) as manager:
        assert manager.stdout is not None
        assert manager.stdout.readline().strip() == "connected"
        lab.restart_service("kvm", "libvirtd")
        assert manager.stdout.readline().strip() == "kvm True"


@pytest.mark.long
@pytest.mark.parametrize(
    "call",
    [
        'host.run(("sleep", "60"), timeout=90)',
        'with libvirt_calls("kvm"):\n        while True: host.libvirt().getHostname()',
        HELD,
    ],
    ids=["command", "libvirt", "held"],
)
def test_a_cut_link_is_noticed_in_time(restored: Lab, call: str) -> None:
    text = f"""
host.run(("true",), timeout=10)
host.libvirt()
say("connected")
try:
    {call}
except ReachHost as error:
    say("lost", error)
"""
    with restored.popen("manager", program(text, "root@kvm")) as manager:
        assert manager.stdout is not None
        assert manager.stdout.readline().strip() == "connected"
        restored.cut("kvm")
        began = time.monotonic()
        assert manager.stdout.readline().startswith("lost")
        assert time.monotonic() - began < NOTICED_WITHIN
        restored.restore("kvm")
