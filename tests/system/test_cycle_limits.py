"""What a cycle starts gives way at either end, and no limit changes what a point holds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from support import MIB, Protect, Protection
from support_messages import Stop, StopAt
from support_traces import expect_no_traces

from lab import Lab
from standby.cycle.report import Phase
from standby.model.point import Way

NICE = 7
HOSTS = ("manager", "source", "kvm")
OURS = ("leash", "qemu-storage-daemon", "qemu-img", "ssh -N", "ssh -p", "ControlMaster")
NOT_OURS = ("ps ", "libvirtd", "sshd", "support_server")


@dataclass(frozen=True)
class Process:
    """A process that a host runs for us."""

    number: int
    nice: int
    words: str
    input_output: str


def processes(lab: Lab, host: str) -> list[Process]:
    """Return what runs on a host because of a cycle."""
    found = []
    for line in lab.exec(host, ["ps", "-e", "-ww", "-o", "pid=,ni=,args="]).splitlines():
        number, nice, words = line.split(None, 2)
        if any(it in words for it in OURS) and not words.startswith(NOT_OURS):
            told = lab.run(host, ["ionice", "-p", number])
            if told.returncode == 0:  # it may have ended meanwhile
                found.append(
                    Process(int(number), int(nice), words, told.stdout.split(":")[0].strip())
                )
    return found


@pytest.fixture
def protection(protect: Protect) -> Protection:
    made = protect(32 * MIB)
    made.configure(limits={"nice": NICE, "input_output": "idle"})
    made.write("vda", "write -P 0x11 0 16M")
    return made


def test_all_that_a_cycle_starts_gives_way_on_every_host(protection: Protection) -> None:
    before = {host: {it.number for it in processes(protection.lab, host)} for host in HOSTS}
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.TRANSFER))
        assert manager.reaches()
        found = {host: processes(protection.lab, host) for host in HOSTS}
        manager.go_on()
        now = protection.copy()
        protection.keep(manager.finish(), now)
    # Connections of other tests' managers stay warm beside it.
    seen = {host: [it for it in found[host] if it.number not in before[host]] for host in HOSTS}
    words = [it.words for it in seen["kvm"]]
    assert any("qemu-storage-daemon" in it for it in words), words
    assert any("ControlMaster" in it.words for it in seen["manager"])
    for host, started in seen.items():
        for process in started:
            assert (process.nice, process.input_output) == (NICE, "idle"), (host, process.words)
    protection.expect_exact()
    expect_no_traces(protection)


def test_reading_the_source_slowly_makes_the_same_point(protection: Protection) -> None:
    protection.configure(read_bandwidth="8MiB/s")
    began = time.monotonic()
    report = protection.cycle()
    assert time.monotonic() - began > 1.5  # 16 MiB
    assert report.way is Way.SEED
    protection.write("vda", "write -P 0x22 20M 1M", "write -z 0 1M")
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()
