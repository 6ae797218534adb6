"""Bad luck on demand: links, space, daemons, whole hosts and single bytes."""

import os
import re
from pathlib import Path

from lab import hosts, lifetime, switch
from lab.entering import Entrance, checked, run
from lab.errors import LabError
from lab.inside.services import COMMANDS, PID_FILES
from lab.layout import HYPERVISORS, STORAGE, UPLINK, HostName, Layout
from lab.processes import ProcessRecord
from lab.waiting import wait_until

_RATE = re.compile(r"\d+(bit|kbit|mbit|gbit|bps|kbps|mbps|gbps)")
_BURST = "64kb"
"""The token bucket's size: one segment of generic segmentation offload."""
_FILL_NAME = ".lab-fill"
_LEAST_STEP = 4096


def cut(layout: Layout, host: HostName) -> None:
    """Take a host off the network: packets vanish, nobody is told."""
    switch.set_link(hosts.init_of(layout, HostName.SWITCH), host, "down")


def restore(layout: Layout, host: HostName) -> None:
    """Undo `cut`: whoever tries now gets through, whatever failed a moment ago."""
    switch.set_link(hosts.init_of(layout, HostName.SWITCH), host, "up")
    for other, runs in hosts.running(layout).items():
        if runs:
            switch.forget_neighbours(hosts.init_of(layout, other))


def throttle(layout: Layout, host: HostName, rate: str | None) -> None:
    """Limit a host's link in both directions to a rate as in tc(8), or lift the limit."""
    if rate is not None and not _RATE.fullmatch(rate):
        raise LabError(f"rate {rate!r}: a number and one of bit, kbit, mbit, gbit")
    ends = (
        (hosts.init_of(layout, HostName.SWITCH), host.value),
        (hosts.init_of(layout, host), UPLINK),
    )
    for init, device in ends:
        switch.limit(init, device, rate, _BURST)


def fill(layout: Layout, host: HostName, leave: int) -> None:
    """Use up a hypervisor's storage but for `leave` bytes."""
    storage = _storage(layout, host)
    handle = os.open(storage / _FILL_NAME, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        step = _free(storage)
        while _free(storage) > leave and step >= _LEAST_STEP:
            size = os.fstat(handle).st_size
            step = min(step, _free(storage) - leave)
            try:
                os.posix_fallocate(handle, size, step)
            except OSError:  # the file system needs some of what it calls free for itself
                os.ftruncate(handle, size)
                step //= 2
    finally:
        os.close(handle)


def unfill(layout: Layout, host: HostName) -> None:
    """Give back what `fill` took."""
    (_storage(layout, host) / _FILL_NAME).unlink(missing_ok=True)


def crash(layout: Layout, host: HostName) -> None:
    """End all processes of a host at once; its storage and /etc stay for `start`."""
    hosts.init_of(layout, host)
    hosts.stop(layout, host)


def start(layout: Layout, host: HostName) -> None:
    """Start a crashed host."""
    lifetime.start_host(layout, host)


def kill_service(layout: Layout, host: HostName, service: str) -> None:
    """End a daemon with SIGKILL; with sshd all its connections too. No guest ends."""
    _require_service(host, service)
    entrance = _root(layout, host)
    listener = run(entrance, ["cat", PID_FILES[service]]).stdout.strip()
    if service == "sshd":
        # Within the host's own PID namespace a name means that host's processes only.
        run(entrance, ["pkill", "-KILL", "--exact", "sshd"])
    elif listener:
        run(entrance, ["kill", "-KILL", listener])
    if listener:
        exists = ["test", "-d", f"/proc/{listener}"]
        wait_until(lambda: run(entrance, exists).returncode != 0, f"end of {service}", 10)


def restart_service(layout: Layout, host: HostName, service: str) -> None:
    """Start a daemon, ended first if it runs."""
    kill_service(layout, host, service)
    entrance = _root(layout, host)
    run(entrance, ["rm", "-f", PID_FILES[service]])
    checked(run(entrance, ["setsid", *COMMANDS[service]]))


def damage(path: Path, offset: int, length: int) -> None:
    """Invert `length` bytes of a file from `offset` on, behind everybody's back."""
    with path.open("r+b") as stream:
        stream.seek(offset)
        content = stream.read(length)
        if len(content) != length:
            raise LabError(f"{path} ends before {offset + length}")
        stream.seek(offset)
        stream.write(bytes(byte ^ 0xFF for byte in content))
        stream.flush()
        os.fsync(stream.fileno())


def _require_service(host: HostName, service: str) -> None:
    if host not in HYPERVISORS or service not in COMMANDS:
        raise LabError(f"{host.value} has no {service}: {', '.join(COMMANDS)} on source and kvm")


def _root(layout: Layout, host: HostName) -> Entrance:
    return Entrance(hosts.init_of(layout, host), Path("/root"))


def _storage(layout: Layout, host: HostName) -> Path:
    if host not in HYPERVISORS:
        raise LabError(f"{host.value} has no storage")
    init: ProcessRecord = hosts.init_of(layout, host)
    return Path(f"/proc/{init.pid}/root") / STORAGE[host].relative_to("/")


def _free(storage: Path) -> int:
    found = os.statvfs(storage)
    return found.f_bavail * found.f_frsize
