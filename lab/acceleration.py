"""Whether guests can use hardware virtualisation: tried once, then remembered."""

import hashlib
import platform
from pathlib import Path

from lab.layout import cache_directory

SOFTWARE = "qemu"
HARDWARE = "kvm"


def known() -> str:
    """Return libvirt's domain type for guests: `kvm` only after a trial boot with it worked."""
    try:
        return _answer_file().read_text().strip()
    except FileNotFoundError:
        return SOFTWARE


def tried() -> bool:
    """Whether there was a trial on this machine."""
    return _answer_file().exists()


def remember(accelerator: str) -> None:
    """Keep the outcome of a trial for this kernel on this processor."""
    path = _answer_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(accelerator)


def _answer_file() -> Path:
    machine = f"{platform.release()} {platform.version()} {platform.processor()}"
    return cache_directory() / f"accelerator-{hashlib.sha256(machine.encode()).hexdigest()[:12]}"
