"""Planning what stands beside the devices: features, clock, power, and what is only tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID, uuid5

from standby.target.domain.element import Element
from standby.target.domain.ground import Ground, Judged, left_out
from standby.target.domain.settings import Identifier, Replacement

Part = Judged[Element | None]
Judge = Callable[[Ground, Element], Part]

_NOTHING: Final[Part] = Judged(None)
_TUNING: Final = "it is tuning for the source's host"

# What libvirt 7.6, the oldest that this product runs on, understands inside <features>.
_FEATURES: Final = frozenset(
    {
        *("acpi", "apic", "pae", "hap", "hyperv", "kvm", "pvspinlock", "pmu", "vmport", "smm"),
        *("ioapic", "vmcoreinfo", "gic", "msrs", "htm", "hpt", "nested-hv", "ccf-assist"),
        *("cfpc", "sbbc", "ibs"),
    }
)
_NEEDS_KVM: Final = frozenset({"kvm", "ioapic", "pvspinlock", "hap"})
_HYPERV: Final = frozenset(
    {
        *("relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "reset"),
        *("vendor_id", "frequencies", "reenlightenment", "tlbflush", "ipi", "evmcs"),
    }
)
_HYPERV_EMULATED: Final = frozenset({"spinlocks", "vendor_id"})
_KVM: Final = frozenset({"hidden", "hint-dedicated", "poll-control", "pv-ipi"})
_TIMERS_NEEDING_KVM: Final = frozenset({"kvmclock", "hypervclock", "tsc"})
_DIRECT_BOOT: Final = frozenset({"kernel", "initrd", "cmdline", "dtb", "shim", "init"})


def plan_system(ground: Ground) -> Judged[tuple[Element, ...]]:
    """Plan every element beside devices that has no planner of its own."""
    return _all(ground, ground.machine.rest, _JUDGES)


def plan_os(ground: Ground) -> Judged[tuple[Element, ...]]:
    """Plan what <os> says besides type, firmware and boot devices."""
    direct = [part.tag for part in ground.machine.os if part.tag in _DIRECT_BOOT]
    others = tuple(part for part in ground.machine.os if part.tag not in _DIRECT_BOOT)
    judged = _all(ground, others, _OS_JUDGES)
    if not direct:
        return judged
    why = "their files are on the source's host"
    by = "the boot loader on the disk"
    replaced = Replacement(f"direct boot ({', '.join(direct)})", by, why)
    return Judged(judged.value, (*judged.replaced, replaced))


def _all(
    ground: Ground, parts: tuple[Element, ...], judges: Mapping[str, Judge]
) -> Judged[tuple[Element, ...]]:
    judged = [judges.get(part.tag, _unknown)(ground, part) for part in parts]
    kept = tuple(one.value for one in judged if one.value is not None)
    return Judged(kept, tuple(entry for one in judged for entry in one.replaced))


# ---- the judges ----------------------------------------------------------------------------


def _carry(_: Ground, part: Element) -> Part:
    return Judged(part)


def _leave(_: Ground, __: Element) -> Part:
    return _NOTHING


def _drop(why: str) -> Judge:
    def judge(_: Ground, part: Element) -> Part:
        return Judged(None, (left_out(_plain(part.tag), why),))

    return judge


def _unknown(ground: Ground, part: Element) -> Part:
    return _drop("it is not known how to carry it over")(ground, part)


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


def _features(ground: Ground, part: Element) -> Part:
    known = _FEATURES - _NEEDS_KVM if ground.emulated else _FEATURES
    kept = tuple(child for child in part.children if child.tag in known)
    dropped = tuple(child.tag for child in part.children if child.tag not in known)
    hyperv = [_hyperv(ground, child) for child in kept if child.tag == "hyperv"]
    children = (
        *(_feature(child) for child in kept if child.tag != "hyperv"),
        *(one.value for one in hyperv if one.value is not None),
    )
    replaced = tuple(entry for one in hyperv for entry in one.replaced)
    return Judged(replace(part, children=children), _missing("features", dropped) + replaced)


def _feature(child: Element) -> Element:
    if child.tag != "kvm":
        return child
    return replace(child, children=tuple(c for c in child.children if c.tag in _KVM))


def _missing(kind: str, names: tuple[str, ...]) -> tuple[Replacement, ...]:
    why = "the KVM host does not offer them to such a guest"
    return (left_out(f"{kind} {', '.join(names)}", why),) if names else ()


def _hyperv(ground: Ground, part: Element) -> Part:
    if part.get("mode") == "passthrough" and not ground.emulated:
        return Judged(part)
    offered = _offered_hyperv(ground)
    kept = tuple(child for child in part.children if child.tag in offered)
    dropped = tuple(child.tag for child in part.children if child.tag not in offered)
    value = Element("hyperv", (("mode", "custom"),), kept) if kept else None
    return Judged(value, _missing("Hyper-V enlightenments", dropped))


def _offered_hyperv(ground: Ground) -> frozenset[str]:
    told = ground.host.platform.hyperv
    if told is not None:
        return told
    return _HYPERV_EMULATED if ground.emulated else _HYPERV


def _clock(ground: Ground, part: Element) -> Part:
    unfit = _TIMERS_NEEDING_KVM if ground.emulated else frozenset()
    dropped = tuple(t.get("name") for t in part.all("timer") if t.get("name") in unfit)
    kept = tuple(_timer(t) for t in part.all("timer") if t.get("name") not in unfit)
    return Judged(replace(part, children=kept), _missing("timers", dropped))


def _timer(timer: Element) -> Element:
    """Leave the frequency out: a host whose counter runs at another one refuses to start."""
    attributes = tuple(a for a in timer.attributes if a[0] != "frequency")
    return replace(timer, attributes=attributes)


def _genid(ground: Ground, _: Element) -> Part:
    """Give the guest an id that its disks have not seen.

    By it, Windows and others notice that they run from an older state.
    """
    return Judged(Element("genid", text=str(uuid5(UUID(ground.names.uuid), "genid"))))


def _sysinfo(ground: Ground, part: Element) -> Part:
    def stays(entry: Element) -> bool:
        is_uuid = entry.get("name") == "uuid" and ground.settings.uuid is Identifier.NEW
        return not is_uuid and not entry.get("file")

    blocks = tuple(
        replace(block, children=tuple(e for e in block.children if stays(e)))
        for block in part.children
        if stays(block)
    )
    files = [e.get("name") for e in part.walk() if e.get("file")]
    why = "its file is on the source's host"
    return Judged(
        replace(part, children=blocks), tuple(left_out(f"{f} of fwcfg", why) for f in files)
    )


_JUDGES: Final[Mapping[str, Judge]] = {
    "features": _features,
    "clock": _clock,
    "genid": _genid,
    "sysinfo": _sysinfo,
    "pm": _carry,
    "on_poweroff": _carry,
    "on_reboot": _carry,
    "on_crash": _carry,
    "title": _leave,
    "description": _leave,
    "metadata": _leave,
    "iothreads": _leave,
    "iothreadids": _leave,
    "vcpus": _leave,
    "seclabel": _leave,
    "perf": _leave,
    "resource": _leave,
    "on_lockfailure": _leave,
    "cputune": _drop(_TUNING),
    "numatune": _drop(_TUNING),
    "blkiotune": _drop(_TUNING),
    "memtune": _drop(_TUNING),
    "memoryBacking": _drop("huge pages and shared memory are the source host's"),
    "maxMemory": _drop("memory is not plugged into a standby while it runs"),
    "launchSecurity": _drop("its keys are the source host's processor's"),
    "keywrap": _drop("its keys are the source host's"),
    "idmap": _leave,
}
_OS_JUDGES: Final[Mapping[str, Judge]] = {
    "bootmenu": _carry,
    "bios": _carry,
    "smbios": _carry,
    "acpi": _drop("its tables are files on the source's host"),
}
