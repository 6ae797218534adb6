"""The machine on its source host, as far as an observation for a cycle does not tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from standby.errors import CommandFailed, StandbyError
from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.model.disk import SourceDisk
from standby.sources.libvirt_vm.running import job_socket
from standby.target.domain.element import parse_xml

_LOOK_S: Final = 60.0
_AGENT_S: Final = 5
SOCKETS: Final = "/var/lib/libvirt/qemu"
"""Where libvirt keeps, among others, the directories of running VMs with their sockets."""
_CHANNEL: Final = "org.qemu.guest_agent.0"

# Arguments: id of the domain, -1 while it is off. Prints the first directory that the login user
# may not pass on his way to the sockets of a capture: sshd forwards them with his rights, also
# when commands run under sudo.
_SOCKET_WAY: Final = """
as() { if [ -n "${SUDO_USER:-}" ]; then sudo -n -u "$SUDO_USER" -- "$@"; else "$@"; fi; }
for d in /var/lib/libvirt /var/lib/libvirt/qemu; do
  as test -x "$d" || { echo "$d"; exit 0; }
done
[ -r "$d" ] || { echo "$d"; exit 0; }
[ "$1" -gt 0 ] || exit 0
for d in /var/lib/libvirt/qemu/domain-"$1"-*; do
  as test -x "$d" || { echo "$d"; exit 0; }
done
"""


class Access(Enum):
    """What our commands may do with an image."""

    WRITE = "write"  # begin a bitmap in it while the machine is off
    READ = "read"
    NONE = "none"
    FAILED = "failed"  # it is no image, or is not there


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What qemu-img says of a disk's image. `compat` is "" for what is not qcow2."""

    disk: str
    path: str
    access: Access
    compat: str = ""
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """The guest agent: whether the domain has its channel, and what it answers."""

    channel: bool
    answers: bool = False
    filesystems: tuple[str, ...] = ()
    complaint: str = ""


def probe_images(host: Host, disks: Sequence[SourceDisk]) -> tuple[ImageFacts, ...]:
    """Look at each disk's image without taking its locks."""
    return tuple(_image(host, disk) for disk in disks)


def _image(host: Host, disk: SourceDisk) -> ImageFacts:
    kind = disk.image_format.value
    argv = ("qemu-img", "info", "-U", "--output=json", "-f", kind, "--", disk.path)
    try:
        answer = json.loads(host.run(argv, timeout=_LOOK_S).text)
    except CommandFailed as error:
        closed = "Permission denied" in error.stderr
        access = Access.NONE if closed else Access.FAILED
        return ImageFacts(disk.name, disk.path, access, complaint=error.stderr)
    writable = host.run(("test", "-w", disk.path), timeout=_LOOK_S, accept=frozenset({0, 1}))
    access = Access.READ if writable.status else Access.WRITE
    data = answer.get("format-specific", {}).get("data", {})
    return ImageFacts(disk.name, disk.path, access, str(data.get("compat", "")))


def probe_agent(host: Host, uuid: str) -> AgentFacts:
    """Ask the guest agent of a running machine for its time and its file systems.

    By calls that libvirt has for it, and not by guest-ping: that would taint the domain.
    """
    with libvirt_calls(f"domain {uuid}"):
        domain = host.libvirt().lookupByUUIDString(uuid)
        root = parse_xml(domain.XMLDesc(), f"domain {uuid}")
    names = [target.get("name") for target in root.all("devices/channel/target")]
    if _CHANNEL not in names:
        return AgentFacts(channel=False)
    try:
        with libvirt_calls(f"domain {uuid}"):
            domain.agentSetResponseTimeout(_AGENT_S)
            domain.getTime()
            mounts = tuple(str(filesystem[0]) for filesystem in domain.fsInfo())
    except StandbyError as error:
        return AgentFacts(channel=True, complaint=error.found)
    return AgentFacts(channel=True, answers=True, filesystems=mounts)


def probe_job(host: Host, uuid: str) -> str | None:
    """Return the NBD socket of the backup job that runs, "" if it has none, None without one."""
    with libvirt_calls(f"domain {uuid}"):
        domain = host.libvirt().lookupByUUIDString(uuid)
    return job_socket(domain)


def probe_socket_way(host: Host, uuid: str) -> str:
    """Return the directory that keeps the login user from a capture's sockets, or ""."""
    with libvirt_calls(f"domain {uuid}"):
        number = host.libvirt().lookupByUUIDString(uuid).ID()
    argv = ("sh", "-c", _SOCKET_WAY, "standby-way", str(number))
    return host.run(argv, timeout=_LOOK_S).text.strip()
