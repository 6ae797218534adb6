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
    guard = _arm(host, domain, settings.freeze_limit)
    try:
        frozen = _freeze(domain)
        if not frozen:
            _require_less_is_allowed(domain, wanted, settings)
            return begin(), Consistency.CRASH
        try:
            value = begin()
        finally:
            thawed = _thaw(domain)
        reached = wanted if thawed >= frozen else Consistency.CRASH
        if reached is not wanted:
            log.warning("domain %s: thawed early; the point is crash-consistent", domain.name())
        return value, reached
    finally:
        _disarm(host, guard, domain)


def _freeze(domain: libvirt.virDomain) -> int:
    """Freeze; return the number of file systems, 0 when nothing could be frozen."""
    try:
        domain.agentSetResponseTimeout(_AGENT_ANSWER_S)
        return int(domain.fsFreeze())
    except libvirt.libvirtError as error:
        log.info("domain %s: not frozen: %s", domain.name(), error.get_error_message())
        _thaw(domain)  # a freeze that timed out may yet have frozen
        return 0


def _thaw(domain: libvirt.virDomain) -> int:
    """Thaw; return the number of file systems that were frozen. The guard tries on if we fail."""
    try:
        return int(domain.fsThaw())
    except libvirt.libvirtError as error:
        log.warning("domain %s: thaw refused: %s", domain.name(), error.get_error_message())
        return 0


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
