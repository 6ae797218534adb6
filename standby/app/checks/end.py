"""One host of a profile: what is the same at either end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from standby.app.checks.finding import About, Finding, Topic
from standby.app.checks.host_facts import HostFacts, probe_host
from standby.app.checks.judge_host import judge_clock, judge_login, judge_reach
from standby.app.checks.judge_libvirt import judge_libvirt, judge_no_libvirt
from standby.app.checks.libvirt_facts import LibvirtFacts, probe_libvirt, probe_locally
from standby.app.checks.link import judge_link, probe_link
from standby.app.checks.needs import DAEMON, WANTED, Role, judge_programs
from standby.errors import StandbyError
from standby.host.interface import Host
from standby.profile import Compression, HostSettings, Profile
from standby.transports.speed import Direction


@dataclass(frozen=True, slots=True)
class End:
    """A host that answers, libvirt and all."""

    host: Host
    settings: HostSettings
    facts: HostFacts
    libvirt: LibvirtFacts

    @property
    def name(self) -> str:
        """The host's name."""
        return self.host.name

    def about(self, topic: Topic) -> About:
        """Return what makes findings about this host."""
        return About(self.name, topic)


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of looking at a host; `end` is None where that is all one can look at."""

    findings: tuple[Finding, ...]
    end: End | None = None


def look_at_end(host: Host, settings: HostSettings, roles: frozenset[Role]) -> Looked:
    """Ask a host who it is. That it cannot be reached is a finding, no error."""
    try:
        facts = probe_host(host, WANTED)
    except StandbyError as error:
        return Looked((judge_reach(host.name, error),))
    findings = [*judge_login(facts), judge_clock(facts), *judge_programs(facts, roles)]
    try:
        libvirt = probe_libvirt(host)
    except StandbyError as error:
        findings.append(judge_no_libvirt(facts, error, probe_locally(host)))
        return Looked(tuple(findings))
    findings += judge_libvirt(host.name, libvirt, roles)
    return Looked(tuple(findings), End(host, settings, facts, libvirt))


def attempt(about: About, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what `look` finds; when it fails, its error: the next look goes on."""
    try:
        yield from look()
    except StandbyError as error:
        yield about.error(error)


def try_link(end: End, profile: Profile, direction: Direction, size: int) -> Iterator[Finding]:
    """Measure the way of the data to or from a host; `size` is that of the first copy.

    Without the program that serves the other end there is nothing to measure.
    """

    def look() -> Iterator[Finding]:
        facts = probe_link(
            end.host,
            direction,
            local=end.settings.is_local,
            compressed=profile.transfer.compression is Compression.SSH,
        )
        return judge_link(end.name, facts, profile.transfer.rate, size)

    there = end.facts.programs[DAEMON].path
    return attempt(end.about(Topic.LINK), look if there else tuple)
