"""The daemons of a hypervisor: each is started the same way at boot and after a kill."""

import subprocess
from pathlib import Path

COMMANDS: dict[str, tuple[str, ...]] = {
    "virtlogd": ("/usr/sbin/virtlogd", "--daemon", "--pid-file", "/run/virtlogd.pid"),
    "libvirtd": ("/usr/sbin/libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid"),
    "sshd": ("/usr/sbin/sshd", "-E", "/var/log/sshd.log"),
}
PID_FILES = {name: f"/run/{name}.pid" for name in COMMANDS}


def start_all() -> None:
    """Start what a hypervisor runs; each command returns when its daemon answers."""
    for directory in ("/run/sshd", "/run/libvirt", "/run/lock"):
        Path(directory).mkdir(exist_ok=True)
    null = subprocess.DEVNULL
    running = [subprocess.Popen(argv, stdin=null, stdout=null) for argv in COMMANDS.values()]
    for process in running:
        if process.wait() != 0:
            raise ChildProcessError(f"{process.args!r}: status {process.returncode}")
