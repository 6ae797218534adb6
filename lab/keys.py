"""Key pairs of a lab: the manager's own, and one host key for each hypervisor."""

import subprocess
from pathlib import Path

from lab.layout import ADDRESSES, HYPERVISORS, HostName, Layout


def make_keys(layout: Layout) -> None:
    """Create the keys that are missing."""
    layout.keys.mkdir(parents=True, exist_ok=True)
    for name in (HostName.MANAGER, *HYPERVISORS):
        make_key(layout.keys / name.value, f"{name.value}@{layout.name}")


def make_key(path: Path, comment: str) -> None:
    """Create an Ed25519 key pair without a passphrase unless it exists."""
    if not path.exists():
        base = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment]
        subprocess.run([*base, "-f", str(path)], check=True, stdin=subprocess.DEVNULL)


def write_manager_home(layout: Layout) -> None:
    """Give the manager its key, and the hypervisors' host keys as known ones."""
    directory = layout.home / ".ssh"
    directory.mkdir(parents=True, exist_ok=True)
    layout.home.chmod(0o700)
    directory.chmod(0o700)
    for suffix, mode in (("", 0o600), (".pub", 0o644)):
        target = directory / f"id_ed25519{suffix}"
        target.write_bytes((layout.keys / f"manager{suffix}").read_bytes())
        target.chmod(mode)
    set_known_hosts(layout, true_host_keys(layout))


def host_key(layout: Layout, host: HostName) -> str:
    """Return a hypervisor's public host key: type and base64."""
    return " ".join((layout.keys / f"{host.value}.pub").read_text().split()[:2])


def true_host_keys(layout: Layout) -> dict[HostName, str]:
    """Return the public host key of every hypervisor."""
    return {host: host_key(layout, host) for host in HYPERVISORS}


def set_known_hosts(layout: Layout, known: dict[HostName, str]) -> None:
    """Let the manager know exactly these host keys, each by name and address."""
    lines = [f"{host.value},{ADDRESSES[host]} {key}\n" for host, key in known.items()]
    (layout.home / ".ssh" / "known_hosts").write_text("".join(lines))
