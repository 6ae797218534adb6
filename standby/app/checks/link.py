"""The way that data takes: a storage daemon on the host, OpenSSH, NBD. Tried for real."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from standby.app.checks.finding import About, Finding, Fix, Topic
from standby.host.interface import Host
from standby.host.storage_daemon import DaemonSettings, Export, storage_daemon
from standby.model.amount import readable
from standby.model.window import RateByDay
from standby.transports.speed import Direction, Speed, measure

MEASURED_S: Final = 1.0
"""Seconds of measuring for each host: a check stays quick and the line free."""
SLOW: Final = 1 << 20  # bytes per second; below this a day moves less than 85 GiB
_EXPORT: Final = "link"
_ANY_SIZE: Final = 1 << 30
_PIDFILE: Final = "/tmp/standby-check-{token}.pid"  # noqa: S108 - the daemon's program makes it anew


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What a measurement showed. Bytes per second."""

    direction: Direction
    speed: Speed
    local: bool
    compressed: bool


def probe_link(host: Host, direction: Direction, *, local: bool, compressed: bool) -> LinkFacts:
    """Start a daemon that serves nothing, reach it as a cycle does, and move bytes.

    Raises what a cycle would end with: InstallPrograms, GrantAccess, CommandFailed, ….
    """
    pidfile = _PIDFILE.format(token=secrets.token_hex(8))
    null = {"driver": "null-co", "node-name": "null", "size": _ANY_SIZE}
    settings = DaemonSettings(pidfile, (null,), (Export("null", _EXPORT, writable=True),))
    # What null-co gives to readers is the same again and again: compression would flatter.
    towards = Direction.WRITE if compressed else direction
    with storage_daemon(host, settings) as daemon, daemon.endpoint(_EXPORT) as endpoint:
        return LinkFacts(towards, measure(endpoint, towards, MEASURED_S), local, compressed)


def judge_link(
    host: str, facts: LinkFacts, bandwidth: RateByDay, largest: int
) -> Iterator[Finding]:
    """Say how fast it is, and how long the first copy of `largest` bytes takes at that speed.

    `bandwidth` is the profile's limit.
    """
    about = About(host, Topic.LINK)
    rate = int(facts.speed.rate)
    way = "to" if facts.direction is Direction.WRITE else "from"
    through = "a socket of this machine" if facts.local else "OpenSSH"
    told = f"{rate / (1 << 20):.1f} MiB/s {way} {host} through {through}"
    if facts.compressed:
        told += ", of bytes that do not compress"
    if rate < SLOW:
        minutes = largest / max(rate, 1) / 60
        yield about.warning(
            f"{told}: slow; the first copy of {readable(largest)} may take {minutes:.0f} min",
            Fix("look for other traffic, or set transfer.compression: ssh"),
        )
    elif beyond := [limit for limit in bandwidth.rates if limit is not None and limit > rate]:
        yield about.note(f"{told}: the limit of {readable(min(beyond))}/s will not be reached")
    else:
        yield about.ok(told)
