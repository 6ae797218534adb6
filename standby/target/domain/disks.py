"""Planning the standby's disks and drives. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from standby.target.domain.element import Element
from standby.target.domain.ground import Ground, Judged, left_out
from standby.target.domain.machine import DeviceKind, Disk
from standby.target.domain.platform import family_of
from standby.target.domain.settings import Replacement
from standby.target.domain.spec import DiskSpec

_DRIVES: Final = frozenset({DeviceKind.CDROM, DeviceKind.FLOPPY})
_EMULATED_BUSES: Final = frozenset({"ide", "sata", "scsi"})
_IDE_DRIVES = 4  # two channels of two
# What a bus is replaced by where it cannot be: the first that the host offers. Guests have
# drivers for AHCI more often than for anything else.
_FALLBACKS: Final = ("sata", "ide", "virtio", "scsi", "usb")
_FAMILIES_WITH_IDE: Final = frozenset({"pc", "isapc"})


def plan_disks(ground: Ground) -> Judged[tuple[DiskSpec, ...]]:
    """Plan every disk and drive: where its image is, and how the guest sees it."""
    judged = [_plan_disk(ground, disk) for disk in ground.machine.disks]
    specs = tuple(one.value for one in judged if one.value is not None)
    replaced = tuple(entry for one in judged for entry in one.replaced)
    settled = _settle_ide(_with_free_addresses(ground, specs), ground)
    return Judged(settled.value, replaced + settled.replaced)


def _plan_disk(ground: Ground, disk: Disk) -> Judged[DiskSpec | None]:
    if disk.kind in _DRIVES:
        return _plan_drive(ground, disk)
    if disk.name not in ground.settings.captured | ground.settings.empty:
        boots = ", which the machine boots from" if disk.boot_order == 1 else ""
        return Judged(None, (left_out(f"disk {disk.name}{boots}", "it is not protected"),))
    bus = _plan_bus(ground, disk)
    spec = replace(
        _spec(disk, bus.value),
        kind=DeviceKind.DISK,
        file=ground.names.directory.head_image(disk.name),
    )
    return Judged(spec, bus.replaced + tuple(_disk_remarks(ground, disk)))


def _disk_remarks(ground: Ground, disk: Disk) -> Iterable[Replacement]:
    name = f"disk {disk.name}"
    if disk.name in ground.settings.empty:
        yield Replacement(name, "an empty disk of the same size", "it is not protected")
    if disk.kind is DeviceKind.LUN:
        yield Replacement(name, "a SCSI disk", "a unit passed through stays on the source's host")
    if disk.shared:
        yield Replacement(name, "a disk of its own", "the machine shares it with others")
    for tag in disk.unknown:
        yield left_out(f"<{tag}> of {name}", "it belongs to the source's host")


def _plan_drive(ground: Ground, disk: Disk) -> Judged[DiskSpec | None]:
    buses = ground.host.platform.disk_buses
    if disk.kind is DeviceKind.FLOPPY and disk.bus not in buses:
        return Judged(None, (left_out(f"floppy drive {disk.name}", "the KVM host has none"),))
    if disk.kind is DeviceKind.FLOPPY:
        return Judged(_spec(disk, disk.bus))
    bus = _drive_bus(ground, disk)
    return Judged(_spec(disk, bus.value), bus.replaced)


def _drive_bus(ground: Ground, disk: Disk) -> Judged[str]:
    """Leave a drive where it is: the bus asked for is the disks'."""
    if _is_possible(ground, disk.bus):
        return Judged(disk.bus)
    return _replaced_bus(ground, disk.bus, f"drive {disk.name} on {disk.bus}")


def _plan_bus(ground: Ground, disk: Disk) -> Judged[str]:
    asked = ground.settings.disk_bus
    wanted = asked.value if asked is not None else disk.bus
    if _is_possible(ground, wanted):
        return Judged(wanted)
    return _replaced_bus(ground, wanted, f"disk {disk.name} on {wanted}")


def _replaced_bus(ground: Ground, wanted: str, what: str) -> Judged[str]:
    other = next((bus for bus in _FALLBACKS if _is_possible(ground, bus)), wanted)
    why = f"a {ground.platform.machine_type} on the KVM host has no such bus"
    return Judged(other, (Replacement(what, other, why),))


def _is_possible(ground: Ground, bus: str) -> bool:
    if bus == "ide" and family_of(ground.platform.machine_type) not in _FAMILIES_WITH_IDE:
        return False
    return bus in ground.host.platform.disk_buses


def _spec(disk: Disk, bus: str) -> DiskSpec:
    same = bus == disk.bus
    return DiskSpec(
        name=disk.name,
        kind=disk.kind,
        bus=bus,
        model=disk.model if same else "",
        removable=disk.removable if bus in {"usb", "scsi"} else "",
        rotation_rate=disk.rotation_rate if bus in _EMULATED_BUSES | {"usb"} else "",
        discard=disk.discard,
        boot_order=disk.boot_order,
        look=tuple(part for part in disk.look if same or part.tag in {"serial", "blockio"}),
        address=disk.address if same else None,
    )


# ---- addresses on the emulated buses -------------------------------------------------------


def _with_free_addresses(ground: Ground, specs: tuple[DiskSpec, ...]) -> tuple[DiskSpec, ...]:
    """Give new numbers to the drives of each bus that gained one.

    libvirt numbers drives by their names, so that vda and sda on one bus would collide.
    """
    before = {disk.name: disk.bus for disk in ground.machine.disks}
    changed = {spec.bus for spec in specs if before[spec.name] != spec.bus}
    places: dict[str, int] = {}
    numbered = []
    for spec in specs:
        address = spec.address if ground.same_family or spec.bus in _EMULATED_BUSES else None
        if spec.bus in changed & _EMULATED_BUSES:
            place = places[spec.bus] = places.get(spec.bus, -1) + 1
            address = drive_address(spec.bus, place)
        numbered.append(replace(spec, address=address))
    return tuple(numbered)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How many drives a controller holds: buses, each with units."""

    buses: int
    units: int


# As libvirt's own numbering has it; SCSI within what every controller's model takes.
_SHAPES: Final[Mapping[str, _Shape]] = {
    "ide": _Shape(buses=2, units=2),
    "sata": _Shape(buses=1, units=6),
    "scsi": _Shape(buses=1, units=7),
}


def drive_address(bus: str, place: int) -> Element:
    """Return the address of the drive at `place`, counted from 0, of an emulated bus."""
    shape = _SHAPES[bus]
    controller, within = divmod(place, shape.buses * shape.units)
    channel, unit = divmod(within, shape.units)
    return Element(
        "address",
        (
            ("type", "drive"),
            ("controller", str(controller)),
            ("bus", str(channel)),
            ("target", "0"),
            ("unit", str(unit)),
        ),
    )


def _settle_ide(specs: tuple[DiskSpec, ...], ground: Ground) -> Judged[tuple[DiskSpec, ...]]:
    """Move what is too much for IDE to another bus; its first controller is the only one."""
    on_ide = [spec for spec in specs if spec.bus == "ide"]
    surplus = [spec.name for spec in on_ide[_IDE_DRIVES:]]
    if not surplus:
        return Judged(specs)
    other = next(b for b in ("sata", "virtio") if b in ground.host.platform.disk_buses)
    moved = tuple(
        replace(spec, bus=other, address=None) if spec.name in surplus else spec for spec in specs
    )
    why = f"IDE holds {_IDE_DRIVES} drives"
    return Judged(moved, tuple(Replacement(f"disk {n} on ide", other, why) for n in surplus))
