"""Only the process that is meant is ever asked to end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from standby.errors import TryLater
from standby.host.processes import ProcessIdentity, ask_to_end, this_process

Running = tuple[subprocess.Popen[str], ProcessIdentity]

_PROGRAM = """
import sys
from standby.host.processes import this_process
held = open(sys.argv[1])
print(*this_process().__getstate__(), sep="|", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path: Path) -> Path:
    file = tmp_path / "held"
    file.touch()
    return file


@pytest.fixture
def running(held: Path) -> Iterator[Running]:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(held)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid, started, boot, namespace = process.stdout.readline().strip().split("|")
        yield process, ProcessIdentity(int(pid), int(started), boot, int(namespace))
        process.kill()


def test_a_process_is_asked_to_end_by_what_it_said_of_itself(running: Running, held: Path) -> None:
    process, identity = running
    ask_to_end(identity, held, "run 1")
    assert process.wait(20) == -signal.SIGTERM


@pytest.mark.parametrize("other", ["start", "boot", "namespace"])
def test_another_process_of_the_same_number_is_left_alone(
    running: Running, held: Path, other: str
) -> None:
    process, identity = running
    foreign = {
        "start": replace(identity, started=identity.started - 1),
        "boot": replace(identity, boot="another"),
        "namespace": replace(identity, namespace=1),
    }
    with pytest.raises(TryLater):
        ask_to_end(foreign[other], held, "run 1")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)


def test_one_that_does_not_hold_what_it_should_is_left_alone(
    running: Running, tmp_path: Path
) -> None:
    process, identity = running
    (tmp_path / "another").touch()
    with pytest.raises(TryLater):
        ask_to_end(identity, tmp_path / "another", "run 1")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)


def test_one_that_has_ended_is_said_to(running: Running, held: Path) -> None:
    process, identity = running
    process.kill()
    process.wait(20)
    with pytest.raises(TryLater, match="has ended"):
        ask_to_end(identity, held, "run 1")


def test_we_are_one_process() -> None:
    assert this_process() == this_process()
