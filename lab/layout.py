"""Names, addresses and places: where everything of one lab lives."""

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.errors import LabError

NETWORK = "10.77.0"
"""All labs use the same network: each has its own, in its own network namespace."""
PREFIX_LENGTH = 24
SWITCH_ADDRESS = f"{NETWORK}.1"
DHCP_RANGE = (f"{NETWORK}.100", f"{NETWORK}.199")
SWITCH_BRIDGE = "lan"
HOST_BRIDGE = "br0"
UPLINK = "eth0"

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_NAME = "demo"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}")


class HostName(StrEnum):
    """The machines of a lab; `SWITCH` is the network between them, not a host."""

    SWITCH = "switch"
    SOURCE = "source"
    KVM = "kvm"
    MANAGER = "manager"


HYPERVISORS = (HostName.SOURCE, HostName.KVM)
HOSTS = (HostName.SOURCE, HostName.KVM, HostName.MANAGER)
ADDRESSES = {
    HostName.MANAGER: f"{NETWORK}.10",
    HostName.SOURCE: f"{NETWORK}.11",
    HostName.KVM: f"{NETWORK}.12",
}
STORAGE = {HostName.SOURCE: Path("/srv/vms"), HostName.KVM: Path("/srv/standby")}
"""Where a hypervisor host has its storage, as seen on that host."""


def hardware_address(host: HostName) -> str:
    """Return the MAC address of a host's network card."""
    return f"52:54:00:77:00:{int(ADDRESSES[host].rpartition('.')[2]):02x}"


def root_directory() -> Path:
    """Return the directory that holds all labs of this machine."""
    return Path(os.environ.get("STANDBY_LAB_ROOT", "/var/tmp/standby-lab"))  # noqa: S108


def cache_directory() -> Path:
    """Return where built guests are kept between labs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "standby-lab"


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one lab.

    Paths are short: the path of a UNIX socket has at most 107 bytes.
    """

    name: str

    def __post_init__(self) -> None:
        """Refuse names that are not safe as file and host names."""
        if not _NAME.fullmatch(self.name):
            raise LabError(f"lab name {self.name!r}: lower case letters, digits, -; at most 16")

    @property
    def directory(self) -> Path:
        """Everything of this lab lives below here."""
        return root_directory() / self.name

    @property
    def home(self) -> Path:
        """Home directory of root on the manager: the same path inside and outside."""
        return self.directory / "home"

    @property
    def keys(self) -> Path:
        """Key pairs: the manager's and the host keys."""
        return self.directory / "keys"

    @property
    def records(self) -> Path:
        """Which process is the init of which host."""
        return self.directory / "records"

    def host(self, host: HostName) -> Path:
        """Return the private directory of one host."""
        return self.directory / host.value
