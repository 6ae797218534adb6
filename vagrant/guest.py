"""Define the lab's small Linux on this very machine, a source host of its own."""

import shutil
import subprocess
import sys

from lab import acceleration, guest
from lab.domains import DiskSpec, DomainSpec, render, target_name
from lab.layout import STORAGE, HostName


def main(name: str) -> None:
    """Copy its disk, built first if need be, and define the domain; not started."""
    disk = DiskSpec(STORAGE[HostName.SOURCE] / f"{name}-{target_name(0)}.qcow2")
    shutil.copyfile(guest.build(), disk.path)
    spec = DomainSpec(
        name,
        [disk],
        memory_mib=256,
        machine="q35",
        accelerator=acceleration.known(),
        network=True,
        agent=True,
    )
    define = ["virsh", "--quiet", "define", "/dev/stdin"]
    subprocess.run(define, input=render(spec), text=True, check=True)


if __name__ == "__main__":
    main(sys.argv[1])
