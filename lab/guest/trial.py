"""Boot a built guest outside any host, to see whether hardware virtualisation works."""

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

from lab.acceleration import HARDWARE, SOFTWARE
from lab.errors import TimedOut
from lab.waiting import wait_until

_LIMIT = 20.0
"""Seconds; a guest on working hardware answers in three."""
_PING = json.dumps({"execute": "guest-ping"}).encode() + b"\n"


def choose(disk: Path) -> str:
    """Return libvirt's domain type for guests: `kvm` if the guest boots with it."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return SOFTWARE
    with tempfile.TemporaryDirectory(prefix="standby-trial-") as directory:
        return HARDWARE if _answers(disk, Path(directory) / "agent") else SOFTWARE


def _answers(disk: Path, agent: Path) -> bool:
    with subprocess.Popen(
        _command(disk, agent), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as qemu:
        try:
            wait_until(
                lambda: qemu.poll() is not None or _ping(agent), "answer of the guest", _LIMIT, 0.2
            )
            return qemu.poll() is None
        except TimedOut:
            return False
        finally:
            qemu.kill()


def _command(disk: Path, agent: Path) -> list[str]:
    return [
        "qemu-system-x86_64",
        *("-accel", "kvm", "-cpu", "host", "-m", "256", "-display", "none", "-nodefaults"),
        *("-drive", f"file={disk},format=qcow2,if=virtio,snapshot=on"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,path={agent},server=on,wait=off,id=agent"),
        *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
    ]


def _ping(agent: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(agent))
            connection.sendall(_PING)
            return b"return" in connection.recv(4096)
        except OSError:
            return False
