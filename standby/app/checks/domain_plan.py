"""The dormant domain as a cycle would define it now: planned and rendered, not defined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from standby.app.checks.end import End
from standby.app.checks.finding import Finding
from standby.app.checks.judge_standby import Way, judge_networks, judge_owner, judge_plan
from standby.app.checks.source_facts import SOCKETS
from standby.app.domain import domain_settings
from standby.app.wiring import directory_of
from standby.host.libvirt import libvirt_calls
from standby.model.disk import ExcludedAs
from standby.model.observation import SourceObservation
from standby.profile import Profile
from standby.target.domain.element import parse_xml
from standby.target.domain.host_facts import ask_host
from standby.target.domain.plan import plan_domain
from standby.target.domain.reading import read_machine
from standby.target.domain.render import render_domain
from standby.target.domain.settings import DomainNames
from standby.target.domain.spec import DomainPlan

_LOOK_S = 30.0
_ANY_UUID = str(UUID(int=0))


def check_domain(end: End, profile: Profile, seen: SourceObservation) -> Iterator[Finding]:
    """Plan the domain, and say what it has otherwise, and what would keep it from starting.

    Raises InstallPrograms where the host lacks what the machine cannot boot without, FixProfile
    where the profile's own template is wrong.
    """
    plan = _plan(end, profile, seen)
    template = profile.standby.template
    xml = render_domain(plan.spec, Path(template) if template else None)
    yield from judge_plan(end.name, plan.replaced)
    yield from judge_networks(end.name, plan.spec.nics, _networks(end))
    if not end.facts.is_root:
        yield judge_owner(end.name, end.facts.login, _runs_as(xml), _enters(end))


def _runs_as(xml: str) -> str:
    """Return the user that the definition lets QEMU run as, "" where libvirt chooses."""
    labels = parse_xml(xml, "the standby's definition").all("seclabel")
    owners = (it.text_of("label") for it in labels if it.get("model") == "dac")
    return next(owners, "").partition(":")[0].removeprefix("+")


def _enters(end: End) -> Way:
    argv = ("test", "-x", SOCKETS)
    status = end.host.run(argv, timeout=_LOOK_S, accept=frozenset({0, 1})).status
    return Way.CLOSED if status else Way.OPEN


def _plan(end: End, profile: Profile, seen: SourceObservation) -> DomainPlan:
    machine = read_machine(seen.definition.domain_xml)
    captured = [disk.name for disk in seen.disks]
    empty = [disk.name for disk in seen.left_out if disk.stands_as is ExcludedAs.EMPTY]
    settings = domain_settings(profile.standby, machine, captured, empty)
    nvram = seen.definition.nvram
    names = DomainNames(
        standby=profile.standby_name,
        directory=directory_of(end.host, profile),
        profile=profile.name,
        uuid=_ANY_UUID,
        nvram_bytes=len(nvram) if nvram is not None else None,
        holds_tpm=seen.definition.tpm is not None,
    )
    return plan_domain(machine, settings, ask_host(end.host, machine, settings), names)


def _networks(end: End) -> dict[str, bool]:
    with libvirt_calls(f"{end.name}: networks"):
        networks = end.host.libvirt().listAllNetworks()
        return {network.name(): bool(network.isActive()) for network in networks}
