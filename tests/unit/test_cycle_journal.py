"""Stopping between the phases of a cycle."""

from __future__ import annotations

import logging
import re
import threading
from pathlib import Path

import pytest

from standby.app.session import Session
from standby.cycle.report import Journal, Phase
from standby.errors import Cancelled
from standby.model.names import PointName

UNTIL_PUBLISHED = (
    Phase.OBSERVE,
    Phase.CLEAN,
    Phase.CAPTURE,
    Phase.SURVEY,
    Phase.TRANSFER,
    Phase.PUBLISH,
)


def test_each_phase_is_a_line_with_profile_point_bytes_and_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal = Journal("web1", lambda _: None)
    with caplog.at_level(logging.INFO, "standby.cycle"):
        with journal.phase(Phase.TRANSFER, "to kvm1"):
            journal.point = PointName.parse("V20261122_035600")
            journal.bytes = 4096
        with journal.phase(Phase.FORGET):
            pass
    transfer, forget = (record.getMessage() for record in caplog.records)
    assert re.fullmatch(
        r"profile=web1 phase=transfer seconds=\d+\.\d{3} point=V20261122_035600 bytes=4096 to kvm1",
        transfer,
    )
    assert forget.endswith(" point=V20261122_035600")


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
