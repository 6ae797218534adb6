"""The guard of a capture, which ends it when nobody else can; virsh is a stand-in that takes notes.

Its own streams are pipes, as those of a command that a manager or sshd has started.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from standby.host.leash import plain
from standby.sources.libvirt_vm import programs
from tests.integration.host_sshd import until

SOCKET = "/var/lib/libvirt/qemu/domain-1-web/standby-0123abcd-4567.sock"
_VIRSH = """#!/bin/sh
[ ! -e "$(dirname "$0")/down" ] || { echo "error: failed to connect" >&2; exit 1; }
case "$*" in
  *backup-dumpxml*) cat "$(dirname "$0")/job";;
  *domjobabort*) : > "$(dirname "$0")/aborted";;
esac
"""


@dataclass
class Guard:
    """A guard that watches, and the host around it."""

    process: subprocess.Popen[bytes]
    directory: Path

    def lose_manager(self) -> None:
        """Let go of all its streams at once, as a manager that is killed does."""
        streams = (self.process.stderr, self.process.stdout, self.process.stdin)
        for stream in streams:
            assert stream is not None
            stream.close()

    def has_ended_the_job(self) -> bool:
        """Tell whether libvirt was asked to."""
        return (self.directory / "aborted").exists()


Watch = Callable[..., Guard]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Begin to watch over a capture, whose scratch files are to leave so many bytes free."""
    (tmp_path / "virsh").write_text(_VIRSH)
    (tmp_path / "virsh").chmod(0o755)
    (tmp_path / "job").write_text(f"<server transport='unix' socket='{SOCKET}'/>")
    guards: list[Guard] = []

    def watch(reserve: int = 1) -> Guard:
        words = ("web's UUID", SOCKET, str(tmp_path), str(reserve))
        process = subprocess.Popen(
            plain(("bash", "-c", programs.GUARD_CAPTURE, "standby-guard", *words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        )
        guards.append(Guard(process, tmp_path))
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return guards[-1]

    yield watch
    for guard in guards:
        guard.process.kill()
        guard.process.wait()


def test_a_manager_that_dies_takes_its_capture_along(watch: Watch) -> None:
    guard = watch()
    guard.lose_manager()
    assert until(guard.has_ended_the_job)
    assert guard.process.wait(10) == programs.STATUS_LOW_SPACE


def test_the_job_of_somebody_else_is_left_alone(watch: Watch) -> None:
    guard = watch()
    (guard.directory / "job").write_text("<server transport='unix' socket='/run/theirs.sock'/>")
    guard.lose_manager()
    assert guard.process.wait(10) == programs.STATUS_LOW_SPACE
    assert not guard.has_ended_the_job()


def test_a_capture_that_is_over_is_left_alone(watch: Watch) -> None:
    guard = watch()
    guard.process.communicate(b"over\n", timeout=10)
    assert guard.process.returncode == 0
    assert not guard.has_ended_the_job()


def test_little_space_ends_the_capture_as_soon_as_libvirt_answers(watch: Watch) -> None:
    down = watch().directory / "down"
    down.touch()
    guard = watch(reserve=1 << 60)
    assert guard.process.stderr is not None
    assert b"bytes free" in guard.process.stderr.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        guard.process.wait(1)
    down.unlink()
    assert until(guard.has_ended_the_job)
    assert guard.process.wait(10) == programs.STATUS_LOW_SPACE
