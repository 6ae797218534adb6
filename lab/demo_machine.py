"""The machine that the demo protects, and what is known of it at each boot point."""

from dataclasses import dataclass

from lab.demo_screen import Screen
from lab.linuxguest import LinuxGuest

DATA = "/data"
HOOK_LOG = "/var/log/fsfreeze-hook"
BLOCK_KIB = 64
_DIARY = "date >>/data/diary"


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """What one cycle did, and what the machine held at that moment."""

    point: str
    made: str
    written: str  # the file that the guest wrote before it
    files: dict[str, str]  # SHA-256 of every file below /data, as the machine itself reads them
    sent: int  # bytes
    stored: int  # bytes
    seconds: float
    merged: tuple[str, ...]


class Machine:
    """The guest on the source: it writes its files itself, told through its agent."""

    def __init__(self, guest: LinuxGuest, screen: Screen) -> None:
        self.guest = guest
        self._screen = screen

    def write(self, name: str, kib: int) -> None:
        """Let the guest write a file of random bytes, and a line of its diary; down to its disk."""
        count = kib // BLOCK_KIB
        copy = ("dd", "if=/dev/urandom", f"of={DATA}/{name}", f"bs={BLOCK_KIB}k", f"count={count}")
        self._screen.command(f"{self.guest.name}#", copy)
        self.guest.exec("/bin/" + copy[0], *copy[1:])
        self._screen.typed(f"{self.guest.name}#", f"{_DIARY}; sync")
        self.guest.exec("/bin/sh", "-c", _DIARY)
        self.guest.sync()

    def files(self) -> dict[str, str]:
        """Return the SHA-256 of its files."""
        return self.guest.files(DATA)


def start_of(guest: LinuxGuest) -> str:
    """Return what tells one start of a Linux from every other."""
    return guest.exec("/bin/cat", "/proc/sys/kernel/random/boot_id").strip()


def last_hook(guest: LinuxGuest) -> str:
    """Return what the guest's freeze hook was called with last: freeze or thaw."""
    return guest.exec("/usr/bin/tail", "-n", "1", HOOK_LOG).strip()
