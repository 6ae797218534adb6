"""Data over forwarded sockets, and nothing left behind however the manager ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from standby.errors import ReachHost
from standby.host.connections import Connections
from standby.host.interface import Host
from standby.transports.unix_socket import nbd_endpoint
from tests.integration.host_sshd import Sshd, running_sshd, until

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
LIMIT = 25  # seconds: 20, and some for a busy machine


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def host(sshd: Sshd) -> Iterator[Host]:
    with Connections() as connections:
        yield connections.host(sshd.address)


@contextmanager
def echo_server(path: Path) -> Iterator[None]:
    """Send back what arrives on a UNIX socket."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(MIB):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def exchange(path: str, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while chunk := client.recv(MIB):
            answer += chunk
        return bytes(answer)


@pytest.mark.parametrize("name", ["socket", "a b", "a:b", "c\\d", "ü", "%h"])
def test_bytes_go_there_and_back_whatever_the_name(host: Host, tmp_path: Path, name: str) -> None:
    with echo_server(tmp_path / name), host.forward(str(tmp_path / name)) as local:
        assert exchange(local, b"hello") == b"hello"


def test_several_sockets_are_forwarded_side_by_side(host: Host, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for name in "abc":
            stack.enter_context(echo_server(tmp_path / name))
        locals_ = [stack.enter_context(host.forward(str(tmp_path / name))) for name in "abc"]
        assert len(set(locals_)) == 3
        assert [exchange(path, path.encode()) for path in locals_] == [
            path.encode() for path in locals_
        ]


def test_a_forward_is_for_the_manager_s_user_alone_and_gone_afterwards(
    host: Host, tmp_path: Path
) -> None:
    with echo_server(tmp_path / "socket"), host.forward(str(tmp_path / "socket")) as local:
        assert Path(local).stat().st_mode & 0o077 == 0
        assert Path(local).parent.stat().st_mode & 0o777 == 0o700
    assert not Path(local).exists()


def test_nobody_behind_the_socket_is_a_closed_connection(host: Host, tmp_path: Path) -> None:
    with host.forward(str(tmp_path / "nothing")) as local, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(local)
        assert client.recv(1) == b""


def test_nbd_is_carried_whole_and_fast(host: Host, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(MIB) * 64)
    path = tmp_path / "nbd"
    server = ("setpriv", "--pdeathsig", "KILL", "qemu-nbd", "-t", "-r", "-f", "raw", "-x", "disk")
    with subprocess.Popen((*server, "-k", str(path), str(image))) as process:
        try:
            assert until(path.exists)
            with nbd_endpoint(host, str(path), "disk") as endpoint:
                began = time.monotonic()
                uri = f"nbd+unix:///{endpoint.export}?socket={endpoint.socket}"
                subprocess.run(("nbdcopy", uri, str(tmp_path / "copy")), check=True)
                seconds = time.monotonic() - began
        finally:
            process.kill()
    assert (tmp_path / "copy").read_bytes() == image.read_bytes()
    assert 64 / seconds > 25, "MiB/s; a shared machine reaches 200 and more"


def test_when_the_connection_has_died_the_next_forward_makes_a_new_one(
    host: Host, sshd: Sshd, tmp_path: Path
) -> None:
    with echo_server(tmp_path / "socket"):
        with host.forward(str(tmp_path / "socket")) as local:
            for pid in reversed(sshd.sessions()):
                os.kill(pid, signal.SIGKILL)
            assert until(lambda: not _answers(local))
        with host.forward(str(tmp_path / "socket")) as local:
            assert exchange(local, b"again") == b"again"


def _answers(path: str) -> bool:
    try:
        return exchange(path, b"x") == b"x"
    except OSError:
        return False


def test_closing_leaves_no_process_and_no_file(sshd: Sshd, tmp_path: Path) -> None:
    with Connections() as connections:
        host = connections.host(sshd.address)
        with host.forward(str(tmp_path / "socket")) as local:
            assert sshd.sessions()
    assert not Path(local).parent.exists()
    assert until(lambda: not sshd.sessions())


MANAGER = """
import sys, time
from pathlib import Path
from standby.host.address import HostAddress
from standby.host.connections import Connections
from standby.host.leash import leashed

_, destination, identity, known, lock, command_pid = sys.argv
address = HostAddress(
    "kvm", destination, identity_file=identity, known_hosts=known, ssh_config="/dev/null"
)
host = Connections().host(address)
with host.forward("/nonexistent") as local:
    holder = ("flock", "-n", lock, "sh", "-c", "echo locked; exec sleep 1000")
    host.hold(leashed(holder, 30), ready=b"locked", timeout=10)
    print(local, flush=True)
    host.run(("sh", "-c", 'echo $$ > "$1"; exec sleep 1000', "sh", command_pid), timeout=600)
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_manager_that_is_killed_leaves_nothing_running_and_no_lock(
    sshd: Sshd, tmp_path: Path, ending: signal.Signals
) -> None:
    lock, command_pid = tmp_path / "lock", tmp_path / "pid"
    arguments = (sshd.address.destination, sshd.identity, sshd.known_hosts, lock, command_pid)
    manager = subprocess.Popen(
        ("setpriv", "--pdeathsig", "KILL", sys.executable, "-c", MANAGER, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    assert manager.stdout is not None
    local = Path(manager.stdout.readline().decode().strip())
    try:
        assert until(lambda: command_pid.exists() and command_pid.read_text().strip())
        assert subprocess.run(("flock", "-n", lock, "true"), check=False).returncode == 1
    finally:
        manager.send_signal(ending)
        manager.wait()
        manager.stdout.close()
    remote = Path("/proc") / command_pid.read_text().strip()
    assert until(lambda: not remote.exists(), 5)
    assert subprocess.run(("flock", "-w", "5", lock, "true"), check=False).returncode == 0
    assert until(lambda: not sshd.sessions(), 5), "no ssh process is left at either end"
    with Connections():
        assert not local.parent.exists()


@pytest.mark.long
def test_a_connection_that_falls_silent_is_noticed_within_20_seconds(
    host: Host, sshd: Sshd, tmp_path: Path
) -> None:
    held = host.hold(("sh", "-c", "echo ready; cat"), ready=b"ready", timeout=10)
    with host.forward(str(tmp_path / "socket")) as local:
        for pid in sshd.sessions():
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(ReachHost):
            host.run(("true",), timeout=60)
        assert time.monotonic() - began < LIMIT
        assert until(lambda: not held.alive, LIMIT - (time.monotonic() - began))
        assert until(lambda: not _listens(local), LIMIT - (time.monotonic() - began))
    sshd.process.send_signal(signal.SIGCONT)
    assert host.run(("echo", "back"), timeout=10).text == "back\n"


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0
