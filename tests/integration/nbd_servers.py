"""Real images and real NBD servers for the tests of the copy engine.

Every server is a child that the kernel kills when the test run dies.
"""

from __future__ import annotations

import select
import signal
import socket as socket_module
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbd

from standby.model.extent import NbdEndpoint

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
_START_LIMIT = 20.0


def run(*argv: str | Path) -> str:
    """Run a program that must succeed."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def wait_until(reached: Callable[[], bool], limit: float = _START_LIMIT) -> None:
    """Look every 10 ms, at most `limit` seconds."""
    deadline = time.monotonic() + limit
    while not reached():
        assert time.monotonic() < deadline, "waited too long"
        select.select([], [], [], 0.01)


def create(
    path: Path, size: int, *, form: str = "qcow2", backing: Path | None = None, options: str = ""
) -> Path:
    argv: list[str | Path] = ["qemu-img", "create", "-q", "-f", form]
    if options:
        argv += ["-o", options]
    if backing is not None:
        argv += ["-b", backing, "-F", "qcow2"]
    run(*argv, path, str(size))
    return path


def qemu_io(path: Path, *commands: str, form: str = "qcow2") -> None:
    """Write through QEMU's block layer, so that persistent bitmaps see it."""
    options: list[str] = []
    for command in commands:
        options += ["-c", command]
    out = run("qemu-io", "-f", form, "-d", "unmap", *options, path)
    assert "failed" not in out, out


def add_bitmap(path: Path, name: str, granularity: int = 0) -> None:
    options = ["-g", str(granularity)] if granularity else []
    run("qemu-img", "bitmap", "--add", *options, path, name)


def content(path: Path, form: str = "qcow2") -> bytes:
    """Return all that a guest would read from the image and what lies below it."""
    flat = path.with_suffix(".flat")
    run("qemu-img", "convert", "-f", form, "-O", "raw", path, flat)
    data = flat.read_bytes()
    flat.unlink()
    return data


@dataclass(frozen=True)
class Server:
    """A running NBD server. `process` may be stopped or killed by the test."""

    process: subprocess.Popen[bytes]
    endpoint: NbdEndpoint

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def serving(argv: Sequence[str | Path], socket: Path, export: str = "") -> Iterator[Server]:
    """Run a server until the block ends; it listens on `socket`."""
    socket.unlink(missing_ok=True)
    child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *(str(a) for a in argv)])
    try:
        wait_until(lambda: _listens(socket) or child.poll() is not None)
        assert child.poll() is None, f"{argv} did not start"
        yield Server(child, NbdEndpoint(str(socket), export))
    finally:
        child.kill()
        child.wait(10)
        socket.unlink(missing_ok=True)


def _listens(path: Path) -> bool:
    """Tell whether somebody listens: a moment before, the socket is there and refuses."""
    with socket_module.socket(socket_module.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


@contextmanager
def qemu_nbd(
    path: Path,
    *,
    form: str = "qcow2",
    writable: bool = False,
    bitmap: str | None = None,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """Serve an image with qemu-nbd, the default cache mode and many clients."""
    socket = path.with_suffix(path.suffix + ".sock")
    argv: list[str | Path] = ["qemu-nbd", "-t", "-e", "32", "-f", form, "-k", socket]
    argv += [] if writable else ["-r"]
    argv += ["-B", bitmap] if bitmap is not None else []
    with serving([*argv, *options, path], socket) as server:
        yield server


@contextmanager
def nbdkit(socket: Path, *argv: str | Path) -> Iterator[Server]:
    """Serve something made up, or with faults, by nbdkit."""
    with serving(["nbdkit", "-f", "-U", socket, *argv], socket) as server:
        yield server


@contextmanager
def storage_daemon(
    path: Path, *, writable: bool = False, bitmaps: Sequence[str] = ()
) -> Iterator[Server]:
    """Serve an image as the KVM host does."""
    socket = path.with_suffix(path.suffix + ".sock")
    export = f"nbd,id=e,node-name=disk,name=vda,writable={'on' if writable else 'off'}"
    export += "".join(f",bitmaps.{i}={name}" for i, name in enumerate(bitmaps))
    disk = f"qcow2,node-name=disk,file.driver=file,file.filename={path},discard=unmap"
    disk += f",read-only={'off' if writable else 'on'}"
    listen = f"addr.type=unix,addr.path={socket}"
    argv = ["qemu-storage-daemon", "--blockdev", disk, "--nbd-server", listen, "--export", export]
    with serving(argv, socket, "vda") as server:
        wait_until(lambda: _answers(server.endpoint))
        yield server


def _answers(endpoint: NbdEndpoint) -> bool:
    """Tell whether the export is there: the socket is, before it."""
    handle = nbd.NBD()
    handle.set_export_name(endpoint.export)
    try:
        handle.connect_unix(endpoint.socket)
    except nbd.Error:
        return False
    handle.shutdown()
    return True


def open_files() -> list[str]:
    """List what this process has open, to see that nothing is left."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except FileNotFoundError:  # the listing's own
            continue
    return sorted(found)
