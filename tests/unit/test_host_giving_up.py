"""A host that does not answer keeps nobody waiting who wants to stop."""

from __future__ import annotations

import threading

import pytest

from standby.errors import Cancelled, ReachHost, StandbyError
from standby.host.giving_up import Attempt, alone, given_up_once

LONG = 10.0  # seconds; nothing here comes near it


class Host:
    """Answers when it is told to, and keeps count of what becomes of its connections."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = threading.Event()
        self.closed = threading.Event()

    def connect(self) -> str:
        self.asked.set()
        assert self.answers.wait(LONG)
        return "connected"

    def close(self, connection: str) -> None:
        assert connection == "connected"
        self.closed.set()

    def attempt(self) -> Attempt[str]:
        return Attempt("kvm", self.connect, self.close)


def set_later(event: threading.Event, after: threading.Event) -> None:
    threading.Thread(target=lambda: after.wait(LONG) and event.set(), daemon=True).start()


def test_a_host_that_answers_is_connected_and_stays_so() -> None:
    host = Host()
    host.answers.set()
    assert host.attempt().result(threading.Event()) == "connected"
    assert not host.closed.is_set()


def test_who_wants_to_stop_does_not_wait_and_a_late_answer_is_closed() -> None:
    host, cancel = Host(), threading.Event()
    set_later(cancel, host.asked)
    with pytest.raises(Cancelled):
        host.attempt().result(cancel)
    assert not host.closed.is_set()
    host.answers.set()
    assert host.closed.wait(LONG)


def test_who_wanted_to_stop_before_is_not_kept_either() -> None:
    host, cancel = Host(), threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        host.attempt().result(cancel)
    host.answers.set()


def test_cleaning_up_after_a_stop_connects_to_its_end() -> None:
    host, cancel = Host(), threading.Event()
    cancel.set()
    set_later(host.answers, host.asked)
    assert host.attempt().again(cancel) == "connected"
    assert not host.closed.is_set()


def test_one_of_those_who_share_a_connection_stops_without_the_others() -> None:
    host, shared, own = Host(), threading.Event(), threading.Event()
    set_later(own, host.asked)
    with given_up_once(own), pytest.raises(Cancelled):
        host.attempt().result(shared)
    host.answers.set()
    assert host.attempt().result(shared) == "connected"


def test_who_wants_to_stop_does_not_wait_for_another_who_connects() -> None:
    lock, own = threading.Lock(), threading.Event()
    threading.Timer(0.2, own.set).start()
    waiting = alone(lock, threading.Event(), "kvm")
    with lock, given_up_once(own), pytest.raises(Cancelled):
        waiting.__enter__()
    with alone(lock, threading.Event(), "kvm"):
        assert lock.locked()
    assert not lock.locked()


def test_who_cleans_up_after_a_stop_waits_for_another_who_connects() -> None:
    lock, own = threading.Lock(), threading.Event()
    own.set()
    lock.acquire()
    threading.Timer(0.3, lock.release).start()
    with given_up_once(own), alone(lock, threading.Event(), "kvm"):
        assert lock.locked()


def test_why_it_failed_is_raised_where_somebody_waits() -> None:
    def refuse() -> str:
        raise ReachHost("kvm", "refused")

    with pytest.raises(ReachHost):
        Attempt("kvm", refuse, print).result(threading.Event())


def test_a_mistake_of_ours_hangs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def fail() -> str:
        raise ZeroDivisionError

    with pytest.raises(StandbyError):
        Attempt("kvm", fail, print).result(threading.Event())
