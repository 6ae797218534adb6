"""Guests without any system: their disks are written through the VM's own block layer."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import blockdevices
from lab.domains import DiskSpec, DomainSpec, render, target_name
from lab.errors import LabError
from lab.layout import STORAGE, HostName
from lab.waiting import wait_until

if TYPE_CHECKING:
    from lab.lab import Lab

_FAILURE = re.compile("failed|rror|Could not|can't|nvalid|not found|out of range|non-numeric")
_END_WORD = "end-of-commands"
_END_MARK = f"command {_END_WORD} not found"


@dataclass(frozen=True, slots=True)
class BlockGuest:
    """A domain that never boots, for exact tests of what is on its disks.

    Offsets and lengths are bytes; both must be multiples of 512.
    """

    lab: "Lab"
    host: HostName
    name: str
    disks: tuple[DiskSpec, ...]

    def start(self) -> None:
        """Start it; its BIOS finds nothing to boot and stays there."""
        self.lab.virsh(self.host, "start", self.name)

    def start_paused(self) -> None:
        """Start it without letting a single instruction run."""
        self.lab.virsh(self.host, "start", "--paused", self.name)

    def destroy(self) -> None:
        """Switch it off."""
        self.lab.virsh(self.host, "destroy", self.name)

    def state(self) -> str:
        """Return libvirt's word: running, paused, shut off."""
        return self.lab.virsh(self.host, "domstate", self.name).strip()

    def write(self, offset: int, length: int, pattern: int, *, disk: int = 0) -> None:
        """Write `length` bytes of value `pattern`."""
        self.qemu_io(f"write -P {pattern} {offset} {length}", disk=disk)

    def write_zeroes(self, offset: int, length: int, *, unmap: bool = False, disk: int = 0) -> None:
        """Send a write-zeroes request, with `unmap` one that may deallocate."""
        self.qemu_io(f"write -z {'-u ' if unmap else ''}{offset} {length}", disk=disk)

    def discard(self, offset: int, length: int, *, disk: int = 0) -> None:
        """Send a discard request."""
        self.qemu_io(f"discard {offset} {length}", disk=disk)

    def expect(self, offset: int, length: int, pattern: int, *, disk: int = 0) -> None:
        """Read, and raise LabError unless every byte has value `pattern`."""
        self.qemu_io(f"read -P {pattern} {offset} {length}", disk=disk)

    def flush(self) -> None:
        """Bring everything written into the images."""
        for disk in range(len(self.disks)):
            self.qemu_io("flush", disk=disk)

    def qemu_io(self, *commands: str, disk: int = 0) -> str:
        """Run commands of qemu-io(1) inside the running QEMU, in order; return what they said.

        Raises LabError when one of them failed. Many in one call cost little more than one.
        """
        device = f"/machine/peripheral/{self._alias(disk)}/virtio-backend"
        # The harmless last command marks the end of the output in the log.
        lines = [f'qemu-io -d {device} "{command}"' for command in (*commands, f"help {_END_WORD}")]
        begin = self._log.stat().st_size
        script = "\n".join(f"qemu-monitor-command {self.name} --hmp '{line}'" for line in lines)
        told = self.lab.virsh(self.host, script)
        said = self._read_log(begin)
        if _FAILURE.search(told + said):
            raise LabError(f"{self.name}: {'; '.join(commands)}: {told}{said}")
        return said

    def snapshot(self, directory: Path, *, label: str) -> tuple[Path, ...]:
        """Copy each disk as the guest sees it now to raw files in `directory` on its host.

        The guest may run or be off; nobody may write to it meanwhile.
        """
        if self.state() != "shut off":
            self.flush()
        self.lab.exec(self.host, ["mkdir", "-p", str(directory)])
        return tuple(self._copy(index, directory, label) for index in range(len(self.disks)))

    def undefine(self) -> None:
        """Remove the domain with its checkpoints, switched off first, and its disk files."""
        if self.state() != "shut off":
            self.destroy()
        kept = ("--checkpoints-metadata", "--nvram", "--managed-save")
        self.lab.virsh(self.host, "undefine", self.name, *kept)
        for disk in self.disks:
            if disk.is_block_device:
                blockdevices.detach(disk.path)
            else:
                self.lab.exec(self.host, ["rm", "-f", str(disk.path)])

    @property
    def _log(self) -> Path:
        """QEMU's log, seen from the machine below: qemu-io prints there, not to the monitor."""
        return self.lab.layout.host(self.host) / f"log/libvirt/qemu/{self.name}.log"

    def _read_log(self, begin: int) -> str:
        """Return the log from `begin` up to the mark; it comes through a pipe, so wait for it."""
        wait_until(lambda: _END_MARK in self._log_since(begin), "answer of qemu-io", 60, 0.005)
        return self._log_since(begin).partition(_END_MARK)[0]

    def _log_since(self, begin: int) -> str:
        with self._log.open("rb") as stream:
            stream.seek(begin)
            return stream.read().decode(errors="replace")

    def _alias(self, disk: int) -> str:
        if self.disks[disk].bus != "virtio":
            raise LabError(f"{self.name}: disk {disk} is not on the virtio bus")
        return f"virtio-disk{disk}"

    def _copy(self, index: int, directory: Path, label: str) -> Path:
        disk = self.disks[index]
        target = directory / f"{self.name}-{target_name(index, disk.bus)}-{label}.raw"
        formats = ["-f", disk.kind, "-O", "raw"]
        copy = ["qemu-img", "convert", "-U", *formats, str(disk.path), str(target)]
        self.lab.exec(self.host, copy)
        return target


def define(
    lab: "Lab",
    host: HostName,
    name: str,
    sizes: tuple[int, ...],
    *,
    kinds: tuple[str, ...] = ("qcow2",),
) -> BlockGuest:
    """Make empty disks on a host's storage and define the guest; sizes are bytes.

    `kinds` gives each disk's format, qcow2 or raw, or `block` for a raw block device; the last
    one is repeated.
    """
    disks = []
    for index, size in enumerate(sizes):
        kind = kinds[min(index, len(kinds) - 1)]
        disks.append(_make_disk(lab, host, f"{name}-{target_name(index)}.{kind}", kind, size))
    lab.define(host, render(DomainSpec(name, disks)))
    return BlockGuest(lab, host, name, tuple(disks))


def _make_disk(lab: "Lab", host: HostName, file_name: str, kind: str, size: int) -> DiskSpec:
    if kind == blockdevices.BLOCK:
        return DiskSpec(blockdevices.attach(lab.layout, f"{host.value}-{file_name}", size), "raw")
    path = STORAGE[host] / file_name
    lab.exec(host, ["qemu-img", "create", "-q", "-f", kind, str(path), str(size)])
    return DiskSpec(path, kind)
