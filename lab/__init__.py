"""The embedded two-host lab: hypervisor hosts made of namespaces on one machine."""

from lab.blockguest import BlockGuest
from lab.errors import CommandFailed, LabError, NotUp, TimedOut
from lab.lab import Lab
from lab.layout import HostName
from lab.linuxguest import LinuxGuest

__all__ = [
    "BlockGuest",
    "CommandFailed",
    "HostName",
    "Lab",
    "LabError",
    "LinuxGuest",
    "NotUp",
    "TimedOut",
]
