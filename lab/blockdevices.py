"""Block devices for guests: files of the lab behind loop devices of the machine below.

They outlive a crash of the host, as a real disk does, and go with the guest or the lab.
"""

import subprocess
from pathlib import Path

from lab.layout import Layout

BLOCK = "block"
"""The kind of disk, beside qcow2 and raw, that is a device."""


def attach(layout: Layout, name: str, size: int) -> Path:
    """Return a new device of `size` bytes, a multiple of 512."""
    backing = layout.directory / "blocks" / name
    backing.parent.mkdir(exist_ok=True)
    with backing.open("xb") as stream:
        stream.truncate(size)
    argv = ["losetup", "--find", "--show", str(backing)]
    return Path(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip())


def detach(device: Path) -> None:
    """Remove a device and the file behind it."""
    backing = Path("/sys/block", device.name, "loop/backing_file").read_text().strip()
    subprocess.run(["losetup", "--detach", str(device)], check=True)
    Path(backing).unlink(missing_ok=True)
