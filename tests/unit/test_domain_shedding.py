"""A domain that the host refuses goes without what is refused, and without nothing else."""

from __future__ import annotations

import pytest
from domain_cases import CASES
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import FixProfile
from standby.target.domain.element import Element
from standby.target.domain.shedding import shed
from standby.target.domain.spec import DomainSpec

SPECS = [case.plan().spec for case in CASES]


class PickyHost:
    """Refuses domains with certain elements, and remembers what it was asked last."""

    def __init__(self, *refused: Element, whole: bool = False) -> None:
        self.refused = refused
        self.whole = whole
        self.last: DomainSpec | None = None
        self.asked = 0

    def __call__(self, spec: DomainSpec) -> FixProfile | None:
        self.asked += 1
        self.last = spec
        there = {*spec.devices, *spec.system, *spec.os} & set(self.refused)
        return FixProfile("host", "no") if there or self.whole else None


@pytest.mark.parametrize("spec", SPECS, ids=[case.name for case in CASES])
def test_an_accepted_domain_is_asked_about_once(spec: DomainSpec) -> None:
    host = PickyHost()
    assert shed(spec, host).spec == spec
    assert host.asked == 1


@given(st.data(), st.sampled_from(SPECS))
def test_exactly_what_is_refused_is_left_out(data: st.DataObject, spec: DomainSpec) -> None:
    carried = (*spec.system, *spec.os, *spec.devices)
    if not carried:
        return
    refused = set(data.draw(st.lists(st.sampled_from(carried), max_size=4)))
    host = PickyHost(*refused)
    done = shed(spec, host)
    for field in ("system", "os", "devices"):
        before, after = getattr(spec, field), getattr(done.spec, field)
        assert sorted(map(repr, after)) == sorted(repr(e) for e in before if e not in refused)
    assert len(done.replaced) == sum(element in refused for element in carried)
    assert host.last == done.spec, "the last that the host was told is what it shall have"


def test_a_refusal_of_the_rest_is_raised() -> None:
    with pytest.raises(FixProfile):
        shed(SPECS[0], PickyHost(whole=True))
