"""Stopping between the phases of a cycle."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from standby.app.session import Session
from standby.cycle.report import Journal, Phase
from standby.errors import Cancelled

UNTIL_PUBLISHED = (
    Phase.OBSERVE,
    Phase.CLEAN,
    Phase.CAPTURE,
    Phase.SURVEY,
    Phase.TRANSFER,
    Phase.PUBLISH,
)


def stopped() -> Journal:
    cancel = threading.Event()
    cancel.set()
    return Journal("web1", Session(Path("/etc/standby"), cancel=cancel).require_wanted)


@pytest.mark.parametrize("phase", UNTIL_PUBLISHED)
def test_until_a_point_is_published_no_phase_begins_that_nobody_wants(phase: Phase) -> None:
    journal = stopped()
    with pytest.raises(Cancelled, match="cycle of web1"), journal.phase(phase):
        pytest.fail("the phase began")
    assert journal.begun_phases == set()


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in UNTIL_PUBLISHED])
def test_what_follows_the_publication_of_a_point_is_finished(phase: Phase) -> None:
    journal = stopped()
    with journal.phase(phase):
        pass
    assert journal.begun_phases == {phase}
