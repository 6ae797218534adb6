"""What the store needs of the dormant domain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from standby.errors import StandbyError
from standby.model.machine import MachineDefinition
from standby.model.manifest import DefinedDomain
from standby.model.observation import DomainFound
from standby.model.point import BootPoint


class DormantDomain(Protocol):
    """The domain on the KVM host that boots the head."""

    def found(self) -> DomainFound:
        """Tell whose domain has our name."""

    def is_active(self) -> bool:
        """Tell whether our domain runs, is paused, or has a managed save image."""

    def boots_other(self, images: Collection[str]) -> bool:
        """Tell whether our domain boots images of somebody's own, on top or in place of ours.

        `images` are the head's own, relative to the standby's directory. A snapshot that libvirt
        makes gives the domain such images, and so does whoever moves its disks elsewhere.
        """

    def define(
        self, definition: MachineDefinition, point: BootPoint, known: DefinedDomain | None
    ) -> DefinedDomain:
        """Define it for a point's machine, unless it is so already. Raises ChooseOtherName.

        `known` is what it was defined as before; a new definition keeps its UUID.
        """

    def undefine(self) -> None:
        """Undefine our domain, if it is there. Raises StopStandbyFirst when it runs by then."""

    def takes_variables(self, definition: MachineDefinition, point: BootPoint) -> bool:
        """Tell whether a point's firmware variables fit the firmware the standby gets.

        If not, its head has none, and libvirt makes fresh ones at the start.
        """

    def keep_tpm(self, file: str) -> None:
        """Copy what the domain's TPM holds, if it has one, to a file of the KVM host.

        That it cannot be done is logged.
        """

    def place_tpm(self, definition: MachineDefinition, state: str) -> StandbyError | None:
        """Give the domain's TPM a point's state, a file of the KVM host, for its next start.

        Return why it cannot be done: a standby with an empty TPM is worth more than none.
        """

    def files_in_use(self) -> Sequence[str]:
        """Return the absolute path of every image that other domains of the host stand on."""
