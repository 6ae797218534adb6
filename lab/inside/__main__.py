"""First process of a host: builds it from the inside, then reaps and watches.

Run by `lab.hosts`: `python -m lab.inside [PARENT_PIDFD]`. It prints the pid of the new
PID namespace's init, then waits for one line (`HostSpec`) on standard input. If that ends
first, whoever began is dead and nothing has happened yet.
"""

import os
import select
import signal
import sys
from typing import NoReturn

from lab.inside import etc, mounts, network, services
from lab.inside.spec import HostSpec
from lab.inside.syscalls import Namespace, set_host_name, unshare

READY = "ready\n"
_ALL = Namespace.MOUNT | Namespace.UTS | Namespace.PID | Namespace.NET


def main(arguments: list[str]) -> None:
    """Fork the init of the new namespaces and tell its pid."""
    parent = int(arguments[0]) if arguments else None
    unshare(_ALL)
    child = os.fork()
    if child == 0:
        _run_init(parent)
    print(child, flush=True)


def _run_init(parent: int | None) -> NoReturn:
    os.setsid()
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    # Whatever is raised ends the host, and its traceback is what the caller will show.
    _build(HostSpec.load(line))
    os.write(1, READY.encode())
    _let_go()
    _reap(parent)


def _build(spec: HostSpec) -> None:
    mounts.isolate()
    mounts.mount_kernel_views()
    set_host_name(spec.name)
    if spec.name == "switch":
        return
    if not spec.storage:
        mounts.mount_manager(spec)
        etc.write_common(spec)
        etc.write_manager(spec)
        network.configure_end(spec.address, spec.prefix_length)
        return
    mounts.mount_hypervisor(spec)
    etc.write_common(spec)
    etc.write_hypervisor(spec)
    network.configure_bridged(spec.address, spec.prefix_length)
    services.start_all()


def _let_go() -> None:
    """Close the pipes of whoever started us, and hold no directory busy."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)


def _reap(parent: int | None) -> NoReturn:
    """Collect every orphan of the namespace until the process we are tied to ends."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    watched = [reader] if parent is None else [reader, parent]
    while True:
        _reap_all()
        ready = select.select(watched, [], [])[0]
        if parent in ready:
            os._exit(0)
        os.read(reader, 4096)


def _reap_all() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
