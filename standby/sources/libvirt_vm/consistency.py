"""Freezing the guest, and thawing it whatever happens.

A guard on the source host thaws the guest when its time is up, even when the manager or the
connection is gone. It is armed before the freeze and let go after the thaw; when the thaw finds
fewer frozen file systems than there were, the guard was first, and the point in between is no
better than crash-consistent. fsThaw is what tells, because a thaw of a thawed guest is no error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar

import libvirt

from standby.errors import RepairSource
from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.model.point import Consistency
from standby.sources.libvirt_vm import programs
from standby.sources.libvirt_vm.settings import SourceSettings, WithoutAgent

log = logging.getLogger(__name__)

Value = TypeVar("Value")
_GUARD_S: Final = 15.0
_AGENT_ANSWER_S: Final = 5
_NO_AGENT: Final = frozenset(
    {
        libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
        libvirt.VIR_ERR_AGENT_UNSYNCED,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_OPERATION_INVALID,
    }
)


def while_frozen(
    host: Host,
    domain: libvirt.virDomain,
    wanted: Consistency,
    settings: SourceSettings,
    begin: Callable[[], Value],
) -> tuple[Value, Consistency]:
    """Call `begin` while the guest is frozen; return its value and what was reached.

    Raises RepairSource when the consistency cannot be had and the profile does not allow less.
    """
    if wanted is Consistency.CRASH:
        return begin(), Consistency.CRASH
    if not _agent_answers(domain):
        _require_less_is_allowed(domain, wanted, settings)
        return begin(), Consistency.CRASH
    guard = _arm(host, domain, settings.freeze_limit)
    guest = _Guest(domain)
    try:
        guest.freeze()
        if not guest.frozen:
            _require_less_is_allowed(domain, wanted, settings)
            return begin(), Consistency.CRASH
        try:
            value = begin()
        finally:
            guest.thaw()
        reached = wanted if (guest.thawed or 0) >= guest.frozen else Consistency.CRASH
        if reached is not wanted:
            log.warning("domain %s: thawed early; the point is crash-consistent", domain.name())
        return value, reached
    finally:
        if guest.thawed is not None:
            _disarm(host, guard, domain)


def _agent_answers(domain: libvirt.virDomain) -> bool:
    """Tell whether there is an agent to freeze and thaw, by a question that changes nothing."""
    try:
        domain.agentSetResponseTimeout(_AGENT_ANSWER_S)
        domain.getTime()
    except libvirt.libvirtError as error:
        log.info("domain %s: asked its agent: %s", domain.name(), error.get_error_message())
        # Any other error is an answer: the question may be forbidden there.
        return error.get_error_code() not in _NO_AGENT
    return True


class _Guest:
    """A guest and its file systems. `thawed` is None while any may be frozen."""

    def __init__(self, domain: libvirt.virDomain) -> None:
        self._domain = domain
        self.frozen = 0
        self.thawed: int | None = None

    def freeze(self) -> None:
        """Freeze; if that fails thaw, since a freeze that timed out may yet come about."""
        name = self._domain.name()
        try:
            self.frozen = int(self._domain.fsFreeze())
            self.thawed = None if self.frozen else 0
            log.info("domain %s: frozen: %d file systems", name, self.frozen)
        except libvirt.libvirtError as error:
            log.info("domain %s: not frozen: %s", name, error.get_error_message())
            self.thaw()

    def thaw(self) -> None:
        """Thaw; if that fails the guard tries on."""
        try:
            self.thawed = int(self._domain.fsThaw())
        except libvirt.libvirtError as error:
            message = error.get_error_message()
            log.warning("domain %s: thaw refused: %s", self._domain.name(), message)


def _require_less_is_allowed(
    domain: libvirt.virDomain, wanted: Consistency, settings: SourceSettings
) -> None:
    if settings.without_agent is WithoutAgent.FAIL:
        raise RepairSource(
            f"domain {domain.name()}",
            "its guest agent did not freeze the file systems",
            f"{wanted.value} consistency, as the profile asks",
            "start qemu-guest-agent in the guest, or allow less in the profile:"
            " source.on_unavailable_agent: crash",
        )


def _arm(host: Host, domain: libvirt.virDomain, limit: float) -> str:
    with libvirt_calls(f"domain {domain.name()}"):
        uuid = domain.UUIDString()
    argv = ("sh", "-c", programs.ARM_THAW, "standby-arm", f"{limit:g}", uuid)
    return host.run(argv, timeout=_GUARD_S).text.strip()


def _disarm(host: Host, guard: str, domain: libvirt.virDomain) -> None:
    """Let the guard go. If we cannot, it thaws a thawed guest, which does no harm."""
    uuid = domain.UUIDString()
    host.run(("sh", "-c", programs.DISARM_THAW, "standby-disarm", guard, uuid), timeout=_GUARD_S)
