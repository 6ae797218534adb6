"""A real sshd on the loopback, of the test's own making: keys, configuration, known_hosts."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from standby.host.address import HostAddress

SSHD = Path("/usr/sbin/sshd")
ME = pwd.getpwuid(os.getuid()).pw_name


def until(condition: Callable[[], object], limit: float = 10.0) -> bool:
    """Wait for a condition; tell whether it came true within `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Make a key pair at `path`."""
    bits = ("-b", "2048") if kind == "rsa" else ()
    command = ("ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-f", str(path))
    subprocess.run(command, check=True)
    return path


def public(key: Path) -> str:
    """Return type and key of a key pair, without its comment."""
    return " ".join(key.with_name(f"{key.name}.pub").read_text().split()[:2])


def fingerprint_of(key: Path) -> str:
    """Return what ssh-keygen shows of a key."""
    command = ("ssh-keygen", "-l", "-f", f"{key}.pub")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]


@dataclass
class Sshd:
    """A running sshd. Its users log in with `identity`, know it by `known_hosts`."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    host_keys: list[Path]
    identity: Path
    known_hosts: Path
    log: Path
    address: HostAddress = field(init=False)

    def __post_init__(self) -> None:
        self.address = HostAddress(
            name="kvm",
            destination=f"ssh://{ME}@127.0.0.1:{self.port}",
            identity_file=str(self.identity),
            known_hosts=str(self.known_hosts),
            ssh_config=os.devnull,
            connect_timeout=5,
        )

    def but(self, **changes: object) -> HostAddress:
        """Return its address with some fields changed."""
        return replace(self.address, **changes)  # type: ignore[arg-type]

    def know(self, *keys: Path) -> None:
        """Let known_hosts hold exactly these keys of it."""
        lines = (f"[127.0.0.1]:{self.port} {public(key)}\n" for key in keys)
        self.known_hosts.write_text("".join(lines))

    def sessions(self) -> list[int]:
        """Return the processes that serve its connections, parents first."""
        return descendants(self.process.pid)


def descendants(pid: int) -> list[int]:
    """Return all processes below one, parents first."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [one for child in map(int, children) for one in (child, *descendants(child))]


@contextmanager
def running_sshd(
    directory: Path, kinds: tuple[str, ...] = ("ed25519",), extra: str = ""
) -> Iterator[Sshd]:
    """Run an sshd that dies with the test, however that ends."""
    if not SSHD.exists():
        pytest.skip("needs openssh-server")
    if os.geteuid() == 0:
        # Where sshd, as root, insists on being able to go; made by its service otherwise.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    directory.mkdir(exist_ok=True)
    keys = [make_key(directory / f"host_{kind}", kind) for kind in kinds]
    identity = make_key(directory / "identity")
    (directory / "authorized").write_text(public(identity) + "\n")
    log = directory / "log"
    process, port = _start(directory, keys, extra, log)
    sshd = Sshd(directory, port, process, keys, identity, directory / "known_hosts", log)
    sshd.know(*keys)
    try:
        yield sshd
    finally:
        for pid in (*reversed(sshd.sessions()), process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _start(
    directory: Path, keys: list[Path], extra: str, log: Path
) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(5):
        port = _free_port()
        configuration = directory / "sshd_config"
        configuration.write_text(_configuration(directory, port, keys, extra))
        # setpriv: no test, not even a killed one, leaves an sshd behind.
        command = ("setpriv", "--pdeathsig", "KILL", str(SSHD), "-D", "-e", "-f", configuration)
        with log.open("wb") as output:
            process = subprocess.Popen(command, stderr=output, stdin=subprocess.DEVNULL)
        if until(lambda: process.poll() is not None or _answers(port)) and process.poll() is None:  # noqa: B023
            return process, port
        process.kill()
        process.wait()
    raise AssertionError(log.read_text())


def _configuration(directory: Path, port: int, keys: list[Path], extra: str) -> str:
    # SHLVL: bash reads ~/.bashrc, which is none of a test's business, only at the first level.
    return "\n".join(
        (
            f"Port {port}",
            "ListenAddress 127.0.0.1",
            *(f"HostKey {key}" for key in keys),
            f"AuthorizedKeysFile {directory}/authorized",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "SetEnv SHLVL=2",
            extra,
            "",
        )
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
