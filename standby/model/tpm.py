"""Where libvirt keeps what an emulated TPM holds."""

from __future__ import annotations

from enum import Enum
from typing import Final

_STATES: Final = "/var/lib/libvirt/swtpm"  # libvirt, src/qemu/qemu_tpm.c; the same everywhere


class TpmVersion(Enum):
    """Version of the specification that a TPM follows; the values are libvirt's."""

    OLD = "1.2"
    NEW = "2.0"

    @property
    def file(self) -> str:
        """Name of the file that holds the lasting state, as swtpm names it."""
        return "tpm2-00.permall" if self is TpmVersion.NEW else "tpm-00.permall"

    @classmethod
    def named(cls, version: str) -> TpmVersion | None:
        """Read what a definition says; None for what nobody knows yet."""
        known = {it.value: it for it in cls}
        return known.get(version or cls.NEW.value)


def tpm_directory(uuid: str, version: TpmVersion) -> str:
    """Return the directory of a domain's TPM."""
    return f"{_STATES}/{uuid}/{'tpm2' if version is TpmVersion.NEW else 'tpm1.2'}"
