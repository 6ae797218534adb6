"""The definition of the dormant domain, from its plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from standby.errors import FixProfile, RepairSource
from standby.host.rendering import render, render_own
from standby.target.domain.element import Element, parse_xml
from standby.target.domain.machine import Cpu
from standby.target.domain.spec import NAMESPACE, DomainSpec, Mark

_TEMPLATE: Final = "domain.xml.j2"
_CPU_TEMPLATE: Final = "cpu.xml.j2"
_MARK: Final = f"metadata/{{{NAMESPACE}}}replica"


def render_domain(spec: DomainSpec, template: Path | None = None) -> str:
    """Render a plan by our template, or by a user's own.

    Raises FixProfile when the template is wrong, or leaves out what the domain is known by.
    """
    values = {"domain": spec, "namespace": NAMESPACE}
    if template is None:
        return render(_TEMPLATE, values)
    xml = render_own(template, values)
    _require_what_is_ours(xml, spec, template)
    return xml


def render_cpu(cpu: Cpu) -> str:
    """Render a processor alone, to ask a host about it."""
    return render(_CPU_TEMPLATE, {"cpu": cpu})


def read_mark(element: Element) -> Mark:
    """Read our element in a domain's metadata; libvirt hands it out without its namespace."""
    mark = _without_namespaces(element)
    return Mark(
        standby=mark.text_of("standby"),
        directory=mark.text_of("directory"),
        profile=mark.text_of("profile"),
        machine_name=mark.text_of("machine"),
        machine_uuid=mark.attribute_of("machine", "uuid"),
    )


def _without_namespaces(element: Element) -> Element:
    children = tuple(_without_namespaces(child) for child in element.children)
    return replace(element, tag=element.tag.rpartition("}")[2], children=children)


def _require_what_is_ours(xml: str, spec: DomainSpec, template: Path) -> None:
    """Refuse a template without which we would not know our own domain again."""
    try:
        root = parse_xml(xml, str(template))
    except RepairSource as error:
        raise FixProfile(str(template), error.found, "a template that makes XML") from error
    mark = root.first(_MARK)
    images = {source.get("file") for source in root.all("devices/disk/source")}
    wrong = {
        "<name>": root.text_of("name") != spec.name,
        "<uuid>": root.text_of("uuid") != spec.uuid,
        "the block `mark`": mark is None or read_mark(mark) != spec.mark,
        "a disk": not {disk.file for disk in spec.disks if disk.file} <= images,
    }
    for what in (what for what, is_wrong in wrong.items() if is_wrong):
        raise FixProfile(str(template), f"it leaves out or changes {what}", "what the plan says")
