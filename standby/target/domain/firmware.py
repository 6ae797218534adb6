"""Planning the standby's firmware, so that the machine's variables fit it. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final

from standby.errors import InstallPrograms
from standby.target.domain.ground import Ground, Judged
from standby.target.domain.machine import FirmwareKind, SecureBoot
from standby.target.domain.platform import family_of
from standby.target.domain.settings import Replacement
from standby.target.domain.spec import Firmware

# Sizes of the variables of the two builds of EDK II for x86, in bytes: OVMF's
# FDF files lay out 128 KiB in the 2 MiB build and 528 KiB in the 4 MiB build.
_SMALL_BUILD: Final = 128 * 1024
_LARGE_BUILD: Final = 528 * 1024

_X86: Final = frozenset({"x86_64", "i686"})


class _Size(Enum):
    """What the size of the machine's firmware variables says of them."""

    NONE = "there are none"
    POSSIBLE = "some firmware has such"
    IMPOSSIBLE = "no firmware has such: they are damaged"


def plan_firmware(ground: Ground) -> Judged[Firmware]:
    """Plan the firmware; raise InstallPrograms when the host has no UEFI and one is needed."""
    source = ground.machine.firmware
    if source.kind is FirmwareKind.BIOS:
        return _plan_bios(source.loader)
    _require_uefi(ground)
    secure = _plan_secure_boot(ground)
    if source.loader in ground.host.platform.loaders and not secure.replaced:
        damaged = _variables_size(ground) is _Size.IMPOSSIBLE
        return Judged(_same_loader(ground), (_fresh_variables(ground),) if damaged else ())
    return _other_loader(ground, secure)


def takes_nvram(ground: Ground, firmware: Firmware) -> bool:
    """Tell whether the machine's firmware variables can be used with `firmware`."""
    has_some = _variables_size(ground) is _Size.POSSIBLE and firmware.nvram != ""
    return has_some and firmware.loader != ""


def _variables_size(ground: Ground) -> _Size:
    size = ground.names.nvram_bytes
    if size is None:
        return _Size.NONE
    is_image = ground.machine.firmware.nvram_format not in {"", "raw"}
    is_known = size in {_SMALL_BUILD, _LARGE_BUILD} or ground.machine.arch not in _X86
    return _Size.POSSIBLE if is_image or is_known else _Size.IMPOSSIBLE


def _plan_bios(loader: str) -> Judged[Firmware]:
    if not loader:
        return Judged(Firmware())
    why = "its file is on the source's host"
    return Judged(Firmware(), (Replacement(f"BIOS {loader}", "QEMU's own", why),))


def _require_uefi(ground: Ground) -> None:
    platform = ground.host.platform
    if not platform.chooses_uefi and not platform.loaders:
        raise InstallPrograms(
            "KVM host", "it has no UEFI firmware", "the machine boots by UEFI", _install(ground)
        )


def _install(ground: Ground) -> str:
    is_x86 = ground.machine.arch in _X86
    return f"apt-get install {'ovmf' if is_x86 else 'qemu-efi-aarch64'}"


def _plan_secure_boot(ground: Ground) -> Judged[SecureBoot]:
    wanted = ground.machine.firmware.secure
    is_x86 = ground.machine.arch in _X86
    has_smm = not is_x86 or family_of(ground.platform.machine_type) == "q35"
    if wanted is SecureBoot.OFF or (ground.host.platform.secure_boot and has_smm):
        return Judged(wanted)
    why = "the KVM host has no firmware for it on this machine type"
    return Judged(SecureBoot.OFF, (Replacement("secure boot", "UEFI without it", why),))


def _same_loader(ground: Ground) -> Firmware:
    source = ground.machine.firmware
    return Firmware(
        kind=FirmwareKind.UEFI,
        loader=source.loader,
        loader_format=source.loader_format,
        secure=source.secure,
        nvram="" if source.stateless else ground.names.directory.head_nvram,
        nvram_format=source.nvram_format,
    )


def _other_loader(ground: Ground, secure: Judged[SecureBoot]) -> Judged[Firmware]:
    source = ground.machine.firmware
    loader = _fitting_loader(ground, secure.value)
    firmware = Firmware(
        kind=FirmwareKind.UEFI,
        loader=loader,
        secure=secure.value,
        enrolled_keys="" if loader or secure.replaced else source.enrolled_keys,
        nvram="" if source.stateless else ground.names.directory.head_nvram,
    )
    replaced = list(secure.replaced)
    if source.loader:
        why = "the KVM host does not have it"
        by = loader or "one that libvirt there chooses"
        replaced.append(Replacement(f"firmware {source.loader}", by, why))
    if ground.names.nvram_bytes is not None and not loader:
        replaced.append(_fresh_variables(ground))
    return Judged(firmware, tuple(replaced))


def _fresh_variables(ground: Ground) -> Replacement:
    size = ground.names.nvram_bytes
    why = f"no firmware of the KVM host has variables like the machine's, of {size} bytes"
    return Replacement("firmware variables", "fresh ones: boots the disk's default loader", why)


def _fitting_loader(ground: Ground, secure: SecureBoot) -> str:
    """Return the first loader of the host that can use the machine's variables, or ''."""
    size, source = ground.names.nvram_bytes, ground.machine.firmware
    if size is None or source.stateless or source.nvram_format not in {"", "raw"}:
        return ""
    is_x86 = ground.machine.arch in _X86
    for loader in ground.host.platform.loaders:
        fits = _variables_of(loader) == size or not is_x86
        if fits and not loader.endswith(".qcow2") and _is_secure(loader) is secure:
            return loader
    return ""


def _variables_of(loader: str) -> int:
    # libvirt does not say which build a file is; distributions do, by its name.
    return _LARGE_BUILD if "4m" in _file_name(loader) else _SMALL_BUILD


def _is_secure(loader: str) -> SecureBoot:
    name = _file_name(loader)
    is_secure = ("secboot" in name and "no-secboot" not in name) or ".ms." in name
    return SecureBoot.ON if is_secure else SecureBoot.OFF


def _file_name(loader: str) -> str:
    return loader.rpartition("/")[2].lower()
