"""Runs on a host of the lab: writes to a guest's disk through its block layer, at a steady rate.

Arguments: the domain, the disk's size and the rate, both in bytes.
"""

from __future__ import annotations

import random
import sys
import time

import libvirt
import libvirt_qemu

_PIECE = 64 << 10
_DEVICE = "/machine/peripheral/virtio-disk0/virtio-backend"


def main(name: str, size: int, rate: int) -> None:
    domain = libvirt.open("qemu:///system").lookupByName(name)
    chosen = random.Random(1)  # noqa: S311 - places to write to
    pause, due = _PIECE / rate, time.monotonic()
    while True:
        place = chosen.randrange(size // _PIECE) * _PIECE
        command = f"write -q -P {chosen.randrange(1, 255)} {place} {_PIECE}"
        libvirt_qemu.qemuMonitorCommand(
            domain,
            f'qemu-io -d {_DEVICE} "{command}"',
            libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP,
        )
        due += pause
        time.sleep(max(due - time.monotonic(), 0))


if __name__ == "__main__":
    domain_name, disk, speed = sys.argv[1:]
    main(domain_name, int(disk), int(speed))
