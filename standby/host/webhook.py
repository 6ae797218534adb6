"""Posting JSON to an address of the web."""

from __future__ import annotations

import http.client
import re
import ssl
from typing import Final
from urllib.parse import SplitResult, urlsplit

from standby.errors import AcceptHostKey, FixProfile, GrantAccess, ReachHost, StandbyError, TryLater

ANSWER_S: Final = 10.0
"""Seconds that a server may take for each step."""

_BUSY: Final = frozenset({408, 425, 429})
_FAULTS: Final = 500  # of the server: from here on they may pass
_MOST_READ: Final = 200  # bytes of an answer, for messages
_GOOD: Final = 200
_NOT_GOOD: Final = 300
_TELLING: Final = 6  # characters of a secret: what is cut off after fewer tells nobody


def destination(url: str) -> str:
    """Name where a URL leads, for messages: a path may hold a secret."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # whoever names a receiver must not be brought down by a wrong one
        return "webhook that is no address"
    return f"webhook {parts.scheme}://{parts.hostname}{port}"


def post_json(url: str, body: bytes, called: str = "", answer: float = ANSWER_S) -> None:
    """Post a JSON document; redirections are not followed. `answer` in seconds.

    Errors call the receiver `called`, or name its server, and hold nothing of the URL besides.

    Raises ReachHost when nobody answers, TryLater when the server is at fault or busy,
    GrantAccess when it refuses, AcceptHostKey when its certificate is not trusted, FixProfile
    when this is no address of the web.
    """
    where = called or destination(url)
    parts = _parts(url, where)
    connection = _connection(parts, where, answer)
    try:
        connection.request("POST", _path(parts), body, _HEADERS)
        response = connection.getresponse()
        said = response.read(_MOST_READ).decode("utf-8", "replace")
    except ssl.SSLCertVerificationError as error:
        raise AcceptHostKey(
            where,
            f"its certificate is not trusted: {error.verify_message}",
            "one that an authority known to this machine has signed, for this name",
            "add the authority: update-ca-certificates, or SSL_CERT_FILE for the manager",
        ) from error
    except (http.client.InvalidURL, UnicodeError) as error:
        raise FixProfile(where, "is no address", "one in ASCII, without blanks") from error
    except (OSError, http.client.HTTPException) as error:
        found = str(error) or type(error).__name__
        raise ReachHost(where, found, "a web server that answers") from error
    finally:
        connection.close()
    if not _GOOD <= response.status < _NOT_GOOD:
        raise _refusal(where, response.status, _quotable(said, parts))


_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": "standby"}


def _parts(url: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        named = parts.hostname and parts.port != 0
    except ValueError as error:
        raise FixProfile(where, "is no address", "https://server/path") from error
    if not named:
        raise FixProfile(where, "names no server", "https://server/path")
    if "@" in parts.netloc:
        raise FixProfile(where, "names a user, who would not be sent", "https://server/path")
    return parts


def _connection(parts: SplitResult, where: str, answer: float) -> http.client.HTTPConnection:
    assert parts.hostname  # noqa: S101 - for mypy; _parts saw to it
    if parts.scheme == "https":
        trust = ssl.create_default_context()
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=answer, context=trust
        )
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=answer)
    raise FixProfile(where, "is no address of the web", "https://server/path")


def _path(parts: SplitResult) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.path or '/'}{query}"


def _quotable(said: str, parts: SplitResult) -> str:
    """Return what a server said, in one line; nothing when it repeats what may be a secret."""
    words = re.split(r"[/?&=]", f"{parts.path}?{parts.query}")
    if any(word[:_TELLING] in said for word in words if word):
        return ""
    return " ".join(said.split())


def _refusal(where: str, status: int, said: str) -> StandbyError:
    found = f"it answers {status} {said}".rstrip()
    if status >= _FAULTS or status in _BUSY:
        return TryLater(where, found, "a server that takes the message")
    return GrantAccess(
        where, found, "a server that takes the message", "look at notify.webhooks in the profile"
    )
