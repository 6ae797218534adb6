"""The newsroom, with real servers: nobody waits for it, and nothing is lost in silence."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from standby.app.news import Newsroom
from standby.app.session import Session, WallClock
from standby.app.telling import outbox
from standby.app.telling.outbox import Delivery, Outbox
from standby.errors import GrantAccess, ReachHost, Retry, StandbyError, TryLater
from standby.model.health import Concern, Condition, Health, Problem, Severity
from standby.model.notice import MailTo, News, Receivers, Webhook
from standby.model.run import Amounts, Cause, Failure, Run, RunKind, RunResult
from standby.profile.manager import MailSecurity, MailServer, ManagerSettings
from tests.integration.host_sshd import until
from tests.integration.news_servers import (
    PASSWORD,
    USER,
    Mailbox,
    Posts,
    free_port,
    make_certificate,
    silent_server,
    smtp,
    web,
)

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ALL = frozenset(News)
HOSTILE = "<script>alert(1)</script>\r\nBcc: all@example.org \x1b[2J & more"
LIMIT = timedelta(seconds=20)


class Clock(WallClock):
    """Shows what a test says."""

    def __init__(self, now: datetime = NOON) -> None:
        self.shows = now

    def now(self) -> datetime:
        return self.shows


class Password:
    """A secret that a profile would refer to."""

    def read(self) -> Password:
        return self

    def get_secret_value(self) -> str:
        return PASSWORD


def run(result: RunResult = RunResult.FAILED, at: datetime = NOON, found: str = "full") -> Run:
    failure = Failure("FreeSpace", "storage", found, "10 GiB", "add some", Retry.LATER)
    return Run("k3fx", "web1", RunKind.CYCLE, Cause.SCHEDULE, at, ended=at + timedelta(minutes=2),
               result=result, amounts=Amounts(sent=5 << 20),
               failure=failure if result.is_bad else None)  # fmt: skip


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "DELAYS_S", (0.05,))


MakeRoom = Callable[..., Newsroom]


def await_end(box: Outbox) -> None:
    """Wait for the thread of a box that was closed: what it logs later goes to no open file."""
    if box._thread is not None:
        box._thread.join(20)
        assert not box._thread.is_alive()


MakeBox = Callable[..., Outbox]


@pytest.fixture
def make_box() -> Iterator[MakeBox]:
    boxes: list[Outbox] = []

    def make(lost: Lost, **more: Any) -> Outbox:
        boxes.append(Outbox("test", lost, **more))
        return boxes[-1]

    yield make
    for box in boxes:
        box.close(0)
        await_end(box)


@pytest.fixture
def make_room(tmp_path: Path) -> Iterator[MakeRoom]:
    rooms: list[Newsroom] = []

    def make(port: int = 0, clock: Clock | None = None, **more: object) -> Newsroom:
        server = MailServer("127.0.0.1", port, MailSecurity.NONE, "standby@example.org")
        given = more.pop("server", server)
        settings = ManagerSettings(tmp_path, mail=given, digest_at=time(7))  # type: ignore[arg-type]
        session = Session(tmp_path / "configuration", clock=clock or Clock())
        rooms.append(Newsroom(session, tmp_path, settings, zone=UTC, **more))  # type: ignore[arg-type]
        return rooms[-1]

    yield make
    for room in rooms:
        room.close(timedelta(0))
        for box in (room._office._mail, room._office._webhooks):
            await_end(box)


def ops(*news: News) -> Receivers:
    return Receivers(mail=(MailTo("ops@example.org", frozenset(news) or ALL),))


def test_a_failure_reaches_people_as_text_and_as_html(
    mailbox: Mailbox, make_room: MakeRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    problem = Problem(Concern.SPACE, Severity.WARNING, "3 days left <b>", "add storage")
    with smtp(mailbox, certificate) as port:
        server = MailServer("127.0.0.1", port, MailSecurity.STARTTLS, "standby@example.org", USER,
                            Password())  # type: ignore[arg-type]  # fmt: skip
        room = make_room(server=server)
        room.tell(run(found=HOSTILE), Condition(Health.WARNING, (problem,)), ops())
        assert mailbox.arrived.acquire(timeout=20)
    (mail,) = mailbox.mail
    assert mail["Subject"].startswith("[standby] web1: cycle failed: storage: <script>")
    assert (mail["From"], mail["To"]) == ("standby@example.org", "ops@example.org")
    assert "Bcc" not in mail
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    plain, marked = text.get_content(), html.get_content()
    for part in ("standby log k3fx", "10 GiB", "add some", "add storage", "2026-11-26 12:00:00"):
        assert part in plain
        assert part in marked
    assert "<script>alert(1)</script>" in plain, "text is no markup"
    assert "3 days left <b>" in plain
    assert "<script>" not in marked
    assert "&lt;script&gt;" in marked
    assert "\x1b" not in plain + marked


def test_a_run_does_not_wait_for_a_server_that_hangs(make_room: MakeRoom) -> None:
    posts = Posts()
    with silent_server() as port, web(posts) as web_port:
        room = make_room(port)
        hook = Webhook.at(f"http://127.0.0.1:{web_port}/", ALL)
        room.tell(run(), None, Receivers(ops().mail, (hook,)))
        assert posts.arrived.acquire(timeout=20), "nor do webhooks"
        assert until(lambda: room.waiting == 1), "the mail is still being sent; we are here"


def test_what_a_server_does_not_take_now_it_gets_later(
    mailbox: Mailbox, make_room: MakeRoom, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    room = make_room(port)
    with caplog.at_level(logging.WARNING):
        room.tell(run(), None, ops())
        assert until(lambda: "not sent yet: web1: failure to ops@example.org" in caplog.text)
    with smtp(mailbox, port=port):
        assert mailbox.arrived.acquire(timeout=20)
    assert until(lambda: room.waiting == 0)
    assert len(mailbox.mail) == 1


def test_what_nobody_will_get_is_said_in_the_log_of_its_run(
    mailbox: Mailbox, make_room: MakeRoom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "logs/k3/k3fx.log"
    log.parent.mkdir(parents=True)
    log.write_text("2026 INFO begun\n")
    mailbox.refusal = "550 no such user"
    with smtp(mailbox) as port:
        room = make_room(port)
        room.tell(run(), None, ops())
        assert until(lambda: "no such user" in log.read_text())
    assert log.read_text().startswith("2026 INFO begun\n")
    assert "ERROR not sent: web1: failure to ops@example.org" in log.read_text()
    assert "no such user" in caplog.text


def test_without_a_mail_server_it_is_said_that_nothing_was_sent(
    make_room: MakeRoom, caplog: pytest.LogCaptureFixture
) -> None:
    room = make_room(server=None)
    room.tell(run(), None, ops())
    assert until(lambda: "no mail server is known" in caplog.text)


def test_a_webhook_is_told_all_that_is_known(make_room: MakeRoom) -> None:
    posts = Posts(answers=[503, 200])
    with web(posts) as port:
        room = make_room()
        hook = Webhook.at(f"http://127.0.0.1:{port}/hook", ALL)
        problem = Problem(Concern.RPO, Severity.CRITICAL, "late", "look")
        condition = Condition(Health.CRITICAL, (problem,))
        room.tell(run(), condition, Receivers(webhooks=(hook,)))
        assert posts.arrived.acquire(timeout=20)
        assert posts.arrived.acquire(timeout=20), "the first was refused"
    told = json.loads(posts.bodies[-1])
    assert told["news"] == "failure"
    assert (told["profile"], told["at"], told["failures"]) == ("web1", "2026-11-26T12:00:00Z", 1)
    assert told["run"]["error"] == {
        "type": "FreeSpace",
        "subject": "storage",
        "found": "full",
        "expected": "10 GiB",
        "remedy": "add some",
    }
    assert told["health"]["reasons"][0]["concern"] == "RPO missed"


def test_a_manager_that_begins_anew_tells_nothing_twice(
    mailbox: Mailbox, make_room: MakeRoom
) -> None:
    with smtp(mailbox) as port:
        before = make_room(port)
        before.tell(run(), None, ops())
        before.close(LIMIT)
        after = make_room(port)
        after.tell(run(at=NOON + timedelta(minutes=5)), None, ops())
        assert after.waiting == 0
        after.tell(run(RunResult.PUBLISHED), None, ops(News.RECOVERY))
        after.close(LIMIT)
    assert ["failed" in it["Subject"] for it in mailbox.mail] == [True, False]
    assert "after 2 failures" in mailbox.mail[1]["Subject"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": 99}', "\x00", '{"version": 1}'])
def test_without_its_memory_it_tells_once_more(
    mailbox: Mailbox, make_room: MakeRoom, tmp_path: Path, content: str
) -> None:
    (tmp_path / "news.json").write_text(content)
    with smtp(mailbox) as port:
        room = make_room(port)
        room.tell(run(), None, ops())
        assert mailbox.arrived.acquire(timeout=20)


def test_of_a_broken_profile_is_told_whom_it_named_before(
    mailbox: Mailbox, make_room: MakeRoom
) -> None:
    with smtp(mailbox) as port:
        room = make_room(port)
        room.tell(run(RunResult.PUBLISHED), None, ops(News.FAILURE))
        room.tell(run(RunResult.PUBLISHED), None, ops())
        assert mailbox.arrived.acquire(timeout=20)
        room.tell(run())  # there is no such profile
        assert mailbox.arrived.acquire(timeout=20)
    assert "failed" in mailbox.mail[1]["Subject"]


def test_a_digest_tells_each_receiver_of_his_machines_once(
    mailbox: Mailbox, make_room: MakeRoom
) -> None:
    known = {
        "web1": ops(News.DAILY),
        "db1": Receivers(mail=(MailTo("ops@example.org", ALL), MailTo("boss@example.org", ALL))),
        "old": ops(News.FAILURE),
    }

    def runs(profile: str, since: datetime) -> list[Run]:
        assert since == NOON
        good = replace(run(RunResult.PUBLISHED), profile=profile)
        return [good, run()] if profile == "web1" else [good]

    with smtp(mailbox) as port:
        room = make_room(port, runs_since=runs)
        critical = Condition(
            Health.CRITICAL, (Problem(Concern.RPO, Severity.CRITICAL, "late by 3 h", "look"),)
        )
        room.tell(run(), critical, Receivers())
        room.digest(NOON, known)  # the first time there is nothing to look back on
        room.digest(NOON + timedelta(hours=1), known)
        assert mailbox.mail == []
        for _ in range(3):
            room.digest(NOON + timedelta(hours=20), known)
        assert mailbox.arrived.acquire(timeout=20)
        assert mailbox.arrived.acquire(timeout=20)
        room.close(LIMIT)
    by_receiver = {it["To"]: it for it in mailbox.mail}
    assert len(mailbox.mail) == len(by_receiver) == 2
    text = by_receiver["ops@example.org"].get_body(("plain",))
    assert text is not None
    plain = text.get_content()
    assert "web1: Critical; 1 of 2 cycles good; sent 10.0 MiB" in plain
    assert "late by 3 h" in plain
    assert "last failure: storage: full" in plain
    assert "db1: unknown; 1 of 1 cycles good" in plain
    assert "old" not in plain
    assert "1 of 3 cycles failed" in by_receiver["ops@example.org"]["Subject"]


# ---- what waits --------------------------------------------------------------------------


class Lost:
    """Notes what nobody will get."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def __call__(self, delivery: Delivery, why: str) -> None:
        self.told.append((delivery.about, why))


