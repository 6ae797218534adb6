"""QMP against a real storage daemon: values, typed refusals, jobs, and lost connections."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from standby.errors import CommandTimedOut, ReachHost
from standby.host.qmp import QmpRefused, QmpSession
from tests.integration.host_sshd import until


def listens(path: Path) -> bool:
    """Tell whether connections are taken: the socket is there a moment earlier."""
    sockets = Path("/proc/net/unix").read_text().splitlines()
    return any(line.endswith(f" {path}") and line.split()[3] == "00010000" for line in sockets)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    path = tmp_path / "qmp"
    command = (
        *("setpriv", "--pdeathsig", "KILL", "qemu-storage-daemon"),
        *("--chardev", f"socket,id=qmp,path={path},server=on,wait=off"),
        *("--monitor", "chardev=qmp"),
    )
    with subprocess.Popen(command) as process:
        try:
            assert until(lambda: listens(path))
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


@pytest.fixture
def session(daemon: subprocess.Popen[bytes], tmp_path: Path) -> Iterator[QmpSession]:
    assert daemon.poll() is None
    with QmpSession.connect(str(tmp_path / "qmp"), timeout=5, subject="kvm: daemon") as connected:
        yield connected


def test_a_command_returns_its_value(session: QmpSession) -> None:
    assert session.execute("query-version")["qemu"]["major"] >= 7
    assert session.execute("query-jobs") == []


def test_arguments_arrive_and_what_they_make_is_there(session: QmpSession) -> None:
    node = {"driver": "null-co", "node-name": "n", "size": 1 << 20, "read-zeroes": True}
    assert session.execute("blockdev-add", node) == {}
    nodes = session.execute("query-named-block-nodes")
    assert [one["node-name"] for one in nodes] == ["n"]


def test_a_refusal_carries_class_and_description(session: QmpSession) -> None:
    with pytest.raises(QmpRefused) as caught:
        session.execute("no-such-command")
    assert caught.value.error_class == "CommandNotFound"
    assert caught.value.argv == ("no-such-command",)
    assert "no-such-command" in caught.value.stderr
    assert "kvm: daemon" in str(caught.value)
    with pytest.raises(QmpRefused, match="nothing") as other:
        session.execute("blockdev-del", {"node-name": "nothing"})
    assert other.value.error_class == "GenericError"


def make_image(path: Path, size: int) -> None:
    subprocess.run(("qemu-img", "create", "-q", "-f", "qcow2", path, str(size)), check=True)


def test_events_and_polling_follow_a_job_to_its_end(session: QmpSession, tmp_path: Path) -> None:
    job = {"driver": "file", "filename": str(tmp_path / "raw"), "size": 1 << 20}
    session.execute("blockdev-create", {"job-id": "make", "options": job})

    def concluded() -> dict[str, str] | None:
        found: dict[str, str] = session.execute("query-jobs")[0]
        return found if found["status"] == "concluded" else None

    event = session.wait_event({"JOB_STATUS_CHANGE"}, timeout=5)
    assert (event["data"]["id"], event["data"]["status"]) == ("make", "created")
    ended = session.poll(concluded, ("JOB_STATUS_CHANGE",), timeout=10, what="end of the job")
    assert ended["id"] == "make"


def test_an_event_that_does_not_come_is_waited_for_only_so_long(session: QmpSession) -> None:
    began = time.monotonic()
    with pytest.raises(CommandTimedOut, match="BLOCK_JOB_READY"):
        session.wait_event({"BLOCK_JOB_READY"}, timeout=0.3)
    assert time.monotonic() - began < 3
    assert session.execute("query-jobs") == []


def test_what_is_polled_for_in_vain_is_named(session: QmpSession) -> None:
    with pytest.raises(CommandTimedOut, match="miracle"):
        session.poll(lambda: None, ("JOB_STATUS_CHANGE",), timeout=0.2, what="miracle")


def test_a_daemon_that_hangs_is_given_up(
    session: QmpSession, daemon: subprocess.Popen[bytes]
) -> None:
    daemon.send_signal(signal.SIGSTOP)
    with pytest.raises(CommandTimedOut):
        session.execute("query-jobs", timeout=0.3)


def test_a_killed_daemon_is_a_lost_connection_for_commands_and_events(
    session: QmpSession, daemon: subprocess.Popen[bytes]
) -> None:
    threading.Timer(0.3, daemon.kill).start()
    with pytest.raises(ReachHost):
        session.wait_event({"BLOCK_JOB_READY"}, timeout=20)
    with pytest.raises(ReachHost):
        session.execute("query-jobs")
    with pytest.raises(ReachHost):
        session.wait_event({"BLOCK_JOB_READY"}, timeout=20)
    session.close()


def test_a_command_cut_short_by_death_is_a_lost_connection(
    session: QmpSession, daemon: subprocess.Popen[bytes]
) -> None:
    daemon.send_signal(signal.SIGSTOP)
    threading.Timer(0.3, daemon.kill).start()
    with pytest.raises(ReachHost):
        session.execute("query-jobs", timeout=20)


def test_quitting_the_daemon_is_answered(
    session: QmpSession, daemon: subprocess.Popen[bytes]
) -> None:
    session.execute("quit")
    assert daemon.wait(10) == 0


def test_nobody_at_the_socket_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(ReachHost):
        QmpSession.connect(str(tmp_path / "nothing"), timeout=1)


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "mute"))
        server.listen()
        began = time.monotonic()
        with pytest.raises(ReachHost):
            QmpSession.connect(str(tmp_path / "mute"), timeout=0.5)
        assert time.monotonic() - began < 5


def test_sessions_of_several_threads_do_not_disturb_each_other(
    session: QmpSession, tmp_path: Path
) -> None:
    answers: list[object] = []
    workers = [
        threading.Thread(target=lambda: answers.append(session.execute("query-jobs")))
        for _ in range(20)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert answers == [[]] * 20
    assert os.path.lexists(tmp_path / "qmp")
