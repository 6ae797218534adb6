"""Real servers on the loopback that news go to: SMTP with TLS and a login, and HTTP."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "standby", "correct horse"


@dataclass
class Mailbox:
    """Takes mail; `refusal` is what it answers to receivers instead."""

    mail: list[EmailMessage] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    encrypted: list[bool] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    refusal: str = ""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, session: Session, envelope: Envelope
    ) -> str:
        made = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(made, EmailMessage)
        self.mail.append(made)
        self.encrypted.append(session.ssl is not None)
        self.arrived.release()
        return "250 OK"

    def authenticate(
        self, _server: Any, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=good)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def make_certificate(directory: Path) -> Path:
    """Make a certificate for the loopback, signed by itself, with its key beside it."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    if not certificate.exists():
        command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
        names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        files = ("-keyout", str(key), "-out", str(certificate))
        subprocess.run((*command, *names, *files), check=True, capture_output=True)
    return certificate


@contextmanager
def smtp(
    mailbox: Mailbox,
    certificate: Path | None = None,
    port: int | None = None,
    *,
    from_the_first_byte: bool = False,
) -> Iterator[int]:
    """Run an SMTP server; with a certificate it insists on STARTTLS, and on a login."""
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    secure: dict[str, Any] = {}
    if context is not None and from_the_first_byte:
        secure = {"ssl_context": context}
    elif context is not None:
        secure = {
            "tls_context": context,
            "require_starttls": True,
            "authenticator": mailbox.authenticate,
            "auth_required": True,
        }
    controller = Controller(mailbox, "127.0.0.1", port or free_port(), **secure)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@contextmanager
def silent_server() -> Iterator[int]:
    """Listen, take connections, and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@dataclass
class Posts:
    """What was posted; `answers` are the statuses to give, the last one for ever, with `said`."""

    answers: list[int] = field(default_factory=lambda: [200])
    bodies: list[bytes] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    said: str = ""
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@contextmanager
def web(posts: Posts) -> Iterator[int]:
    """Run a web server that takes POST."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            posts.kinds.append(self.headers["Content-Type"])
            posts.paths.append(self.path)
            status = posts.answers.pop(0) if len(posts.answers) > 1 else posts.answers[0]
            self.send_response(status)
            if status in {301, 302}:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(posts.said)))
            self.end_headers()
            self.wfile.write(posts.said.encode())
            posts.arrived.release()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
