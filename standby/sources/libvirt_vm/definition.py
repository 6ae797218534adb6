"""The source's domain definition, as far as a capture needs it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from standby.errors import RepairSource
from standby.model.disk import DiskStorage, ImageFormat, LeftOutBecause
from standby.model.names import SAFE_NAME_RULE, is_safe_name
from standby.sources.libvirt_vm.settings import SourceSettings


@dataclass(frozen=True, slots=True)
class DefinedDisk:
    """A disk of the definition. `left_out` says why it is not captured, None if it is."""

    name: str
    path: str
    image_format: ImageFormat
    storage: DiskStorage
    boot_order: int | None
    left_out: LeftOutBecause | None = None


def disks_of(xml: str, settings: SourceSettings) -> tuple[DefinedDisk, ...]:
    """Return the disks of a domain definition, in its order.

    Raises RepairSource for a disk that neither can be captured nor is excluded, and for disks
    named in the profile that the machine does not have.
    """
    found = tuple(_disks(_parse(xml), settings))
    known = {disk.name for disk in found}
    unknown = sorted((settings.only | set(settings.excluded)) - known)
    if unknown:
        raise RepairSource(
            f"domain {settings.domain}",
            f"has no disk {', '.join(unknown)}",
            f"one of {', '.join(sorted(known))}",
            "correct source.disks in the profile",
        )
    return found


def nvram_path(xml: str) -> str | None:
    """Return the path of the machine's UEFI variables, or None without UEFI."""
    node = _parse(xml).find("./os/nvram")
    if node is None:
        return None
    source = node.find("source")
    return (node.text or "").strip() or (source.get("file") if source is not None else None)


def boot_disk(disks: tuple[DefinedDisk, ...]) -> str | None:
    """Return the disk the machine boots from: the lowest boot order, or the first disk."""
    ordered = [disk for disk in disks if disk.boot_order is not None]
    if ordered:
        return min(ordered, key=lambda disk: disk.boot_order or 0).name
    drives = {LeftOutBecause.CDROM, LeftOutBecause.FLOPPY}
    return next((disk.name for disk in disks if disk.left_out not in drives), None)


def _parse(xml: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(xml)  # noqa: S314 - libvirt's own output
    except ElementTree.ParseError as error:
        raise RepairSource("domain definition", f"unreadable ({error})", "libvirt's XML") from error


def _disks(root: ElementTree.Element, settings: SourceSettings) -> Iterator[DefinedDisk]:
    for node in root.iterfind("./devices/disk"):
        target = node.find("target")
        name = target.get("dev", "") if target is not None else ""
        if not is_safe_name(name):
            raise RepairSource(f"disk {name!r}", "unusable target name", SAFE_NAME_RULE)
        boot = node.find("boot")
        order = int(boot.get("order", "0")) if boot is not None else None
        yield _disk(node, name, order, settings)


def _disk(
    node: ElementTree.Element, name: str, boot_order: int | None, settings: SourceSettings
) -> DefinedDisk:
    because = _left_out(node, name, settings)
    source = node.find("source")
    kind = node.get("type", "")
    driver = node.find("driver")
    image_format = driver.get("type", "raw") if driver is not None else "raw"
    path = "" if source is None else source.get("file") or source.get("dev") or ""
    if because is None:
        _require_capturable(name, kind, image_format)
        _require_plain(node, name)
        _require_alone(node, name)
    return DefinedDisk(
        name=name,
        path=path,
        image_format=ImageFormat.QCOW2 if image_format == "qcow2" else ImageFormat.RAW,
        storage=DiskStorage.BLOCK if kind == "block" else DiskStorage.FILE,
        boot_order=boot_order,
        left_out=because,
    )


def _left_out(
    node: ElementTree.Element, name: str, settings: SourceSettings
) -> LeftOutBecause | None:
    match node.get("device", "disk"):
        case "cdrom":
            return LeftOutBecause.CDROM
        case "floppy":
            return LeftOutBecause.FLOPPY
    if name in settings.excluded or (settings.only and name not in settings.only):
        return LeftOutBecause.EXCLUDED
    if node.find("readonly") is not None:
        return LeftOutBecause.READ_ONLY
    return LeftOutBecause.EMPTY_DRIVE if node.find("source") is None else None


def _require_capturable(name: str, kind: str, image_format: str) -> None:
    if kind not in {"file", "block"}:
        raise RepairSource(
            f"disk {name}",
            f"storage of type {kind!r}",
            "a file or a block device",
            f"exclude it: source.disks.exclude.{name}",
        )
    if image_format not in {"qcow2", "raw"}:
        raise RepairSource(
            f"disk {name}",
            f"format {image_format!r}",
            "qcow2 or raw",
            f"convert it, or exclude it: source.disks.exclude.{name}",
        )


def _require_plain(node: ElementTree.Element, name: str) -> None:
    """Refuse what libvirt encrypts: in the clear while it is open, unreadable while it is not."""
    if next(node.iter("encryption"), None) is not None:
        raise RepairSource(
            f"disk {name}",
            "libvirt encrypts it: a capture of the running machine would hold it in the clear, "
            "and one of a machine that is off what nobody can read without libvirt's secret",
            "a disk that is encrypted inside the guest, or not at all",
            f"exclude it: source.disks.exclude.{name}",
        )


def _require_alone(node: ElementTree.Element, name: str) -> None:
    """Refuse disks that are written past QEMU's block layer, where no capture sees it."""
    if node.get("device") == "lun":
        found = "a LUN that is handed through: the guest's commands go past QEMU's block layer"
    elif node.find("shareable") is not None:
        found = "shareable: what other machines write to it goes past this one's QEMU"
    else:
        return
    raise RepairSource(
        f"disk {name}",
        f"{found}, and a capture would not be of one moment",
        "a disk that this machine alone writes, through QEMU",
        f"exclude it: source.disks.exclude.{name}",
    )
