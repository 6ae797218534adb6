"""Guests with a real Linux: spoken to through their guest agent."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lab import acceleration, guest
from lab.domains import DiskSpec, DomainSpec, render, target_name
from lab.errors import CommandFailed, LabError, TimedOut
from lab.layout import STORAGE, HostName
from lab.waiting import wait_until

if TYPE_CHECKING:
    from lab.lab import Lab

ANSWER_LIMIT = 90.0
"""Seconds; on an idle machine a guest answers in less than 15 under software emulation."""
_COMMAND_LIMIT = 60.0
_CHUNK = 48 << 10
"""Bytes per guest-file-write: libvirt bounds the length of one agent command."""


@dataclass(frozen=True, slots=True)
class LinuxGuest:
    """A domain that runs a Linux with a guest agent: the lab's own, or a standby of it.

    Any domain of a host can be used through this by its name.
    """

    lab: "Lab"
    host: HostName
    name: str

    def start(self) -> None:
        """Switch it on; returns before its system runs."""
        self.lab.virsh(self.host, "start", self.name)

    def destroy(self) -> None:
        """Switch it off at once."""
        self.lab.virsh(self.host, "destroy", self.name)

    def state(self) -> str:
        """Return libvirt's word: running, paused, shut off."""
        return self.lab.virsh(self.host, "domstate", self.name).strip()

    def shut_down(self, limit: float = _COMMAND_LIMIT) -> None:
        """Let its system end, within `limit` seconds."""
        self.lab.virsh(self.host, "shutdown", self.name, "--mode", "agent")
        wait_until(lambda: self.state() == "shut off", f"end of {self.name}", limit, 0.2)

    def wait_for_agent(self, limit: float = ANSWER_LIMIT) -> float:
        """Wait until the guest agent answers; return the seconds that took.

        Raises TimedOut after `limit` seconds, LabError when the domain does not run.
        """
        begin = time.monotonic()
        wait_until(self._answers, f"answer of the agent in {self.name}", limit, 0.2)
        return time.monotonic() - begin

    def agent(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - the agent's JSON
        """Send one command of the guest agent's protocol and return what it answers."""
        request = json.dumps({"execute": command, "arguments": arguments})
        argv = ("qemu-agent-command", self.name, "--timeout", "20", request)
        return json.loads(self.lab.virsh(self.host, *argv))["return"]

    def run(
        self, argv: Sequence[str], *, limit: float = _COMMAND_LIMIT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the guest to its end, whatever its status."""
        program, *arguments = argv
        begun = self.agent("guest-exec", path=program, arg=arguments, **{"capture-output": True})
        deadline = time.monotonic() + limit
        while not (status := self.agent("guest-exec-status", pid=begun["pid"]))["exited"]:
            if time.monotonic() > deadline:
                raise TimedOut(f"{self.name}: {' '.join(argv)}", limit)
            time.sleep(0.05)
        out, err = (_decode(status.get(key, "")) for key in ("out-data", "err-data"))
        code = status["exitcode"] if "exitcode" in status else -int(status.get("signal", 1))
        return subprocess.CompletedProcess(list(argv), code, out, err)

    def exec(self, *argv: str, limit: float = _COMMAND_LIMIT) -> str:
        """Run a command inside the guest and return its output; raises CommandFailed."""
        result = self.run(argv, limit=limit)
        if result.returncode != 0:
            raise CommandFailed(tuple(argv), result.returncode, result.stderr + result.stdout)
        return result.stdout

    def write_file(self, path: str, content: bytes) -> None:
        """Write a file inside the guest, down to its disk."""
        with self._opened(path, "w") as handle:
            for begin in range(0, len(content), _CHUNK):
                data = base64.b64encode(content[begin : begin + _CHUNK]).decode()
                self.agent("guest-file-write", handle=handle, **{"buf-b64": data})
        self.sync()

    def read_file(self, path: str) -> bytes:
        """Return the content of a file inside the guest."""
        content = bytearray()
        with self._opened(path, "r") as handle:
            while True:
                part = self.agent("guest-file-read", handle=handle, count=_CHUNK)
                content += base64.b64decode(part["buf-b64"])
                if part["eof"]:
                    return bytes(content)

    def sync(self) -> None:
        """Bring everything the guest wrote to its disk."""
        self.exec("/bin/sync")

    def files(self, directory: str) -> dict[str, str]:
        """Return the SHA-256 of every file below a directory, by path relative to it."""
        find = f"exec find {directory} -type f -exec sha256sum {{}} +"
        if not PurePosixPath(directory).is_absolute() or " " in directory:
            raise LabError(f"an absolute path without spaces was expected, not {directory!r}")
        pairs = (line.split("  ", 1) for line in self.exec("/bin/sh", "-c", find).splitlines())
        return {str(PurePosixPath(path).relative_to(directory)): digest for digest, path in pairs}

    def address(self) -> str:
        """Return its IPv4 address on the lab's network; waits for DHCP."""
        wait_until(lambda: bool(self._addresses()), f"address of {self.name}", 30, 0.3)
        return self._addresses()[0]

    def undefine(self) -> None:
        """Remove the domain, switched off first, and the files of its disks."""
        if self.state() != "shut off":
            self.destroy()
        files = [line.split()[-1] for line in self._block_list() if line.split()[-1] != "-"]
        self.lab.virsh(self.host, "undefine", self.name, "--checkpoints-metadata", "--nvram")
        self.lab.exec(self.host, ["rm", "-f", *files])

    def _answers(self) -> bool:
        if self.state() != "running":
            raise LabError(f"{self.name} does not run: {self.state()}")
        try:
            self.agent("guest-ping")
        except CommandFailed:
            return False
        return True

    def _addresses(self) -> list[str]:
        ports = self.agent("guest-network-get-interfaces")
        found = [address for port in ports for address in port.get("ip-addresses", [])]
        return [
            address["ip-address"]
            for address in found
            if address["ip-address-type"] == "ipv4" and not address["ip-address"].startswith("127.")
        ]

    def _block_list(self) -> list[str]:
        lines = self.lab.virsh(self.host, "domblklist", self.name).splitlines()
        return [line for line in lines if line.strip()]

    @contextmanager
    def _opened(self, path: str, mode: str) -> Iterator[int]:
        handle = int(self.agent("guest-file-open", path=path, mode=mode))
        try:
            yield handle
        finally:
            self.agent("guest-file-close", handle=handle)


def define(
    lab: "Lab",
    host: HostName,
    name: str,
    *,
    machine: str = "q35",
    memory_mib: int = 256,
    extra_disks: tuple[int, ...] = (),
) -> LinuxGuest:
    """Define the lab's Linux with a disk of its own on the host's storage; not started.

    `extra_disks` are the sizes in bytes of further, empty disks.
    """
    disks = [_system_disk(lab, host, name)]
    for index, size in enumerate(extra_disks, start=1):
        path = STORAGE[host] / f"{name}-{target_name(index)}.qcow2"
        lab.exec(host, ["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(size)])
        disks.append(DiskSpec(path))
    spec = DomainSpec(
        name,
        disks,
        memory_mib=memory_mib,
        machine=machine,
        accelerator=acceleration.known(),
        network=True,
        agent=True,
        serial_log=Path("/var/log/libvirt") / f"{name}-serial.log",
    )
    lab.define(host, render(spec))
    return LinuxGuest(lab, host, name)


def _system_disk(lab: "Lab", host: HostName, name: str) -> DiskSpec:
    disk = DiskSpec(STORAGE[host] / f"{name}-{target_name(0)}.qcow2")
    shutil.copyfile(guest.build(), lab.path(host, disk.path))
    return disk


def _decode(data: str) -> str:
    return base64.b64decode(data).decode(errors="replace")
