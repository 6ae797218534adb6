"""Looking at what only the KVM hosts know, whatever becomes of one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from daemon_world import PATIENCE_S

from standby.app.glance import Glance
from standby.daemon.conductor import Conductor
from standby.daemon.looker import Looker


@dataclass
class Machines:
    """A conductor's machines: `quick` is paused, and so looked at again and again."""

    told: list[str] = field(default_factory=list)

    def names(self) -> frozenset[str]:
        return frozenset({"quick", "hung"})

    def paused(self) -> frozenset[str]:
        return frozenset({"quick"})

    def post(self, work: Callable[[], None]) -> None:
        work()

    def learn(self, name: str, *_: object) -> None:
        self.told.append(name)


def test_a_host_that_never_answers_keeps_nobody_from_looking_at_the_others() -> None:
    answers, quick = threading.Event(), threading.Semaphore(0)
    asked: list[str] = []

    def look(name: str) -> Glance:
        asked.append(name)
        if name == "hung":
            answers.wait(PATIENCE_S)
        else:
            quick.release()
        return Glance()

    machines = Machines()
    looker = Looker(cast(Conductor, machines), look, lambda name: f"host of {name}")
    looker.start()
    try:
        for _ in range(3):
            assert quick.acquire(timeout=PATIENCE_S), "nobody looked any more"
            looker.look_soon()
        assert asked.count("hung") == 1
        assert "hung" not in machines.told
    finally:
        looker.stop()
        answers.set()
