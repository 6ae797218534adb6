"""The guest's root file system and initramfs, put together from the unpacked packages."""

import gzip
import lzma
import re
import shutil
import subprocess
from pathlib import Path

from lab.errors import LabError

FILES = Path(__file__).parent / "files"
_PROGRAMS = ("usr/sbin/dropbear", "usr/sbin/qemu-ga")
_MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "virtio_net",
    "virtio_console",
    "virtio_rng",
    "ahci",
    "ata_piix",
    "sd_mod",
    "nvme",
    "e1000",
    "e1000e",
    "ext4",
    "crc32c_generic",
    "button",
    "evdev",
)
_DIRECTORIES = (
    *("bin", "boot/grub", "data", "dev", "etc/acpi/PWRF", "etc/dropbear", "etc/qemu", "home"),
    *("proc", "root/.ssh", "run", "sbin", "sys", "tmp", "usr/bin", "usr/sbin", "var/log"),
    "var/tmp",
)
_SCRIPTS = {
    "inittab": "etc/inittab",
    "boot": "etc/boot",
    "agent": "etc/agent",
    "dhcp": "etc/dhcp",
    "shutdown": "sbin/shutdown",
    "shutdown-button": "etc/acpi/PWRF/00000080",
    "fsfreeze-hook": "etc/qemu/fsfreeze-hook",
    "grub.cfg": "boot/grub/grub.cfg",
}
_TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\n",
    "etc/shells": "/bin/sh\n",
    "etc/fstab": "LABEL=root / ext4 defaults 0 1\n",
    "etc/hostname": "guest\n",
}


def make_root(tree: Path, root: Path, public_key: str) -> None:
    """Fill `root` with what the guest's disk holds, from the packages unpacked in `tree`."""
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for name, text in _TEXTS.items():
        (root / name).write_text(text)
    (root / "etc/shadow").chmod(0o600)
    for name, place in _SCRIPTS.items():
        shutil.copyfile(FILES / name, root / place)
        (root / place).chmod(0o755)
    (root / "var/run").symlink_to("../run")
    _authorise(root / "root", public_key)
    for program in _PROGRAMS:
        _copy_program(tree, root, program)
    _install_busybox(tree, root)


def make_initramfs(tree: Path, work: Path) -> Path:
    """Return the initramfs: busybox and the modules that reach any disk a guest may have."""
    content = work / "initramfs"
    for name in ("bin", "dev", "modules", "proc", "root", "sys"):
        (content / name).mkdir(parents=True)
    shutil.copy(_find(tree, "bin/busybox"), content / "bin/busybox")
    shutil.copyfile(FILES / "initramfs-init", content / "init")
    (content / "init").chmod(0o755)
    order = [_copy_module(tree, module, content / "modules") for module in _modules(tree)]
    (content / "modules/order").write_text("".join(f"{name}\n" for name in order))
    image = work / "initrd.img"
    _pack(_find(tree, "bin/busybox"), content, image)
    return image


def kernel(tree: Path) -> Path:
    """Return the kernel's image."""
    return tree / f"boot/vmlinuz-{kernel_version(tree)}"


def kernel_version(tree: Path) -> str:
    """Return the version of the one kernel in the tree."""
    found = sorted(path.name.removeprefix("vmlinuz-") for path in tree.glob("boot/vmlinuz-*"))
    if len(found) != 1:
        raise LabError(f"one kernel was expected in the guest's packages, not {found}")
    return found[0]


def _authorise(home: Path, public_key: str) -> None:
    keys = home / ".ssh/authorized_keys"
    keys.write_text(public_key)
    for path, mode in ((home, 0o700), (home / ".ssh", 0o700), (keys, 0o600)):
        path.chmod(mode)


def _install_busybox(tree: Path, root: Path) -> None:
    """Copy busybox and link every program it can be."""
    shutil.copy(_find(tree, "bin/busybox"), root / "bin/busybox")
    known = subprocess.run(
        [root / "bin/busybox", "--list-full"], check=True, capture_output=True, text=True
    )
    for name in known.stdout.split():
        link = root / name
        if link.parent.is_dir() and not link.exists():
            link.symlink_to("/bin/busybox")
    (root / "sbin/init").unlink(missing_ok=True)
    (root / "sbin/init").symlink_to("/bin/busybox")


def _copy_program(tree: Path, root: Path, name: str) -> None:
    """Copy a program and the shared libraries it needs."""
    shutil.copy(tree / name, root / name)
    loader = "/lib64/ld-linux-x86-64.so.2"
    listing = _chroot(tree, loader, "--list", f"/{name}")
    for library in {loader, *re.findall(r"(/\S+\.so\S*) \(0x", listing)}:
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_find(tree, library.lstrip("/")), target)


def _modules(tree: Path) -> list[str]:
    """Return the module files to load, in an order in which each finds what it needs."""
    version = kernel_version(tree)
    _chroot(tree, "depmod", version)
    ordered: dict[str, None] = {}
    for module in _MODULES:
        asked = ["chroot", str(tree), "modprobe", "-S", version, "--show-depends", module]
        # A module this kernel does not have, or has built in, is not an error.
        told = subprocess.run(asked, check=False, capture_output=True, text=True).stdout
        ordered.update(dict.fromkeys(re.findall(r"^insmod (\S+)", told, re.MULTILINE)))
    return list(ordered)


def _copy_module(tree: Path, module: str, directory: Path) -> str:
    """Copy a module, uncompressed: busybox's insmod takes no other."""
    source = tree / module.lstrip("/")
    name = re.sub(r"\.ko\.\w+$", ".ko", source.name)
    match source.suffix:
        case ".xz":
            content = lzma.decompress(source.read_bytes())
        case ".zst":
            argv = ["chroot", str(tree), "zstd", "--decompress", "--stdout", module]
            content = subprocess.run(argv, check=True, capture_output=True).stdout
        case _:
            content = source.read_bytes()
    (directory / name).write_bytes(content)
    return name


def _find(tree: Path, name: str) -> Path:
    """Return a file of the tree, following absolute links within the tree only."""
    path = tree / name
    while path.is_symlink():
        link = path.readlink()
        path = tree / str(link).lstrip("/") if link.is_absolute() else path.parent / link
    if not path.exists():
        raise LabError(f"the guest's packages lack /{name}")
    return path


def _pack(busybox: Path, content: Path, image: Path) -> None:
    names = "\n".join(str(path.relative_to(content)) for path in sorted(content.rglob("*")))
    archive = subprocess.run(
        [busybox, "cpio", "-o", "-H", "newc"],
        cwd=content,
        input=names.encode(),
        check=True,
        capture_output=True,
    )
    # The fastest level: the emulated processor has to unpack it at every start.
    image.write_bytes(gzip.compress(archive.stdout, compresslevel=1))


def _chroot(tree: Path, *argv: str) -> str:
    command = ["chroot", str(tree), *argv]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
