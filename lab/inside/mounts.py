"""The mounts of a host: private places over the machine's own, which stay as they are."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.inside.devices import mount_devices
from lab.inside.spec import HostSpec
from lab.inside.syscalls import MountFlag, detach_all, mount

PRIVATE = {
    "root": "/root",
    "users": "/home",
    "vartmp": "/var/tmp",  # noqa: S108
    "log": "/var/log",
    "libvirt": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "swtpm": "/var/lib/swtpm-localca",
    "mail": "/var/mail",
}
"""Private directories of a hypervisor that outlive a crash: name in the lab, and where."""
_NEW = MountFlag.NO_SUID | MountFlag.NO_DEV


def isolate() -> None:
    """Cut the new mount namespace off the machine's: nothing propagates either way."""
    mount("none", "/", flags=MountFlag.RECURSIVE | MountFlag.PRIVATE)
    mount("proc", "/proc", "proc", _NEW)


def mount_kernel_views() -> None:
    """Show this network namespace in /sys; also hides the machine's cgroups and AppArmor."""
    detach_all("/sys")
    mount("sysfs", "/sys", "sysfs", _NEW)


def mount_manager(spec: HostSpec) -> None:
    """Give the manager its own /etc and /run; all else is the machine's."""
    mount_copy_on_write("/etc", spec.path / "etc")
    _mount_run()


def mount_hypervisor(spec: HostSpec) -> None:
    """Give a hypervisor its own places, and make the rest of `/` read-only for it."""
    # A mount of its own: `/` cannot become read-only while the storage is open through it.
    mount(spec.directory, spec.directory, flags=MountFlag.BIND)
    private = _private_places(spec)
    storage = _mount_storage(spec)
    with _held_open([storage, *private.values(), *spec.visible]) as handles:
        mount_copy_on_write("/etc", spec.path / "etc")
        _mount_run()
        _show_storage(handles[storage], Path(spec.storage))
        mount_devices(hidden=frozenset() if spec.accelerator == "kvm" else frozenset({"kvm"}))
        for target, source in private.items():
            mount(handles[source], target, flags=MountFlag.BIND)
        mount("tmpfs", "/tmp", "tmpfs", _NEW, "mode=1777")  # noqa: S108
        for path in spec.visible:
            _show_again(path, handles[path])
    mount("none", "/", flags=MountFlag.BIND | MountFlag.REMOUNT | MountFlag.READ_ONLY)


def mount_copy_on_write(target: str, store: Path) -> None:
    """Cover `target` with a writable view of itself whose changes are kept in `store`."""
    changes, work = store / "changes", store / "work"
    copy = store / "copy"
    for directory in (changes, work):
        directory.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={target},upperdir={changes},workdir={work}"
    try:
        mount("overlay", target, "overlay", MountFlag.NONE, options)
    except OSError:
        # No overlayfs, or a file system that cannot carry one: a plain copy does as well.
        if not copy.exists():
            subprocess.run(["cp", "--archive", target, str(copy)], check=True)
        mount(str(copy), target, flags=MountFlag.BIND)


def _mount_run() -> None:
    detach_all("/run")
    mount("tmpfs", "/run", "tmpfs", _NEW, "mode=755")


def _private_places(spec: HostSpec) -> dict[str, str]:
    """Map each place that exists on the machine to its private directory, now made."""
    places = {}
    for name, target in PRIVATE.items():
        if Path(target).is_dir():
            _copy_directories(Path(target), spec.path / name)
            places[target] = str(spec.path / name)
    return places


def _copy_directories(original: Path, copy: Path) -> None:
    """Give a private place the directories that packages made in the original, empty."""
    packaged = original.is_relative_to("/var") and original.name != "tmp"
    inner = [path for path in original.iterdir() if path.is_dir()] if packaged else []
    for directory in (original, *inner):
        target = copy / directory.relative_to(original)
        target.mkdir(exist_ok=True)
        found = directory.stat()
        os.chown(target, found.st_uid, found.st_gid)
        target.chmod(found.st_mode & 0o7777)


def _mount_storage(spec: HostSpec) -> str:
    """Mount the host's storage where nothing can cover it before it is shown at its place."""
    target = spec.path / "storage"
    target.mkdir(exist_ok=True)
    image = spec.path / "storage.img"
    if not image.exists():
        _make_file_system(image, spec.storage_bytes)
    attached = subprocess.run(
        ["mount", "-o", "loop,discard,noinit_itable", str(image), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    if attached.returncode != 0:
        reason = attached.stderr.strip()
        print(f"storage is memory, lost in a crash: {reason}", file=sys.stderr)
        mount("tmpfs", str(target), "tmpfs", _NEW, f"mode=755,size={spec.storage_bytes}")
    return str(target)


def _show_storage(handle: str, target: Path) -> None:
    mount("tmpfs", "/srv", "tmpfs", _NEW, "mode=755,size=1m")
    target.mkdir(parents=True)
    mount(handle, str(target), flags=MountFlag.MOVE)


def _make_file_system(image: Path, size: int) -> None:
    temporary = image.with_suffix(".new")
    with temporary.open("wb") as stream:
        stream.truncate(size)
    # Few inodes and late initialisation: the storage holds few large files, and is made often.
    options = ["-i", "65536", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"]
    subprocess.run(["mkfs.ext4", "-q", "-F", *options, str(temporary)], check=True)
    temporary.replace(image)


@contextmanager
def _held_open(paths: Sequence[str]) -> Iterator[dict[str, str]]:
    """Map each path to one that stays valid when something is mounted over it."""
    handles = {path: os.open(path, os.O_PATH) for path in paths if Path(path).exists()}
    try:
        yield {path: f"/proc/self/fd/{handle}" for path, handle in handles.items()}
    finally:
        for handle in handles.values():
            os.close(handle)


def _show_again(path: str, handle: str) -> None:
    target = Path(path)
    if not target.exists():
        target.mkdir(parents=True)
        mount(handle, path, flags=MountFlag.BIND | MountFlag.RECURSIVE)
