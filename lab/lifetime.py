"""From nothing to a lab and back: up, down, and clearing what a killed one left."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import hosts, keys, switch
from lab.errors import LabError, NotUp, TimedOut
from lab.layout import HOSTS, HostName, Layout, root_directory
from lab.processes import ProcessRecord
from lab.waiting import wait_until

DEFAULT_STORAGE_BYTES = 6 << 30
_LOOP_LIMIT = 5.0


def bring_up(layout: Layout, storage_bytes: int, parent: int | None) -> None:
    """Build a lab, clearing first whatever a former one of that name left behind.

    `storage_bytes` is the size of each hypervisor's storage; `parent` is a pid: when that
    process ends, however it ends, all processes of the lab end.
    """
    clear_orphans()
    with _only_one(layout):
        _clear(layout)
        record = None if parent is None else ProcessRecord.of(parent)
        if parent is not None and record is None:
            raise LabError(f"there is no process {parent} to tie the lab to")
        hosts.Settings(storage_bytes, record).save(layout)
        try:
            _start_everything(layout, storage_bytes, parent)
        except BaseException:
            _end_processes(layout)
            raise


def take_down(layout: Layout) -> None:
    """Remove a lab and everything that belongs to it; nothing happens if there is none."""
    if layout.directory.exists():
        with _only_one(layout):
            _clear(layout)
            layout.directory.rmdir()


def start_host(layout: Layout, host: HostName) -> None:
    """Start a host after a crash: its storage and its /etc are as they were."""
    settings = hosts.Settings.load(layout)
    hub = hosts.init_of(layout, HostName.SWITCH)
    if hosts.running(layout)[host]:
        raise LabError(f"{host.value} runs already")
    wait_until(lambda: not _loops(layout.host(host)), "release of the storage", _LOOP_LIMIT)
    parent = None if settings.parent is None else settings.parent.pid
    starting = hosts.launch(layout, host, parent)
    hosts.plug_and_tell(layout, starting, hub, settings.storage_bytes)
    starting.wait_ready(hosts.log_file(layout, host))


def clear_orphans() -> None:
    """Remove the labs whose parent process has ended."""
    root = root_directory()
    for directory in root.iterdir() if root.is_dir() else []:
        try:
            layout = Layout(directory.name)
            settings = hosts.Settings.load(layout)
        except LabError:
            continue
        if settings.parent is not None and not settings.parent.alive:
            take_down(layout)


def _start_everything(layout: Layout, storage_bytes: int, parent: int | None) -> None:
    keys.make_keys(layout)
    keys.write_manager_home(layout)
    hub = hosts.launch(layout, HostName.SWITCH, parent)
    others = [hosts.launch(layout, host, parent) for host in HOSTS]
    hub.tell(hosts.make_spec(layout, HostName.SWITCH, 0))
    hub.wait_ready(hosts.log_file(layout, HostName.SWITCH))
    switch.build(hub.init, layout)
    for starting in others:
        hosts.plug_and_tell(layout, starting, hub.init, storage_bytes)
    for starting in others:
        starting.wait_ready(hosts.log_file(layout, starting.host))


def _clear(layout: Layout) -> None:
    _end_processes(layout)
    _release_loops(layout.directory)
    for entry in layout.directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _end_processes(layout: Layout) -> None:
    for host in (*HOSTS, HostName.SWITCH):
        hosts.stop(layout, host)


def _release_loops(directory: Path) -> None:
    """Detach guests' devices, and wait until the hosts' own have gone with their namespaces."""
    for device in _loops(directory / "blocks"):
        subprocess.run(["losetup", "--detach", device], check=True)
    try:
        wait_until(lambda: not _loops(directory), "release of loop devices", _LOOP_LIMIT)
    except TimedOut:
        for device in _loops(directory):
            subprocess.run(["losetup", "--detach", device], check=True)


def _loops(directory: Path) -> list[str]:
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            name = backing.read_text().strip()
        except OSError:  # detached between listing and reading
            continue
        if name.startswith(f"{directory}/"):
            found.append(f"/dev/{backing.parent.parent.name}")
    return found


@contextmanager
def _only_one(layout: Layout) -> Iterator[None]:
    """Hold the lab's directory locked, and make sure that it is still the one of that name."""
    while True:
        layout.directory.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(layout.directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _same(handle, layout.directory):
                yield
                return
        finally:
            os.close(handle)


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def require_up(layout: Layout) -> None:
    """Raise NotUp unless every machine of the lab runs."""
    down = [host.value for host, alive in hosts.running(layout).items() if not alive]
    if down:
        raise NotUp(f"lab {layout.name}: not running: {', '.join(down)}")
