"""Figures for Prometheus by HTTP: `/metrics`, for whoever can connect; nothing else."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from standby.errors import FixProfile, StandbyError

log = logging.getLogger(__name__)

PATH: Final = "/metrics"
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_FRESH_S: Final = 5.0  # who asks more often gets the same again
_READS_WITHIN_S: Final = 10.0
_AT_ONCE: Final = 16

_Request: TypeAlias = socket.socket | tuple[bytes, socket.socket]
_Address: TypeAlias = Any  # as socketserver has it


class Figures:
    """A text that is made anew when somebody asks, but not too often. Any thread may ask."""

    def __init__(
        self, make: Callable[[], str], steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._steady = steady
        self._lock = threading.Lock()
        self._text = ""
        self._made: float | None = None

    def text(self) -> str:
        """Return it. Raises what making it raised."""
        with self._lock:
            now = self._steady()
            if self._made is None or now - self._made >= _FRESH_S:
                self._text, self._made = self._make(), now
            return self._text


class MetricsServer:
    """Answers at an address and a port. A context: leaving it ends that."""

    def __init__(self, address: tuple[str, int], figures: Figures) -> None:
        """Listen from now on. Raises FixProfile when that cannot be done."""
        try:
            self._server = _Server(address, figures)
        except OSError as error:
            raise FixProfile(
                "metrics.listen in manager.yaml",
                f"cannot listen at {address[0]} port {address[1]}: {error.strerror or error}",
                "an address of this host and a port that is free",
            ) from error

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """End it, once it was started."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], figures: Figures) -> None:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        self.figures = figures
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, _Handler)

    def process_request(self, request: _Request, client_address: _Address) -> None:
        """Give the request a thread, if there are not too many."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: _Request, client_address: _Address) -> None:
        """Answer in that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: _Request, client_address: _Address) -> None:
        """Let who hangs up hang up."""
        if isinstance(sys.exception(), OSError):
            log.debug("%s went away", client_address)
        else:
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _READS_WITHIN_S
    server_version = "standby"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the figures."""
        if self.path.partition("?")[0] != PATH:
            self.send_error(HTTPStatus.NOT_FOUND, f"There is only {PATH}")
            return
        try:
            text = self.server.figures.text().encode()
        except StandbyError as error:
            log.warning("no figures: %s", error)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "No figures now")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text)

    def do_HEAD(self) -> None:
        """Answer without them."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Log each request, for who wants to know everything."""
        log.debug("%s: %s", self.address_string(), format % args)
