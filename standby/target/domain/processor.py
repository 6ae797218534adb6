"""Planning the standby's processors and memory. Pure."""

from __future__ import annotations

from dataclasses import replace

from standby.target.domain.element import Element
from standby.target.domain.ground import Ground, Judged, left_out
from standby.target.domain.machine import Cpu, Memory, Vcpus
from standby.target.domain.settings import Replacement


def plan_memory(ground: Ground) -> Memory:
    """Return the memory asked for, or the machine's."""
    wanted = ground.settings.memory
    return ground.machine.memory if wanted is None else Memory(wanted, wanted)


def plan_vcpus(ground: Ground) -> Judged[Vcpus]:
    """Return the number of processors asked for, or the machine's, or as many as can be."""
    asked = ground.settings.vcpus
    wanted = ground.machine.vcpus if asked is None else Vcpus(asked, asked)
    most = ground.host.platform.max_vcpus
    if wanted.maximum <= most:
        return Judged(wanted)
    why = f"a {ground.platform.machine_type} on the KVM host holds no more"
    replaced = Replacement(f"{wanted.maximum} processors", str(most), why)
    return Judged(Vcpus(most, min(most, wanted.current)), (replaced,))


def plan_cpu(ground: Ground, vcpus: Vcpus) -> Judged[Cpu | None]:
    """Plan the processor: the machine's own where the host runs it, else the nearest."""
    source = ground.machine.cpu
    if source is None:
        return Judged(None)
    shape = _plan_shape(ground, source, vcpus)
    model = _plan_model(ground, source)
    numa = _plan_numa(ground, source.numa)
    cpu = replace(model.value, shape=shape.value, numa=numa.value)
    return Judged(cpu, model.replaced + shape.replaced + numa.replaced)


def _plan_shape(ground: Ground, cpu: Cpu, vcpus: Vcpus) -> Judged[tuple[Element, ...]]:
    if vcpus.maximum == ground.machine.vcpus.maximum:
        return Judged(cpu.shape)
    others = tuple(part for part in cpu.shape if part.tag != "topology")
    if others == cpu.shape:
        return Judged(others)
    why = f"it describes {ground.machine.vcpus.maximum} processors, not {vcpus.maximum}"
    return Judged(others, (left_out("processor topology", why),))


def _plan_numa(ground: Ground, numa: Element | None) -> Judged[Element | None]:
    if numa is None:
        return Judged(None)
    if _has_plugged_memory(ground) or ground.settings.memory or ground.settings.vcpus:
        return Judged(None, (left_out("NUMA cells", "memory or processors are not the same"),))
    cells = tuple(_without_host_side(child) for child in numa.children)
    return Judged(replace(numa, children=cells))


def _without_host_side(cell: Element) -> Element:
    attributes = tuple(a for a in cell.attributes if a[0] not in {"memAccess", "discard"})
    return replace(cell, attributes=attributes)


def _has_plugged_memory(ground: Ground) -> bool:
    return any(device.tag == "memory" for device in ground.machine.devices)


def _plan_model(ground: Ground, cpu: Cpu) -> Judged[Cpu]:
    modes = ground.host.platform.cpu_modes
    why = f"the KVM host does not offer it to {ground.platform.virtualisation.value} guests"
    if cpu.mode in {"", "custom"}:
        return _plan_custom(ground, cpu)
    if cpu.mode in modes:
        return Judged(cpu)
    nearest = _nearest_mode(ground)
    by = nearest.mode or "the default processor"
    return Judged(nearest, (Replacement(f"processor {cpu.mode}", by, why),))


def _plan_custom(ground: Ground, cpu: Cpu) -> Judged[Cpu]:
    if not cpu.model:  # only a shape
        return Judged(cpu)
    model = next((m for m in ground.host.platform.cpu_models if m.name == cpu.model), None)
    if model is None:
        why = "the KVM host does not know it"
    elif cpu.check == "none":  # QEMU starts it with whatever features there are, as on the source
        return Judged(cpu)
    elif ground.host.runs_cpu is False or (ground.host.runs_cpu is None and not model.usable):
        why = "the KVM host's processor lacks features of it"
    else:
        return Judged(cpu)
    nearest = _nearest_mode(ground)
    by = nearest.mode or "the default processor"
    return Judged(nearest, (Replacement(f"processor {cpu.model}", by, why),))


def _nearest_mode(ground: Ground) -> Cpu:
    """Return the processor that boots most guests: all that the host can give."""
    wanted = ("maximum",) if ground.emulated else ("host-model", "host-passthrough", "maximum")
    modes = ground.host.platform.cpu_modes
    return Cpu(mode=next((mode for mode in wanted if mode in modes), ""))
