"""Connections to libvirt, and what libvirt's errors mean."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any, Final
from urllib.parse import quote

import libvirt

from standby.errors import (
    AwaitHypervisor,
    FreeSpace,
    GrantAccess,
    InstallPrograms,
    ReachHost,
    RepairSource,
    StandbyError,
    TryLater,
)
from standby.host.giving_up import Attempt, alone
from standby.host.helpers import speaking_for, speaks_for

SOCKETS: Final = ("/run/libvirt/virtqemud-sock", "/run/libvirt/libvirt-sock")
"""Where libvirt listens: the modular daemon first, as libvirt's own client looks for them."""

# A dead link is noticed after interval * (count + 1) = 20 s, as everywhere in this room.
_KEEPALIVE_INTERVAL_S: Final = 5
_KEEPALIVE_COUNT: Final = 3
_OPEN_S: Final = 30.0

_LOST: Final = frozenset({libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_CONN})
_REFUSED: Final = frozenset(
    {
        libvirt.VIR_ERR_AUTH_FAILED,
        libvirt.VIR_ERR_AUTH_CANCELLED,
        libvirt.VIR_ERR_AUTH_UNAVAILABLE,
        libvirt.VIR_ERR_ACCESS_DENIED,
        libvirt.VIR_ERR_OPERATION_DENIED,
    }
)
# What libvirt says when a program, a file or QEMU failed it: mostly for a moment, and when not,
# whoever tries again and again sees it all the same.
_UNNAMED: Final = frozenset(
    {
        libvirt.VIR_ERR_INTERNAL_ERROR,
        libvirt.VIR_ERR_OPERATION_FAILED,
        libvirt.VIR_ERR_SYSTEM_ERROR,
    }
)
_NO_SPACE: Final = "No space left on device"
_NO_MEMORY: Final = "Cannot allocate memory"
_TOO_OLD: Final = frozenset({libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_CONFIG_UNSUPPORTED})


class Life(Enum):
    """What happened to a domain's life."""

    STARTED = "started"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    OTHER = "other"


_LIVES: Final = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: Life.STARTED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: Life.STOPPED,
    libvirt.VIR_DOMAIN_EVENT_CRASHED: Life.STOPPED,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: Life.SUSPENDED,
    libvirt.VIR_DOMAIN_EVENT_RESUMED: Life.RESUMED,
}


def system_uri(socket: str | None) -> str:
    """Return the address of a QEMU system instance, by its own or by a forwarded socket."""
    if socket is None:
        return "qemu:///system"
    return f"qemu+unix:///system?socket={quote(socket)}"


def translate(error: libvirt.libvirtError, subject: str) -> StandbyError:
    """Return what an error of libvirt means; `subject` is what it happened to."""
    code = error.get_error_code()
    found = error.get_error_message() or str(error)
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return RepairSource(subject, found, "a domain", "list them: virsh list --all")
    if code in _REFUSED or found.endswith("Permission denied"):
        return no_access(subject, found)
    # Whatever the code is: that layer only carries calls, its errors are those of the carrying.
    if code in _LOST or error.get_error_domain() == libvirt.VIR_FROM_RPC:
        return ReachHost(subject, found, "an answer of libvirt")
    # Waited 30 s for other work in vain: a job, a monitor that libvirtd is still connecting to.
    if code == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        return TryLater(subject, f"libvirt: {found}", "a domain that no other work holds")
    if code in _TOO_OLD:
        return InstallPrograms(subject, found, "libvirt 7.6 and QEMU 6.0 or newer")
    return _refusal(code, subject, f"libvirt: {found}")


def _refusal(code: int, subject: str, found: str) -> StandbyError:
    if code == libvirt.VIR_ERR_NO_MEMORY or _NO_MEMORY in found:
        return FreeSpace(subject, found, "memory that is free on that host")
    if _NO_SPACE in found:
        return FreeSpace(subject, found, "space that is free on that host")
    if code in _UNNAMED:
        remedy = "if it stays so, look there: journalctl -u libvirtd, /var/log/libvirt/qemu"
        return AwaitHypervisor(subject, found, remedy=remedy)
    return RepairSource(subject, found)


def no_access(subject: str, found: str) -> GrantAccess:
    """Return the error of a user who may not use libvirt."""
    remedy = "log in as root, or join the group libvirt there"
    return GrantAccess(subject, found, "access to libvirt", remedy)


@contextmanager
def libvirt_calls(subject: str) -> Generator[None]:
    """Raise errors of libvirt as ours."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(error, subject) from error


@contextmanager
def lifecycle(
    connection: libvirt.virConnect, domain: libvirt.virDomain, seen: Callable[[Life], None]
) -> Generator[None]:
    """Call `seen`, in the event loop's thread, whenever the domain's life changes."""
    work = speaks_for()  # the event loop serves everybody

    def callback(_conn: Any, _dom: Any, event: int, _detail: int, _opaque: Any) -> None:  # noqa: ANN401 - libvirt has no types
        with speaking_for(work):
            seen(_LIVES.get(event, Life.OTHER))

    number = connection.domainEventRegisterAny(
        domain, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, callback, None
    )
    try:
        yield
    finally:
        # A dead connection has forgotten its callbacks.
        with suppress(libvirt.libvirtError):
            connection.domainEventDeregisterAny(number)


def connect(uri: str, subject: str) -> libvirt.virConnect:
    """Connect, with keepalive. Raise ReachHost, GrantAccess."""
    _start_events()
    with libvirt_calls(subject):
        connection = libvirt.open(uri)
        with suppress(libvirt.libvirtError):  # drivers inside this process have none
            connection.setKeepAlive(_KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT)
    return connection


class LibvirtConnection:
    """One connection, made when it is first wanted and made anew when it has died."""

    def __init__(self, host: str, cancel: threading.Event | None = None) -> None:
        self._host = host
        self._cancel = cancel or threading.Event()
        self._lock = threading.Lock()
        self._connection: libvirt.virConnect | None = None
        self._was_connected = False  # then somebody may have to clean up there

    def get(self, address: Callable[[], str]) -> libvirt.virConnect:
        """Return the connection; `address` gives the URI when one has to be made."""
        with alone(self._lock, self._cancel, self._host):
            if not self._is_alive():
                self._drop()
                attempt = self._attempt(address())
                connect_ = attempt.again if self._was_connected else attempt.result
                self._connection = connect_(self._cancel)
                self._was_connected = True
            return self._connection

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._drop()

    def _attempt(self, uri: str) -> Attempt[libvirt.virConnect]:
        # A libvirtd that hangs takes connections and says nothing: libvirt would wait for ever.
        subject = f"{self._host}: libvirt"
        return Attempt(subject, lambda: connect(uri, subject), _close, _OPEN_S)

    def _is_alive(self) -> bool:
        try:
            return self._connection is not None and self._connection.isAlive() == 1
        except libvirt.libvirtError:
            return False

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            _close(connection)


def _close(connection: libvirt.virConnect) -> None:
    with suppress(libvirt.libvirtError):
        connection.close()


_starting = threading.Lock()
_events: list[threading.Thread] = []


def _start_events() -> None:
    """Run libvirt's event loop: without it there are no keepalives. Once per process."""
    with _starting:
        if _events:
            return
        libvirt.registerErrorHandler(_ignore, None)
        libvirt.virEventRegisterDefaultImpl()
        _events.append(threading.Thread(target=_run_events, daemon=True, name="libvirt events"))
        _events[0].start()


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _ignore(_context: Any, _error: Any) -> None:  # noqa: ANN401 - libvirt has no types
    """Keep libvirt from printing what is raised anyway."""
