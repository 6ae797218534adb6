"""Bringing messages to their receivers: by mail and by webhook, each with a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from email.message import EmailMessage
from functools import partial
from typing import Final

from standby.app.telling.letters import Envelope, digest_mail, message_mail
from standby.app.telling.outbox import Delivery, Lost, Outbox
from standby.app.telling.webhooks import digest_json, message_json
from standby.errors import FixProfile
from standby.host.mail import Encryption, SmtpServer, send_mail
from standby.host.webhook import destination, post_json
from standby.model.notice import MailTo, Receivers, Webhook
from standby.planning.digests import Digest
from standby.planning.news import Message, chosen
from standby.profile.manager import MailServer

Compose = Callable[[Envelope], EmailMessage]

_NO_SERVER: Final = "no mail server"


@dataclass(frozen=True, slots=True)
class Postman:
    """Knows how a message reaches a receiver. Times in mail are shown in `zone`."""

    server: MailServer | None
    zone: tzinfo

    def of_messages(self, messages: Sequence[Message], to: Receivers) -> Iterator[Delivery]:
        """Return a delivery for each receiver who wants one of these messages."""
        for mail in to.mail:
            if (message := chosen(messages, mail.news)) is not None:
                yield self.by_mail(message, mail)
        for webhook in to.webhooks:
            if (message := chosen(messages, webhook.news)) is not None:
                yield self.by_webhook(message, webhook)

    def by_mail(self, message: Message, to: MailTo) -> Delivery:
        """Return the delivery of a message by mail."""
        run_id = message.run.id if message.run else ""
        about = f"{_about(message)} to {to.address}"
        return self._mail(
            about, run_id, to.address, message.at, lambda it: message_mail(message, it, self.zone)
        )

    def by_webhook(self, message: Message, to: Webhook) -> Delivery:
        """Return the delivery of a message by webhook."""
        where = named(to)
        run_id = message.run.id if message.run else ""
        about = f"{_about(message)} to {where}"
        return Delivery(where, about, run_id, lambda: _post(to, message_json(message)))

    def digest_by_mail(self, digest: Digest, address: str) -> Delivery:
        """Return the delivery of a digest by mail."""
        about = f"{digest.news.value} digest to {address}"
        return self._mail(
            about, "", address, digest.until, lambda it: digest_mail(digest, it, self.zone)
        )

    def digest_by_webhook(self, digest: Digest, to: Webhook) -> Delivery:
        """Return the delivery of a digest by webhook."""
        where = named(to)
        about = f"{digest.news.value} digest to {where}"
        return Delivery(where, about, "", lambda: _post(to, digest_json(digest)))

    def _mail(
        self, about: str, run_id: str, address: str, at: datetime, compose: Compose
    ) -> Delivery:
        server = self.server
        if server is None:
            return Delivery(_NO_SERVER, about, run_id, partial(_refuse, about))
        envelope = Envelope(server.sender, address, at)
        smtp = smtp_server(server)
        return Delivery(smtp.name, about, run_id, lambda: send_mail(smtp, compose(envelope)))


class PostOffice:
    """Where messages wait to be sent. Mail and webhooks wait apart: one may hang."""

    def __init__(self, lost: Lost) -> None:
        self._mail = Outbox("mail", lost)
        self._webhooks = Outbox("webhooks", lost)

    def put(self, delivery: Delivery) -> None:
        """Let a message be sent; never waits."""
        of_web = delivery.destination.startswith("webhook ")
        (self._webhooks if of_web else self._mail).put(delivery)

    @property
    def waiting(self) -> int:
        """How many messages have not been sent yet."""
        return self._mail.waiting + self._webhooks.waiting

    def close(self, limit: timedelta) -> None:
        """Send what can be sent within a time; the rest is lost."""
        half = limit.total_seconds() / 2
        self._mail.close(half)
        self._webhooks.close(half)


def named(to: Webhook) -> str:
    """Name a receiver for messages: nothing of an address that is a secret."""
    return f"webhook in {to.reference}" if to.reference else destination(to.url())


def _post(to: Webhook, body: bytes) -> None:
    post_json(to.url(), body, named(to))


def smtp_server(server: MailServer) -> SmtpServer:
    """Say in the words of the host room who takes our mail."""
    password = server.password
    return SmtpServer(
        server.host,
        server.port,
        Encryption(server.security.value),
        server.user or "",
        (lambda: password.read().get_secret_value()) if password is not None else None,
    )


def _about(message: Message) -> str:
    what = message.news.value if message.news else "trial"
    return f"{message.profile}: {what}"


def _refuse(about: str) -> None:
    raise FixProfile(
        about, "no mail server is known", "mail in manager.yaml", "add host and sender there"
    )