def delivery(about: str, send: Callable[[], None], where: str = "server") -> Delivery:
    return Delivery(where, about, "", send)


def until_set(event: threading.Event) -> Callable[[], None]:
    def send() -> None:
        event.wait(60)

    return send


def raises(error: Exception) -> Callable[[], None]:
    def send() -> None:
        raise error

    return send


def test_more_messages_than_may_wait_are_said_to_be_lost(make_box: MakeBox) -> None:
    lost, hold = Lost(), threading.Event()
    box = make_box(lost, most_waiting=3)
    for number in range(5):
        box.put(delivery(str(number), until_set(hold)))
    assert lost.told == [(n, "3 messages wait already") for n in ("3", "4")]
    hold.set()
    box.close(20)
    assert len(lost.told) == 2


@pytest.mark.parametrize("error", [GrantAccess("x", "refused"), ValueError("address")])
def test_what_is_refused_for_good_is_not_tried_again(make_box: MakeBox, error: Exception) -> None:
    lost = Lost()
    box = make_box(lost, delays=(0.01,))
    box.put(delivery("bad", raises(error)))
    assert until(lambda: lost.told)
    arrived = threading.Event()
    box.put(delivery("good", arrived.set))
    assert arrived.wait(20), "the thread goes on"
    box.close(20)


