"""Two looks at once: results and errors come back, and nothing hangs."""

from __future__ import annotations

import threading

import pytest

from standby.app.checks.beside import Beside
from standby.errors import ReachHost, StandbyError


def test_a_result_comes_back() -> None:
    gate = threading.Event()

    def task() -> str:
        assert gate.wait(10)
        return "seen"

    beside = Beside(task)
    gate.set()
    assert beside.result() == "seen"


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    def task() -> str:
        raise ReachHost("kvm1", "no answer")

    with pytest.raises(ReachHost):
        Beside(task).result()


def test_a_mistake_in_a_task_does_not_hang_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def task() -> str:
        raise ZeroDivisionError

    with pytest.raises(StandbyError):
        Beside(task).result()
