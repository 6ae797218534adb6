"""Making a domain that the KVM host refuses acceptable, by leaving out what it refuses.

A plan knows most of what a host offers, but not all that its libvirt and QEMU understand: a
machine of a newer host may have hardware that did not exist when they were made. A standby
without a sound card is worth more than a definition that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from standby.errors import StandbyError
from standby.target.domain.devices import describe
from standby.target.domain.element import Element
from standby.target.domain.ground import left_out
from standby.target.domain.settings import Replacement
from standby.target.domain.spec import DomainSpec

Refusal = StandbyError | None
Ask = Callable[[DomainSpec], Refusal]


@dataclass(frozen=True, slots=True)
class Shed:
    """A domain that the host accepts, and what it had to go without."""

    spec: DomainSpec
    replaced: tuple[Replacement, ...] = ()


def shed(spec: DomainSpec, ask: Ask) -> Shed:
    """Return the domain with as much of what is carried over as `ask` accepts.

    `ask` returns None for a domain that the host accepts; it is asked about the result last.
    Raises what it says of the whole when the reason lies in the rest, which nobody can do
    without.
    """
    refusal = ask(spec)
    if refusal is None:
        return Shed(spec)
    accepted = next((bare for bare in _bare(spec) if ask(bare) is None), None)
    if accepted is None:
        raise refusal
    replaced: list[Replacement] = []
    for part, element in _carried(spec):
        fuller = _with(accepted, part, element)
        again = ask(fuller)
        if again is None:
            accepted = fuller
        else:
            replaced.append(left_out(describe(element), f"the KVM host refuses it: {again.found}"))
    if ask(accepted) is not None:  # the host changed its mind meanwhile
        raise refusal
    return Shed(accepted, tuple(replaced))


class _Part(Enum):
    """Where something that is carried over stands."""

    SYSTEM = "system"
    OS = "os"
    DEVICES = "devices"


def _carried(spec: DomainSpec) -> Iterator[tuple[_Part, Element]]:
    """Yield what can be done without and is not in the bare domain, which comes first."""
    for part, elements in (
        (_Part.SYSTEM, spec.system),
        (_Part.OS, spec.os),
        (_Part.DEVICES, spec.devices),
    ):
        for element in elements:
            yield part, element


def _bare(spec: DomainSpec) -> Iterator[DomainSpec]:
    """Yield the domain without all that: with features, which secure boot needs, or without."""
    features = tuple(element for element in spec.system if element.tag == "features")
    yield replace(spec, system=features, os=(), devices=())
    yield replace(spec, system=(), os=(), devices=())


def _with(spec: DomainSpec, part: _Part, element: Element) -> DomainSpec:
    if part is _Part.DEVICES:
        return replace(spec, devices=(*spec.devices, element))
    if part is _Part.OS:
        return replace(spec, os=(*spec.os, element))
    has_it = element in spec.system
    return spec if has_it else replace(spec, system=(*spec.system, element))