def test_a_message_that_grows_too_old_is_given_up(make_box: MakeBox) -> None:
    lost = Lost()
    box = make_box(lost, delays=(0.05,), given_up_after=0.3)
    box.put(delivery("old", raises(TryLater("x", "busy"))))
    assert until(lambda: lost.told)
    assert "busy" in lost.told[0][1]
    assert box.waiting == 0


def test_while_a_server_does_not_answer_others_are_served(make_box: MakeBox) -> None:
    tries: list[str] = []
    lost = Lost()

    def dead(name: str) -> Callable[[], None]:
        def send() -> None:
            tries.append(name)
            raise ReachHost("server", "no answer")

        return send

    box = make_box(lost, delays=(60.0,))
    for name in ("one", "two", "three"):
        box.put(delivery(name, dead(name), "dead"))
    arrived = threading.Event()
    box.put(delivery("other", arrived.set, "alive"))
    assert arrived.wait(20)
    assert tries == ["one"], "who does not answer is not asked for each message"
    box.close(0)
    assert sorted(about for about, _ in lost.told) == ["one", "three", "two"]


def test_who_refuses_one_message_for_now_gets_the_others(make_box: MakeBox) -> None:
    error: StandbyError = TryLater("server", "451 greylisted")
    box = make_box(Lost(), delays=(60.0,))
    box.put(delivery("one", raises(error)))
    arrived = threading.Event()
    box.put(delivery("two", arrived.set))
    assert arrived.wait(20)
    box.close(0)


def test_what_hangs_when_the_manager_ends_is_said_to_be_lost(make_box: MakeBox) -> None:
    lost, hold = Lost(), threading.Event()
    box = make_box(lost)
    box.put(delivery("stuck", until_set(hold)))
    box.close(0.2)
    assert [about for about, _ in lost.told] == ["stuck"]
    hold.set()
