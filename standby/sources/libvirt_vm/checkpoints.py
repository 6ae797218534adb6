"""Our checkpoints on the source, among those of other tools and other standbys."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

import libvirt
from markupsafe import Markup

from standby.host.libvirt import libvirt_calls
from standby.host.rendering import render
from standby.model.observation import TrackedCheckpoint, TrackedDisk

log = logging.getLogger(__name__)

_WITH_SIZES: Final = (
    libvirt.VIR_DOMAIN_CHECKPOINT_XML_SIZE | libvirt.VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN
)


def tracked_checkpoints(domain: libvirt.virDomain, owner: str) -> tuple[TrackedCheckpoint, ...]:
    """Return the checkpoints whose name begins with `owner`, oldest first, of a running VM."""
    found = []
    for checkpoint in _ours(domain, owner):
        with libvirt_calls(f"checkpoint {checkpoint.getName()}"):
            found.append(parse_checkpoint(checkpoint.getXMLDesc(_WITH_SIZES)))
    return tuple(sorted(found, key=lambda tracked: tracked.name))


def parse_checkpoint(xml: str) -> TrackedCheckpoint:
    """Read a checkpoint's XML with sizes.

    libvirt gives a size, counted from the live bitmap, only when the bitmap is there, is
    consistent and reaches through the whole chain of the disk's images. That is the very
    condition of a backup from it, and asking so leaves the domain untainted by monitor commands.
    """
    root = ElementTree.fromstring(xml)  # noqa: S314 - libvirt's own output
    name = root.findtext("name", "")
    nodes = root.iterfind("./disks/disk[@checkpoint='bitmap']")
    return TrackedCheckpoint(name, tuple(_tracked(node, name) for node in nodes))


def forget(domain: libvirt.virDomain, names: Iterable[str]) -> None:
    """Delete checkpoints, and their bitmaps where these are there; missing ones are no error."""
    for name in names:
        checkpoint = _lookup(domain, name)
        if checkpoint is not None:
            _delete(checkpoint)


def socket_of_backup(xml: str) -> str:
    """Return the UNIX socket of a backup job's XML, "" when it uses another transport."""
    root = ElementTree.fromstring(xml)  # noqa: S314 - libvirt's own output
    server = root.find("server")
    return server.get("socket", "") if server is not None else ""


def describe(name: str, tracked: Sequence[str], all_disks: Sequence[str]) -> str:
    """Return the XML of a new checkpoint over `tracked`, some of the machine's disks."""
    return _render(_Description(name, _coverage(tracked, all_disks)))


@dataclass(frozen=True, slots=True)
class _Description:
    """A checkpoint's XML. `created` (seconds of the epoch) and `domain` only to redefine one."""

    name: str
    disks: tuple[tuple[str, str], ...]
    created: int | None = None
    domain: Markup | None = None


def _render(checkpoint: _Description) -> str:
    return render("checkpoint.xml.j2", {"checkpoint": checkpoint})


def _coverage(tracked: Sequence[str], all_disks: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((disk, "bitmap" if disk in tracked else "no") for disk in all_disks)


def _ours(domain: libvirt.virDomain, owner: str) -> Iterable[libvirt.virDomainCheckpoint]:
    with libvirt_calls(f"checkpoints of {domain.name()}"):
        return [c for c in domain.listAllCheckpoints() if c.getName().startswith(owner)]


def _tracked(node: ElementTree.Element, checkpoint: str) -> TrackedDisk:
    size = node.get("size")
    disk = node.get("name", "")
    if size is None:
        return TrackedDisk(disk, f"the bitmap of checkpoint {checkpoint} is missing or broken")
    return TrackedDisk(disk, None, int(size))


def _lookup(domain: libvirt.virDomain, name: str) -> libvirt.virDomainCheckpoint | None:
    try:
        return domain.checkpointLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_CHECKPOINT:
            return None
        with libvirt_calls(f"checkpoint {name}"):
            raise


def _delete(checkpoint: libvirt.virDomainCheckpoint) -> None:
    name = checkpoint.getName()
    try:
        checkpoint.delete(0)
    except libvirt.libvirtError:
        # The bitmap is gone or the VM is off: then only libvirt's own record can be deleted.
        with libvirt_calls(f"checkpoint {name}"):
            checkpoint.delete(libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)


def redefine(domain: libvirt.virDomain, name: str, disks: Sequence[str]) -> bool:
    """Tell libvirt of a bitmap that was begun while the VM was off; False when it is not there.

    libvirt validates that the bitmap exists in every image, which it can only do while the VM
    runs.
    """
    with libvirt_calls(f"domain {domain.name()}"):
        definition = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    root = ElementTree.fromstring(definition)  # noqa: S314 - libvirt's own output
    every = [node.get("dev", "") for node in root.iterfind("./devices/disk/target")]
    xml = _render(
        _Description(
            name,
            _coverage(disks, every),
            int(time.time()),
            Markup(definition),  # noqa: S704 - libvirt's own XML, as it asks for it
        )
    )
    flags = (
        libvirt.VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE
        | libvirt.VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE
    )
    try:
        domain.checkpointCreateXML(xml, flags)
    except libvirt.libvirtError as error:
        log.info("checkpoint %s: not taken up again: %s", name, error.get_error_message())
        return False
    return True
