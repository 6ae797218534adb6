"""A storage daemon on a host, as those who read and write images use it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from standby.host.local import LocalHost
from standby.host.storage_daemon import DaemonSettings, storage_daemon
from standby.model.priority import GIVES_WAY, NO_PRIORITY, Priority
from standby.target.nodes import Caching, image_node
from tests.integration.nbd_servers import run


@pytest.mark.parametrize(
    ("priority", "nice", "scheduling"),
    [(NO_PRIORITY, 0, ("none", "best-effort")), (GIVES_WAY, 19, ("idle",))],
)
def test_a_daemon_of_low_priority_takes_what_others_leave(
    tmp_path: Path, priority: Priority, nice: int, scheduling: tuple[str, ...]
) -> None:
    pidfile = tmp_path / "daemon.pid"
    with storage_daemon(LocalHost("kvm"), DaemonSettings(str(pidfile), (), (), priority)):
        pid = int(pidfile.read_text())
        said = subprocess.run(["ionice", "-p", str(pid)], check=True, capture_output=True)
        assert os.getpriority(os.PRIO_PROCESS, pid) == max(nice, os.getpriority(0, 0))
        assert said.stdout.decode().startswith(scheduling)


@pytest.fixture
def ram_disk(tmp_path: Path) -> Generator[Path]:
    """A file system that knows no way past the page cache."""
    subprocess.run(["mount", "-t", "ramfs", "none", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_where_files_have_direct_io_it_is_used(tmp_path: Path) -> None:
    assert _flags_of_the_image(tmp_path) & os.O_DIRECT


def test_a_file_system_without_direct_io_is_written_through_the_page_cache(ram_disk: Path) -> None:
    assert not _flags_of_the_image(ram_disk) & os.O_DIRECT


def _flags_of_the_image(place: Path) -> int:
    """Serve an image past the page cache; return the flags that the daemon opened it with."""
    image, pidfile = place / "image.qcow2", place / "daemon.pid"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "64M")
    node = image_node("image", str(image), caching=Caching.NONE)
    with storage_daemon(LocalHost("kvm"), DaemonSettings(str(pidfile), (node,))):
        process = Path("/proc", pidfile.read_text().strip())
        (number,) = (fd.name for fd in (process / "fd").iterdir() if fd.resolve() == image)
        flags = (process / "fdinfo" / number).read_text().split("flags:")[1].split()[0]
        return int(flags, 8)
