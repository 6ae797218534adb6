"""What happens to the domains of one host, as libvirt tells it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, Final
from uuid import UUID

import libvirt

from standby.host.libvirt import libvirt_calls
from standby.model.schedule import SourceEvent
from standby.model.sighting import Power, Sighting

Heard = Callable[[str, str, SourceEvent], None]  # a domain's name and UUID, and what happened

# Somebody or something ended it. Saved, migrated and reverted ones are not off for good.
_ENDED: Final = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: SourceEvent.SHUTDOWN,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: SourceEvent.SHUTDOWN,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: SourceEvent.CRASH,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: SourceEvent.CRASH,
}

# What libvirt says of one that is off. After a start of its host or of libvirtd it may not know.
_ENDED_FOR: Final = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: SourceEvent.SHUTDOWN,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: SourceEvent.SHUTDOWN,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: SourceEvent.CRASH,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: SourceEvent.CRASH,
}
_GOES_ON: Final = frozenset(
    {
        libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED,
        libvirt.VIR_DOMAIN_SHUTOFF_SAVED,
        libvirt.VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT,
    }
)


@contextmanager
def heard_events(
    connection: libvirt.virConnect, heard: Heard, subject: str
) -> Generator[Callable[[], bool]]:
    """Call `heard`, in libvirt's thread, until the context is left.

    Yields what tells whether the connection still lives: a dead one hears nothing.
    """

    def lifecycle(_conn: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:  # noqa: ANN401 - libvirt has no types
        what = _ENDED.get(detail) if event == libvirt.VIR_DOMAIN_EVENT_STOPPED else None
        if event == libvirt.VIR_DOMAIN_EVENT_CRASHED:
            what = SourceEvent.CRASH
        if what is not None:
            heard(domain.name(), domain.UUIDString(), what)

    def reboot(_conn: Any, domain: Any, _opaque: Any) -> None:  # noqa: ANN401 - libvirt has no types
        heard(domain.name(), domain.UUIDString(), SourceEvent.REBOOT)

    numbers = []
    with libvirt_calls(subject):
        for kind, callback in (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, reboot),
        ):
            numbers.append(connection.domainEventRegisterAny(None, kind, callback, None))
    try:
        yield lambda: _is_alive(connection)
    finally:
        for number in numbers:
            # A dead connection has forgotten its callbacks.
            with suppress(libvirt.libvirtError):
                connection.domainEventDeregisterAny(number)


def running_domains(connection: libvirt.virConnect, subject: str) -> frozenset[str]:
    """Return names and UUIDs of the domains that are not off."""
    with libvirt_calls(subject):
        active = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        return frozenset(it for domain in active for it in (domain.name(), domain.UUIDString()))


def how_it_ended(connection: libvirt.virConnect, domain: str, subject: str) -> Sighting | None:
    """Return how a domain that does not run went off, by its name or UUID.

    None for one that is there no more, or is off only until it goes on: saved, or moved away.
    """
    with libvirt_calls(subject):
        try:
            found = _find(connection, domain)
            state, reason = found.state()
            goes_on = reason in _GOES_ON or found.hasManagedSaveImage()
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise
    if state != libvirt.VIR_DOMAIN_SHUTOFF:
        return Sighting(Power.ON)  # it was started just now
    return None if goes_on else Sighting(Power.OFF, _ENDED_FOR.get(reason))


def _find(connection: libvirt.virConnect, domain: str) -> Any:  # noqa: ANN401 - libvirt has no types
    try:
        return connection.lookupByName(domain)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN or not _is_uuid(domain):
            raise
    return connection.lookupByUUIDString(domain)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _is_alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive() == 1)
    except libvirt.libvirtError:
        return False
