"""Mail and webhooks against real servers: what arrives, what is refused, what is never told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest

from standby.errors import AcceptHostKey, FixProfile, GrantAccess, ReachHost, TryLater
from standby.host.mail import Encryption, SmtpServer, send_mail
from standby.host.webhook import destination, post_json
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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(mailbox: Mailbox, certificate: Path) -> Iterator[SmtpServer]:
    with smtp(mailbox, certificate) as port:
        yield SmtpServer("127.0.0.1", port, Encryption.STARTTLS, USER, lambda: PASSWORD)


def mail() -> EmailMessage:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = "trial", "standby@example.org", "ops@example.org"
    made.set_content("hello")
    return made


@pytest.mark.usefixtures("trusted")
def test_a_mail_goes_over_starttls_after_a_login(mailbox: Mailbox, server: SmtpServer) -> None:
    send_mail(server, mail())
    assert [it["Subject"] for it in mailbox.mail] == ["trial"]
    assert mailbox.encrypted == [True]
    assert mailbox.logins == [(USER.encode(), PASSWORD.encode())]


def test_who_is_not_trusted_is_told_no_password(mailbox: Mailbox, server: SmtpServer) -> None:
    with pytest.raises(AcceptHostKey, match="not trusted"):
        send_mail(server, mail())
    assert (mailbox.logins, mailbox.mail) == ([], [])


def test_a_server_that_hides_nothing_is_told_nothing(mailbox: Mailbox) -> None:
    with smtp(mailbox) as port:
        plain = SmtpServer("127.0.0.1", port, Encryption.STARTTLS, USER, lambda: PASSWORD)
        with pytest.raises(FixProfile, match="STARTTLS"):
            send_mail(plain, mail())
        far = SmtpServer("192.0.2.1", port, Encryption.NONE, USER, lambda: PASSWORD)
        with pytest.raises(FixProfile, match="hides it"):
            send_mail(far, mail())
        assert (mailbox.logins, mailbox.mail) == ([], [])
        send_mail(SmtpServer("127.0.0.1", port, Encryption.NONE), mail())
    assert mailbox.encrypted == [False]


@pytest.mark.usefixtures("trusted")
def test_a_server_may_speak_tls_from_the_first_byte(mailbox: Mailbox, certificate: Path) -> None:
    with smtp(mailbox, certificate, from_the_first_byte=True) as port:
        send_mail(SmtpServer("127.0.0.1", port, Encryption.TLS), mail())
    assert len(mailbox.mail) == 1, "and this server understands nothing else"


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_for_a_person_to_mend(server: SmtpServer) -> None:
    with pytest.raises(GrantAccess, match="535") as raised:
        send_mail(replace(server, password=lambda: "wrong"), mail())
    assert "wrong" not in str(raised.value)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("refusal", "error"),
    [("550 no such user", GrantAccess), ("451 come back later", TryLater)],
)
def test_a_refusal_is_for_good_or_for_now(
    mailbox: Mailbox, server: SmtpServer, refusal: str, error: type[Exception]
) -> None:
    mailbox.refusal = refusal
    with pytest.raises(error, match=refusal):
        send_mail(server, mail())


def test_who_is_down_or_says_nothing_may_answer_later() -> None:
    down = SmtpServer("127.0.0.1", free_port(), Encryption.STARTTLS)
    with pytest.raises(ReachHost):
        send_mail(down, mail())
    with silent_server() as port, pytest.raises(ReachHost, match="timed out"):
        send_mail(SmtpServer("127.0.0.1", port, Encryption.STARTTLS), mail(), answer=0.5)


def test_a_webhook_gets_json() -> None:
    posts = Posts()
    with web(posts) as port:
        post_json(f"http://127.0.0.1:{port}/hook?room=1", b'{"text": "x"}')
    assert posts.bodies == [b'{"text": "x"}']
    assert posts.kinds == ["application/json"]
    assert posts.paths == ["/hook?room=1"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, GrantAccess), (302, GrantAccess), (429, TryLater), (503, TryLater)],
)
def test_a_webhook_that_does_not_take_it_is_asked_again_or_not(
    status: int, error: type[Exception]
) -> None:
    posts = Posts(answers=[status])
    with web(posts) as port, pytest.raises(error, match=str(status)) as raised:
        post_json(f"http://127.0.0.1:{port}/secret-token", b"{}")
    assert "secret-token" not in str(raised.value)
    assert len(posts.bodies) == 1, "redirections are not followed"


@pytest.mark.parametrize("said", ["no such hook: /hooks/T0KEN-and-more", "bad key 12345678"])
def test_what_a_server_repeats_of_a_secret_is_not_shown(said: str) -> None:
    posts = Posts(answers=[404], said=said)
    path = "hooks/T0KEN-and-more?key=12345678"
    with web(posts) as port, pytest.raises(GrantAccess) as raised:
        post_json(f"http://127.0.0.1:{port}/{path}", b"{}", "webhook in secret file /x")
    assert str(raised.value).startswith("webhook in secret file /x: it answers 404")
    for secret in ("T0KEN", "12345678", str(port)):
        assert secret not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/T0KEN x", "http://T0KEN:y/", "http://T0KEN@h/", "T0KEN"]
)
def test_a_wrong_secret_is_not_shown(url: str) -> None:
    with pytest.raises(FixProfile) as raised:
        post_json(url, b"{}", "webhook in environment variable CHAT_URL")
    assert "T0KEN" not in str(raised.value)


def test_a_webhook_that_is_down_or_says_nothing_may_answer_later() -> None:
    with pytest.raises(ReachHost):
        post_json(f"http://127.0.0.1:{free_port()}/", b"{}")
    with silent_server() as port, pytest.raises(ReachHost, match="timed out"):
        post_json(f"http://127.0.0.1:{port}/", b"{}", answer=0.5)


@pytest.mark.parametrize("path", ["/a b", "/b\u00fccher", "/x\r\nHost: y"])
def test_a_path_that_cannot_be_sent_is_for_a_person_to_mend(path: str) -> None:
    posts = Posts()
    with web(posts) as port, pytest.raises(FixProfile):
        post_json(f"http://127.0.0.1:{port}{path}", b"{}")
    assert posts.bodies == []


def test_the_secret_part_of_an_address_is_not_shown() -> None:
    shown = destination("https://user:password@chat.example.org:8443/hooks/T0KEN?key=x")
    assert shown == "webhook https://chat.example.org:8443"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/x",
        "http://[::1/x",
        "http:///x",
        "ftp://127.0.0.1/x",
        "",
        "http://a:b/",
    ],
)
def test_what_is_no_address_is_for_a_person_to_mend(url: str) -> None:
    assert destination(url).startswith("webhook ")
    with pytest.raises(FixProfile):
        post_json(url, b"{}")
