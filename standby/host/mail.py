"""Handing a mail to a server."""

from __future__ import annotations

import platform
import smtplib
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from enum import Enum
from typing import Final

from standby.errors import AcceptHostKey, FixProfile, GrantAccess, ReachHost, TryLater
from standby.host.address import Secret

ANSWER_S: Final = 30.0
"""Seconds that a server may take for one answer."""

_LASTING: Final = 500  # SMTP: replies from here on are for good
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Encryption(Enum):
    """How the connection is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A server that takes our mail. The password is read when it is needed."""

    host: str
    port: int
    encryption: Encryption
    user: str = ""
    password: Secret | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return f"mail server {self.host}:{self.port}"


def send_mail(server: SmtpServer, message: EmailMessage, answer: float = ANSWER_S) -> None:
    """Hand one mail over. `answer`: seconds that the server may take each time.

    Raises ReachHost when it does not answer, TryLater when it wants us to come again,
    GrantAccess when it refuses login, sender or receiver, AcceptHostKey when its certificate is
    not trusted, FixProfile when it cannot be spoken to as the settings say.
    """
    with _meanings(server), _connected(server, answer) as connection:
        if server.password is not None:
            connection.login(server.user, server.password())
        connection.send_message(message)


@contextmanager
def _connected(server: SmtpServer, answer: float) -> Generator[smtplib.SMTP]:
    _refuse_to_tell_passwords(server)
    us = platform.node() or "localhost"  # asking DNS for our whole name may take long
    trust = ssl.create_default_context()
    if server.encryption is Encryption.TLS:
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, us, timeout=answer, context=trust
        )
    else:
        connection = smtplib.SMTP(server.host, server.port, us, timeout=answer)
    with connection:
        if server.encryption is Encryption.STARTTLS:
            connection.starttls(context=trust)
        yield connection


def _refuse_to_tell_passwords(server: SmtpServer) -> None:
    if server.password is None or server.encryption is not Encryption.NONE:
        return
    if server.host not in _LOCAL:
        raise FixProfile(
            server.name,
            "a password, and nothing that hides it on the way",
            "mail.security: starttls or tls",
            "say so in manager.yaml, or log in nowhere",
        )


@contextmanager
def _meanings(server: SmtpServer) -> Generator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise AcceptHostKey(
            server.name,
            f"its certificate is not trusted: {error.verify_message}",
            "one that an authority known to this machine has signed, for this name",
            "add the authority: update-ca-certificates, or SSL_CERT_FILE for the manager",
        ) from error
    except smtplib.SMTPNotSupportedError as error:
        raise FixProfile(
            server.name,
            f"it cannot do what the settings ask: {error}",
            "STARTTLS, or a login, as in manager.yaml",
            "set mail.security, or leave out user and password",
        ) from error
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise _refusal(server, code, text) from error
    except (smtplib.SMTPConnectError, smtplib.SMTPServerDisconnected) as error:
        raise _no_answer(server, str(error)) from error
    except smtplib.SMTPResponseException as error:
        raise _refusal(server, error.smtp_code, error.smtp_error) from error
    except (OSError, smtplib.SMTPException) as error:
        raise _no_answer(server, str(error) or type(error).__name__) from error


def _no_answer(server: SmtpServer, found: str) -> ReachHost:
    return ReachHost(server.name, found, "an SMTP server that answers")


def _refusal(server: SmtpServer, code: int, text: bytes | str) -> GrantAccess | TryLater:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    found = f"it answers {code} {' '.join(said.split())}"
    if code < _LASTING:
        return TryLater(server.name, found, "a server that takes the mail")
    return GrantAccess(
        server.name, found, "a server that takes the mail", "look at mail in manager.yaml"
    )
