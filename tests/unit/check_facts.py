"""Facts for the tests of judgements: everything well, so that a test names what is not."""

from __future__ import annotations

from standby.app.checks.host_facts import HostFacts, Program
from standby.app.checks.libvirt_facts import LibvirtFacts, Owner
from standby.app.checks.needs import NEEDS
from standby.app.checks.storage_facts import Step, StorageFacts
from standby.model.disk import DiskStorage, ImageFormat, SourceDisk
from standby.target.domain.capabilities import HostCapabilities, PlatformCapabilities

GIB = 1 << 30
MIB = 1 << 20


def program(name: str) -> Program:
    """A program as new as ours, of the make we want."""
    make = next(need.gnu for need in NEEDS if need.program == name)
    return Program(name, f"/usr/bin/{name}", (9, 1), f"{name} ({make}) 9.1")


def host_facts(**changes: object) -> HostFacts:
    facts: dict[str, object] = {
        "name": "kvm1",
        "user": "root",
        "login": "root",
        "groups": ("root",),
        "system": "Debian GNU/Linux 12 (bookworm)",
        "families": frozenset({"debian"}),
        "arch": "x86_64",
        "cpus": 2,
        "memory": 4 * GIB,
        "ahead": 0.0,
        "uncertain": 0.01,
        "programs": {need.program: program(need.program) for need in NEEDS},
    }
    return HostFacts(**{**facts, **changes})  # type: ignore[arg-type]


def libvirt_facts(**changes: object) -> LibvirtFacts:
    facts: dict[str, object] = {
        "version": (9, 0, 0),
        "qemu": (7, 2, 22),
        "security": ("none", "dac"),
        "qemu_user": Owner(64055, 64055),
        "arch": "x86_64",
        "cpu": "Broadwell",
        "capabilities": HostCapabilities(()),
        "platform": PlatformCapabilities(max_vcpus=255),
        "backup": True,
    }
    return LibvirtFacts(**{**facts, **changes})  # type: ignore[arg-type]


def storage_facts(**changes: object) -> StorageFacts:
    facts: dict[str, object] = {
        "path": "/srv/standby",
        "below": "/srv/standby",
        "filesystem": "ext2/ext3",
        "mount": "/srv",
        "options": ("rw", "relatime"),
        "available": 100 * GIB,
        "total": 200 * GIB,
        "inodes": 1_000_000,
        "context": "?",
        "steps": tuple(Step("drwxr-xr-x", 0, 0, path) for path in ("/srv/standby", "/srv", "/")),
    }
    return StorageFacts(**{**facts, **changes})  # type: ignore[arg-type]


def source_disk(**changes: object) -> SourceDisk:
    facts: dict[str, object] = {
        "name": "vda",
        "path": "/srv/vms/web1.qcow2",
        "image_format": ImageFormat.QCOW2,
        "storage": DiskStorage.FILE,
        "size": 10 * GIB,
        "allocated": 2 * GIB,
    }
    return SourceDisk(**{**facts, **changes})  # type: ignore[arg-type]
