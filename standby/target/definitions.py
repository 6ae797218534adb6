"""What, besides disks, makes the machine at a boot point: kept beside it, and read again."""

from __future__ import annotations

from typing import Final

from standby.errors import CommandFailed
from standby.host.interface import Host
from standby.host.outcome import file_failure
from standby.model.machine import MachineDefinition
from standby.model.names import PointName
from standby.target import layout, programs
from standby.target.layout import StandbyDirectory

_FILE_S: Final = 120.0


class Definitions:
    """The definitions, firmware variables and TPM states of a standby's points."""

    def __init__(self, host: Host, directory: StandbyDirectory) -> None:
        self._host = host
        self._directory = directory
        self._last: tuple[PointName, MachineDefinition] | None = None  # that was kept

    def keep(self, name: PointName, definition: MachineDefinition) -> str:
        """Write what belongs to a point that is about to be published; return its directory.

        Publication flushes what the directory stands in.
        """
        folder = layout.point_directory(name)
        self._keep(folder, layout.DEFINITION, definition.domain_xml.encode())
        if definition.nvram is not None:
            self._keep(folder, layout.NVRAM, definition.nvram)
        if definition.tpm is not None:
            self._keep(folder, layout.TPM, definition.tpm)
        self._last = (name, definition)
        return folder

    def read(self, name: PointName) -> MachineDefinition:
        """Read what was kept; the last that was written here is not read again."""
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        return read_definition(self._host, self._directory, name)

    def _keep(self, folder: str, name: str, data: bytes) -> None:
        argv = ("sh", "-c", programs.KEEP_FILE, "standby-keep", self._directory / folder, name)
        try:
            self._host.run(argv, timeout=_FILE_S, stdin=data)
        except CommandFailed as error:
            raise file_failure(error, f"{self._directory / folder}/{name}") from error


def read_definition(host: Host, directory: StandbyDirectory, name: PointName) -> MachineDefinition:
    """Read what, besides disks, makes the machine at a point."""
    folder = directory / layout.point_directory(name)
    xml = host.read_file(f"{folder}/{layout.DEFINITION}") or b""
    return MachineDefinition(
        xml.decode(),
        nvram=host.read_file(f"{folder}/{layout.NVRAM}"),
        tpm=host.read_file(f"{folder}/{layout.TPM}") if b"<tpm" in xml else None,
    )
