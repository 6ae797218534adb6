"""Host keys are always checked, against the known_hosts files that OpenSSH would use."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import paramiko

from standby.errors import AcceptHostKey
from standby.host.interface import Host
from standby.host.ssh_config import Effective

_LOOK_S: Final = 10.0
_FOUND: Final = re.compile(r"# Host \S+ found: line (\d+)")
_CERTIFICATE_AUTHORITY: Final = "@cert-authority"
_REVOKED: Final = "@revoked"

# RFC 8332: an RSA key signs with SHA-2 under these names. SHA-1 ("ssh-rsa") is never accepted.
_SIGNATURES: Final = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line of a known_hosts file. `marker` is empty on ordinary lines."""

    file: Path
    line: int
    marker: str
    key_type: str
    blob: bytes


def known_keys(settings: Effective, manager: Host) -> tuple[KnownKey, ...]:
    """Return what the known_hosts files say of this host, under the first name they have.

    ssh-keygen does the looking: it knows hashed names, patterns and negations.
    """
    files = [file for file in settings.known_hosts if file.is_file()]
    for name in settings.key_names:
        found = [key for file in files for key in _in_file(name, file, manager)]
        if found:
            return tuple(found)
    return ()


def preferred_types(known: Sequence[KnownKey], supported: Sequence[str]) -> tuple[str, ...]:
    """Return the signature algorithms to ask for: those of known keys first, as OpenSSH does."""
    wanted = [
        algorithm
        for key in known
        if not key.marker
        for algorithm in _SIGNATURES.get(key.key_type, (key.key_type,))
    ]
    allowed = [algorithm for algorithm in supported if algorithm != "ssh-rsa"]
    first = [algorithm for algorithm in dict.fromkeys(wanted) if algorithm in allowed]
    return (*first, *(algorithm for algorithm in allowed if algorithm not in first))


def verify(key: paramiko.PKey, known: Sequence[KnownKey], settings: Effective) -> None:
    """Return if the host's key is known; otherwise raise AcceptHostKey."""
    blob = key.asbytes()
    same = [entry for entry in known if entry.blob == blob]
    if any(entry.marker == _REVOKED for entry in same):
        raise AcceptHostKey(
            settings.login, f"its key {fingerprint(blob)} is revoked in {_at(same)}"
        )
    if any(not entry.marker for entry in same):
        return
    ordinary = [entry for entry in known if not entry.marker]
    raise _changed(key, ordinary, settings) if ordinary else _unknown(key, known, settings)


def fingerprint(blob: bytes) -> str:
    """Return a key's fingerprint as ssh(1) shows it."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _unknown(key: paramiko.PKey, known: Sequence[KnownKey], settings: Effective) -> AcceptHostKey:
    hint = ""
    if any(entry.marker == _CERTIFICATE_AUTHORITY for entry in known):
        hint = " (host certificates are not supported here: its plain key has to be known)"
    return AcceptHostKey(
        settings.login,
        f"its {key.get_name()} key is unknown: {fingerprint(key.asbytes())}{hint}",
        "a key in " + _names(settings.known_hosts),
        f"compare it with what the host says of itself, then: {_accept(key, settings)}",
    )


def _changed(
    key: paramiko.PKey, ordinary: Sequence[KnownKey], settings: Effective
) -> AcceptHostKey:
    old = ordinary[0]
    forget = shlex.join(("ssh-keygen", "-R", settings.key_names[0], "-f", str(old.file)))
    return AcceptHostKey(
        settings.login,
        f"its key has changed: {key.get_name()} {fingerprint(key.asbytes())}; somebody may be "
        f"standing between, or it was installed anew",
        f"{old.key_type} {fingerprint(old.blob)} as {_at(ordinary)} says",
        f"if the new one is right: {forget} && {_accept(key, settings)}",
    )


def _accept(key: paramiko.PKey, settings: Effective) -> str:
    """Return the command that accepts exactly the key that was seen."""
    line = f"{settings.key_names[0]} {key.get_name()} {key.get_base64()}"
    file = settings.known_hosts[0] if settings.known_hosts else Path("~/.ssh/known_hosts")
    return f"echo {shlex.quote(line)} >> {shlex.quote(str(file))}"


def _in_file(name: str, file: Path, manager: Host) -> list[KnownKey]:
    command = ("ssh-keygen", "-F", name, "-f", str(file))
    # It ends with 1 when it found nothing.
    answer = manager.run(command, timeout=_LOOK_S, accept=frozenset({0, 1})).text.splitlines()
    return [
        _entry(file, int(match[1]), line)
        for comment, line in pairwise(answer)
        if (match := _FOUND.match(comment))
    ]


def _entry(file: Path, number: int, line: str) -> KnownKey:
    words = line.split()
    marker = words.pop(0) if words[0].startswith("@") else ""
    return KnownKey(file, number, marker, words[1], base64.b64decode(words[2]))


def _at(entries: Sequence[KnownKey]) -> str:
    return f"{entries[0].file}:{entries[0].line}"


def _names(files: Sequence[Path]) -> str:
    return " or ".join(map(str, files)) or "a known_hosts file"
