"""Planning all other devices: each tag has one judge. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from standby.target.domain.element import Element
from standby.target.domain.ground import Ground, Judged, left_out
from standby.target.domain.settings import Replacement
from standby.target.domain.spec import DiskSpec, Tpm

Device = Judged[Element | None]
Judge = Callable[[Ground, Element], Device]

_NOTHING: Final[Device] = Judged(None)
_ADDRESS: Final = frozenset({"address"})
_VIDEO_FALLBACKS: Final = ("vga", "virtio", "bochs", "cirrus", "ramfb")
_SPICE_SERVER: Final = "SPICE, which the KVM host's QEMU does not have"


def plan_devices(ground: Ground, disks: tuple[DiskSpec, ...]) -> Judged[tuple[Element, ...]]:
    """Plan everything that is neither disk nor NIC nor TPM."""
    judged = [_judge(ground, device) for device in ground.machine.devices]
    kept = _without_twins(tuple(one.value for one in judged if one.value is not None))
    replaced = tuple(entry for one in judged for entry in one.replaced)
    return Judged(_with_scsi(kept, disks), replaced)


def plan_tpm(ground: Ground) -> Judged[Tpm | None]:
    """Plan an emulated TPM where the machine has any TPM, with its state if that is there."""
    tpm = next((device for device in ground.machine.devices if device.tag == "tpm"), None)
    if tpm is None:
        return Judged(None)
    host = ground.host.platform
    if not host.emulates_tpm:
        return Judged(None, (left_out("TPM", "the KVM host has no swtpm; install swtpm-tools"),))
    model = tpm.get("model", "tpm-tis")
    version = tpm.attribute_of("backend", "version", "2.0")
    spec = Tpm(
        model=_or_any(model, host.tpm_models, "tpm-tis"),
        version=_or_any(version, host.tpm_versions, "2.0"),
    )
    if ground.names.holds_tpm and spec.version == version:
        return Judged(spec)
    why = "what the machine's TPM holds cannot be copied; keep recovery keys at hand"
    return Judged(spec, (Replacement("TPM", "an emulated one, empty at first", why),))


def _or_any(wanted: str, offered: frozenset[str], default: str) -> str:
    return wanted if wanted in offered or not offered else default


def _judge(ground: Ground, device: Element) -> Device:
    judge = _JUDGES.get(device.tag, _unknown)
    judged = judge(ground, device)
    if judged.value is None or ground.same_family:
        return judged
    return Judged(judged.value.without("address"), judged.replaced)


def _with_scsi(devices: tuple[Element, ...], disks: tuple[DiskSpec, ...]) -> tuple[Element, ...]:
    """Name the SCSI controller: the one libvirt adds by itself is an ancient model."""
    is_needed = any(disk.bus == "scsi" for disk in disks)
    has_one = any(d.tag == "controller" and d.get("type") == "scsi" for d in devices)
    if not is_needed or has_one:
        return devices
    attributes = (("type", "scsi"), ("index", "0"), ("model", "virtio-scsi"))
    return (*devices, Element("controller", attributes))


def _without_twins(devices: tuple[Element, ...]) -> tuple[Element, ...]:
    """Drop a second VNC server, where SPICE became one beside it."""
    return tuple(
        device
        for place, device in enumerate(devices)
        if device.tag != "graphics" or device not in devices[:place]
    )


# ---- the judges ----------------------------------------------------------------------------


def _carry(
    attributes: frozenset[str], children: frozenset[str] = _ADDRESS
) -> Callable[[Ground, Element], Device]:
    """Make the judge of devices of which the guest sees only these parts."""

    def judge(_: Ground, device: Element) -> Device:
        return Judged(device.keeping(attributes, children))

    return judge


def _drop(why: str) -> Judge:
    """Make the judge of devices that stay behind, which is reported."""

    def judge(_: Ground, device: Element) -> Device:
        return Judged(None, (left_out(describe(device), why),))

    return judge


def _leave(_: Ground, __: Element) -> Device:
    """Pass over what says nothing about the guest."""
    return _NOTHING


def _unknown(ground: Ground, device: Element) -> Device:
    return _drop("it is not known how to carry it over")(ground, device)


def describe(device: Element) -> str:
    """Name a device for people: its tag, and its type or what it passes through."""
    kind = device.get("type") or device.get("model")
    source = device.first("source")
    target = device.attribute_of("target", "dir") or device.attribute_of("target", "name")
    inside = source.first("address") if source else None
    numbers = " ".join(value for _, value in inside.attributes) if inside else ""
    return " ".join(part for part in (device.tag, kind, target, numbers) if part)


def _controller(ground: Ground, device: Element) -> Device:
    is_of_family = device.get("type") in {"pci", "usb", "ide", "isa"}
    if device.get("type") == "xenbus" or (is_of_family and not ground.same_family):
        return _NOTHING
    attributes = frozenset({"type", "index", "model", "ports", "vectors"})
    return Judged(device.keeping(attributes, frozenset({"master", "model", "target", "address"})))


def _serial(_: Ground, device: Element) -> Device:
    terminal = device.keeping(frozenset(), frozenset({"target", "address"}))
    return Judged(terminal.with_attribute("type", "pty"))


def _channel(ground: Ground, device: Element) -> Device:
    kind = device.get("type")
    if device.attribute_of("target", "type") != "virtio":
        return _drop("only virtio channels can be carried over")(ground, device)
    if "/" in device.attribute_of("target", "name"):  # libvirt names the socket after it
        return _drop("its name cannot be a file's")(ground, device)
    if kind == "spicevmc" and not _keeps_spice(ground):
        return _drop(f"it needs {_SPICE_SERVER}")(ground, device)
    if kind in {"spiceport", "qemu-vdagent"}:
        return _drop("it belongs to the graphics of the source's host")(ground, device)
    # The other end is a socket that libvirt places by itself, whatever it was on the source.
    target = Element("target", (("type", "virtio"), *_name(device)))
    address = device.all("address")
    kept = "spicevmc" if kind == "spicevmc" else "unix"
    return Judged(Element("channel", (("type", kept),), (target, *address)))


def _name(channel: Element) -> tuple[tuple[str, str], ...]:
    name = channel.attribute_of("target", "name")
    return (("name", name),) if name else ()


def _keeps_spice(ground: Ground) -> bool:
    has = any(d.tag == "graphics" and d.get("type") == "spice" for d in ground.machine.devices)
    return has and "spice" in ground.host.platform.graphics


def _graphics(ground: Ground, device: Element) -> Device:
    kind, offered = device.get("type"), ground.host.platform.graphics
    if kind in {"vnc", "spice"} and kind in offered:
        kept = _server(kind, device.get("keymap"))
        return Judged(kept, _listening_remark(device))
    if "vnc" not in offered:
        return Judged(None, (left_out(f"graphics {kind}", "the KVM host has no VNC either"),))
    why = "the KVM host cannot show it" if kind == "spice" else "it needs a screen of the host"
    return Judged(
        _server("vnc", device.get("keymap")), (Replacement(f"graphics {kind}", "VNC", why),)
    )


def _server(kind: str, keymap: str) -> Element:
    keys = (("keymap", keymap),) if keymap else ()
    listen = Element("listen", (("type", "address"), ("address", "127.0.0.1")))
    return Element("graphics", (("type", kind), ("autoport", "yes"), *keys), (listen,))


def _listening_remark(device: Element) -> tuple[Replacement, ...]:
    address = device.attribute_of("listen", "address") or device.get("listen")
    if address in {"", "127.0.0.1", "::1", "localhost"}:
        return ()
    why = "a dormant copy of a password or a certificate would be no protection"
    return (Replacement(f"graphics on {address}", "on 127.0.0.1 of the KVM host", why),)


def _video(ground: Ground, device: Element) -> Device:
    model = device.first("model") or Element("model")
    offered, kind = ground.host.platform.videos, model.get("type")
    looks = frozenset({"type", "ram", "vram", "vram64", "vgamem", "heads", "primary"})
    if kind == "none" or kind in offered:
        kept = model.keeping(looks, frozenset({"resolution"}))
        return Judged(Element("video", (), (kept, *device.all("address"))), _accelerated(model))
    other = next((video for video in _VIDEO_FALLBACKS if video in offered), "none")
    video = Element("video", (), (Element("model", (("type", other),)),))
    why = "the KVM host does not have it"
    return Judged(video, (Replacement(f"video {kind}", other, why),))


def _accelerated(model: Element) -> tuple[Replacement, ...]:
    if model.attribute_of("acceleration", "accel3d") != "yes":
        return ()
    return (left_out("3D acceleration", "it needs the graphics card of the source's host"),)


def _rng(_: Ground, device: Element) -> Device:
    kept = device.keeping(frozenset({"model"}), frozenset({"rate", "address"}))
    backend = Element("backend", (("model", "random"),), (), "/dev/urandom")
    if device.attribute_of("backend", "model") == "builtin":
        backend = Element("backend", (("model", "builtin"),))
    children = (*kept.all("rate"), backend, *kept.all("address"))
    return Judged(Element("rng", kept.attributes, children))


def _input(ground: Ground, device: Element) -> Device:
    if device.get("type") in {"passthrough", "evdev"} or device.get("bus") == "xen":
        return _drop("it is a device of the source's host")(ground, device)
    return Judged(device.keeping(frozenset({"type", "bus", "model"}), _ADDRESS))


def _sound(_: Ground, device: Element) -> Device:
    kept = device.keeping(frozenset({"model"}), frozenset({"codec", "address"}))
    return Judged(kept)


def _redirection(ground: Ground, device: Element) -> Device:
    if device.get("type") != "spicevmc" or not _keeps_spice(ground):
        return _drop(f"it needs {_SPICE_SERVER}")(ground, device)
    return Judged(device.keeping(frozenset({"bus", "type"}), _ADDRESS))


def _iommu(ground: Ground, device: Element) -> Device:
    if ground.emulated or not ground.same_family:
        return _drop("it needs KVM and the machine's own type")(ground, device)
    return Judged(device)


_JUDGES: Final[Mapping[str, Judge]] = {
    "controller": _controller,
    "serial": _serial,
    "parallel": _serial,
    "console": _serial,
    "channel": _channel,
    "graphics": _graphics,
    "video": _video,
    "rng": _rng,
    "input": _input,
    "sound": _sound,
    "watchdog": _carry(frozenset({"model", "action"})),
    "panic": _carry(frozenset({"model"})),
    "memballoon": _carry(
        frozenset({"model", "autodeflate", "freePageReporting"}), frozenset({"stats", "address"})
    ),
    "hub": _carry(frozenset({"type"})),
    "redirdev": _redirection,
    "iommu": _iommu,
    "audio": _leave,
    "emulator": _leave,
    "redirfilter": _leave,
    "tpm": _leave,  # planned on its own
    "hostdev": _drop("it is hardware of the source's host"),
    "filesystem": _drop("it is a directory of the source's host"),
    "shmem": _drop("it is memory that the machine shares with programs of the source's host"),
    "memory": _drop("its size is part of the standby's plain memory"),
    "vsock": _drop("its number is given out by the source's host"),
    "smartcard": _drop("it is a device of the source's host or its client"),
    "lease": _drop("its lock manager is the source host's"),
    "crypto": _drop("it needs a backend of the source's host"),
}
