"""A lost connection: the error names whoever ended it, if he is known a moment later."""

from __future__ import annotations

import pytest

from standby.cycle import replicate
from standby.errors import CaptureLost


def test_whoever_ended_a_connection_is_named_though_he_is_known_a_moment_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replicate, "_LOOK_EVERY_S", 0.01)
    looks: list[None] = []

    def alive() -> None:
        looks.append(None)
        if len(looks) == 5:
            raise CaptureLost("capture of web", "given up on the source: only 1 bytes free")

    with pytest.raises(CaptureLost):
        replicate.look_for_the_cause(alive)


def test_where_nobody_is_known_to_have_ended_it_the_wait_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replicate, "_CAUSE_SHOWS_S", 0.05)
    replicate.look_for_the_cause(lambda: None)
