"""The packages a guest is made of, unpacked into a tree, by the machine's own apt sources."""

import platform
import subprocess
from pathlib import Path

from lab.errors import LabError

_COMMON = (
    "busybox-static",
    "dropbear-bin",
    "grub-common",
    "grub-pc-bin",
    "kmod",
    "qemu-guest-agent",
    "zstd",
)
_KERNELS = {"debian": "linux-image-amd64", "ubuntu": "linux-image-virtual"}
_KEYRING = "/usr/share/keyrings/{}-archive-keyring.gpg"


def release() -> tuple[str, str]:
    """Return the machine's distribution and code name, such as debian and bookworm."""
    found = platform.freedesktop_os_release()
    identity, codename = found.get("ID", ""), found.get("VERSION_CODENAME", "")
    if identity not in _KERNELS or not codename:
        raise LabError(f"guests are built on Debian or Ubuntu releases, not on {identity!r}")
    return identity, codename


def unpack(tree: Path) -> None:
    """Unpack the packages below `tree`, an empty directory, without configuring them."""
    identity, codename = release()
    options = tree.parent / "apt.conf"
    options.write_text(_output("apt-config", "dump", "Acquire"))
    include = ",".join([*_COMMON, _KERNELS[identity]])
    subprocess.run(
        [
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=extract",
            '--aptopt=APT::Install-Recommends "false"',
            f"--aptopt={options}",
            f"--include={include}",
            codename,
            str(tree),
            *_sources(identity, codename),
        ],
        check=True,
    )


def _sources(identity: str, codename: str) -> list[str]:
    """Return the machine's sources of its own distribution: others need not have our suite."""
    keyring = Path(_KEYRING.format(identity))
    trust = f"[signed-by={keyring}] " if keyring.exists() else ""
    form = "$(CREATED_BY)|$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    found: dict[str, None] = {}
    for line in _output("apt-get", "indextargets", "--format", form).splitlines():
        kind, origin, name, uri, suite, component = line.split("|")
        if kind == "Packages" and origin.lower() == identity and name.startswith(codename):
            found[f"deb {trust}{uri} {suite} {component}"] = None
    if not found:
        raise LabError("apt knows no packages of this release: run apt-get update")
    return list(found)


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
