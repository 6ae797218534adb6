"""Who hears of what happens to a machine."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from standby.app.session import Session
from standby.app.source_events import Listener, SourceEvents, _Looks
from standby.model.schedule import SourceEvent
from standby.model.sighting import Power, Sighting
from standby.profile import Profile


def listener(name: str, domain: str, *events: SourceEvent) -> Listener:
    host, source = SimpleNamespace(name="hv1"), SimpleNamespace(domain=domain)
    profile = SimpleNamespace(name=name, source_host=host, source=source)
    return Listener(cast("Profile", profile), frozenset(events))


def test_every_profile_of_a_machine_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, SourceEvent]] = []
    events = SourceEvents(Session(tmp_path), lambda *it: told.append(it), lambda *_: None)
    heard = threading.Event()

    def hear(_self: SourceEvents, host: str, _profile: Profile) -> None:
        events._tell(host, {"web", "uuid"}, SourceEvent.SHUTDOWN)
        events._wanted = {}
        heard.set()

    monkeypatch.setattr(SourceEvents, "_hear", hear)
    all_: Any = [
        listener("here", "web", SourceEvent.SHUTDOWN),
        listener("far", "uuid", SourceEvent.SHUTDOWN),
        listener("also", "web", SourceEvent.SHUTDOWN),
        listener("other", "db", SourceEvent.SHUTDOWN),
        listener("crash", "web", SourceEvent.CRASH),
    ]
    events.listen_for(all_)
    assert heard.wait(20)
    assert [name for name, _ in told] == ["here", "far", "also"]


def test_a_machine_that_is_off_is_asked_how_that_came_once_and_anew_after_it_ran() -> None:
    ends = iter([Sighting(Power.OFF, SourceEvent.SHUTDOWN), None])
    looks = _Looks(lambda _: next(ends))
    off: frozenset[str] = frozenset()
    assert looks.at("web", off) == looks.at("web", off) == Sighting(Power.OFF, SourceEvent.SHUTDOWN)
    assert looks.at("web", frozenset({"web"})) == Sighting(Power.ON)
    assert looks.at("web", off) is None  # saved: it goes on
