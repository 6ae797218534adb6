"""Places for merges: never more than there are, in turn, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue

import pytest

from standby.app.merge_places import MergePlaces
from standby.cycle.interfaces import MergeTurn
from standby.errors import Cancelled, TryLater

BEFORE, LAST = MergeTurn.BEFORE, MergeTurn.LAST
PATIENCE_S = 20.0
IMPATIENT = {BEFORE: 5.0, LAST: 1.0}


def willing() -> None:
    """Go on waiting."""


def give_up() -> None:
    raise Cancelled("merge", "stopped")


@dataclass
class Merges:
    """Merges in threads of their own, each until it is told to end."""

    places: MergePlaces
    begun: SimpleQueue[str] = field(default_factory=SimpleQueue)
    ends: dict[str, threading.Event] = field(default_factory=dict)
    threads: list[threading.Thread] = field(default_factory=list)

    def ask(self, name: str, turn: MergeTurn) -> None:
        """Let one wait for a place; return when it waits or merges."""
        self.ends[name] = threading.Event()
        asked = threading.Event()

        def wanted() -> None:
            asked.set()

        def merge() -> None:
            with self.places.one(turn, wanted):
                self.begun.put(name)
                asked.set()
                self.ends[name].wait(PATIENCE_S)

        self.threads.append(threading.Thread(target=merge, daemon=True))
        self.threads[-1].start()
        assert asked.wait(PATIENCE_S)

    def next(self) -> str:
        return self.begun.get(timeout=PATIENCE_S)

    def end(self, name: str) -> None:
        self.ends[name].set()


@contextmanager
def merging(limit: int) -> Iterator[Merges]:
    made = Merges(MergePlaces(limit))
    yield made
    for end in made.ends.values():
        end.set()
    for thread in made.threads:
        thread.join(PATIENCE_S)


def test_no_more_than_there_are_places_and_waiting_can_be_given_up() -> None:
    with merging(1) as merges:
        merges.ask("web", LAST)
        with pytest.raises(Cancelled), merges.places.one(LAST, give_up):
            pytest.fail("two at once")
        merges.places.limit = 2
        with merges.places.one(LAST, give_up):
            pass
        merges.places.limit = 1
        merges.end("web")
        merges.threads[0].join(PATIENCE_S)
        with merges.places.one(LAST, willing):
            pass


def test_who_came_first_is_served_first_and_nobody_pushes_in() -> None:
    names = [f"m{number}" for number in range(8)]
    with merging(1) as merges:
        for name in names:
            merges.ask(name, LAST)
        served = []
        for _ in names:
            served.append(merges.next())
            merges.end(served[-1])
    assert served == names


def test_who_captures_afterwards_goes_before_who_only_merges() -> None:
    with merging(1) as merges:
        for name, turn in (("at work", LAST), ("rest", LAST), ("full", BEFORE)):
            merges.ask(name, turn)
        assert merges.next() == "at work"
        merges.end("at work")
        assert merges.next() == "full"
        merges.end("full")
        assert merges.next() == "rest"


@pytest.mark.parametrize(("turn", "patience"), [(LAST, 1.0), (BEFORE, 5.0)])
def test_who_waited_long_enough_goes_on_without(turn: MergeTurn, patience: float) -> None:
    now = [100.0]
    places = MergePlaces(1, IMPATIENT, lambda: now[0])

    def waits() -> None:
        now[0] += patience / 2

    with places.one(LAST, willing):
        with pytest.raises(TryLater, match="1 standbys merge and 1 wait"), places.one(turn, waits):
            pytest.fail("two at once")
        assert now[0] - 100 == pytest.approx(patience)
    with places.one(turn, willing):  # nothing is left of who gave up
        pass
