"""The disks that a running machine has, where these are not those of its definition. Pure.

Disks can be attached to the running machine alone, or to its definition for the next start. What
is captured is what the machine has now, and a point's definition names what was captured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from xml.etree import ElementTree

_Disks: TypeAlias = Mapping[str, ElementTree.Element]
# What libvirt tells of a disk only while the machine runs.
_OF_THE_RUN: Final = ("alias", "backingStore", "mirror")


@dataclass(frozen=True, slots=True)
class RunningMachine:
    """A definition with the disks that the machine has now; `remarks`, for people, on others.

    `moving` are the disks that a block job copies to other storage.
    """

    xml: str
    remarks: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()


def as_it_runs(definition: str, running: str) -> RunningMachine:
    """Return a machine's definition with the disks of its running self.

    Without a difference the definition's text is left as it is.
    """
    tree = ElementTree.fromstring(definition)  # noqa: S314 - libvirt's own output
    live = ElementTree.fromstring(running)  # noqa: S314 - libvirt's own output
    defined, attached = _disks(tree), _disks(live)
    moving = tuple(sorted(n for n, disk in attached.items() if disk.find("mirror") is not None))
    devices = tree.find("devices")
    if devices is None or _places(defined) == _places(attached):
        return RunningMachine(definition, moving=moving)
    for disk in defined.values():
        devices.remove(disk)
    devices.extend(_lasting(disk) for disk in attached.values())
    text = ElementTree.tostring(tree, encoding="unicode")
    return RunningMachine(text, _told(defined, attached), moving)


def _disks(root: ElementTree.Element) -> _Disks:
    found = {}
    for disk in root.iterfind("./devices/disk"):
        target = disk.find("target")
        if disk.get("device", "disk") in {"disk", "lun"} and target is not None:
            found[target.get("dev", "")] = disk
    return found


def _places(disks: _Disks) -> Mapping[str, str]:
    return {name: _place(disk) for name, disk in disks.items()}


def _place(disk: ElementTree.Element) -> str:
    source = disk.find("source")
    return "" if source is None else source.get("file") or source.get("dev") or ""


def _lasting(disk: ElementTree.Element) -> ElementTree.Element:
    for tag in _OF_THE_RUN:
        for node in disk.findall(tag):
            disk.remove(node)
    return disk


def _told(defined: _Disks, attached: _Disks) -> tuple[str, ...]:
    here = (f"disk {n} is attached only while the machine runs" for n in attached.keys() - defined)
    later = (f"disk {n} comes with the machine's next start" for n in defined.keys() - attached)
    return (*sorted(here), *sorted(later))
