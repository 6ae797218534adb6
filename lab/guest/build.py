"""The cache of built guests: one per recipe and release, shared by all labs of the machine."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import acceleration
from lab.guest import image, packages, trial
from lab.keys import make_key
from lab.layout import cache_directory

DISK_BYTES = 256 << 20
_RECIPE = Path(__file__).parent


def build() -> Path:
    """Return the guest's disk, a qcow2 without a backing file; built at first use."""
    disk = cache_directory() / f"guest-{_recipe_digest()}.qcow2"
    with _only_one():
        if not disk.exists():
            _build(disk)
        if not acceleration.tried():
            acceleration.remember(trial.choose(disk))
    return disk


def guest_key() -> Path:
    """Return the private key that root in every guest accepts; the public one lies beside it."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    key = cache_directory() / "guest-key"
    make_key(key, "root@guest")
    return key


def _build(disk: Path) -> None:
    public_key = guest_key().with_suffix(".pub").read_text()
    with tempfile.TemporaryDirectory(prefix="build-", dir=disk.parent) as name:
        work = Path(name)
        work.chmod(0o755)  # apt's unprivileged user must be able to enter
        tree = work / "tree"
        tree.mkdir()
        packages.unpack(tree)
        raw = image.make_disk(tree, work, public_key, DISK_BYTES)
        made = work / "disk.qcow2"
        formats = ["-f", "raw", "-O", "qcow2", "-o", "compat=1.1"]
        subprocess.run(["qemu-img", "convert", *formats, str(raw), str(made)], check=True)
        _remove_former(disk.parent)
        shutil.move(made, disk)


def _remove_former(directory: Path) -> None:
    for old in directory.glob("guest-*.qcow2"):
        old.unlink()


def _recipe_digest() -> str:
    """Return what changes whenever a guest would be built differently."""
    digest = hashlib.sha256("/".join(packages.release()).encode())
    digest.update(guest_key().with_suffix(".pub").read_bytes())
    for path in sorted(_RECIPE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _only_one() -> Iterator[None]:
    """Let one process build; the others wait and find the result."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    handle = os.open(cache_directory(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
