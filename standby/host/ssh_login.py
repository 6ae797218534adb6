"""Proving to a host who we are: keys of the agent, key files, a password."""

from __future__ import annotations

import base64
import binascii
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import paramiko
from paramiko.agent import AgentSSH

from standby.errors import GrantAccess, ReachHost
from standby.host.address import HostAddress
from standby.host.host_keys import fingerprint
from standby.host.ssh_config import Effective

_KINDS: Final = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


@dataclass(frozen=True, slots=True)
class _Offer:
    """A key and what to call it. `key` is None when it could not be read, and `what` says why."""

    what: str
    key: paramiko.PKey | None


@dataclass(slots=True)
class _Login:
    """What happened so far. `allowed` are the methods the host names, once it named them."""

    transport: paramiko.Transport
    settings: Effective
    tried: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)


def log_in(transport: paramiko.Transport, address: HostAddress, settings: Effective) -> None:
    """Log in, or raise GrantAccess naming user and keys tried; ReachHost if it hangs up."""
    login = _Login(transport, settings)
    try:
        for offer in _offers(address, settings):
            if _try_key(login, offer):
                return
        if address.password is not None and _try_password(login, address.password()):
            return
    except (paramiko.SSHException, EOFError, OSError) as error:
        # Too many keys: sshd hangs up after MaxAuthTries, 6 by default.
        if login.tried:
            raise _refused(login, str(error)) from error
        raise ReachHost(settings.login, f"connection lost while logging in: {error}") from error
    raise _refused(login, "")


def _try_key(login: _Login, offer: _Offer) -> bool:
    login.tried.append(offer.what)
    if offer.key is None:
        return False
    with suppress(paramiko.BadAuthenticationType, paramiko.AuthenticationException):
        # What is returned are further methods that the host demands.
        login.allowed = login.transport.auth_publickey(login.settings.user, offer.key)
        return not login.allowed
    if not login.transport.is_active():
        raise EOFError("hung up")
    return False


def _try_password(login: _Login, password: str) -> bool:
    login.tried.append("a password")
    try:
        return not login.transport.auth_password(login.settings.user, password)
    except paramiko.AuthenticationException:
        return False


def _refused(login: _Login, why: str) -> GrantAccess:
    tried = ", ".join(login.tried) or "nothing: there is no key in the agent or in a file"
    return GrantAccess(
        login.settings.login,
        f"refused user {login.settings.user}{f' ({why})' if why else ''}; tried {tried}",
        "a key in the user's authorized_keys there",
        f"ssh-copy-id -i KEY.pub {login.settings.asked_for}",
    )


def _offers(address: HostAddress, settings: Effective) -> Iterator[_Offer]:
    """Yield keys in the order of promise: named ones, by agent or file, then the agent's rest."""
    agent = _agent_keys(settings)
    named = [file for file in settings.identity_files if file.exists()]
    blobs = {blob for file in settings.identity_files if (blob := _public_blob(file))}
    held = {key.asbytes() for key in agent}
    yield from (_agent_offer(key) for key in agent if key.asbytes() in blobs)
    yield from (_file_offer(file, address) for file in named if _public_blob(file) not in held)
    if not settings.identities_only:
        yield from (_agent_offer(key) for key in agent if key.asbytes() not in blobs)


def _agent_offer(key: paramiko.PKey) -> _Offer:
    return _Offer(f"the agent's key {fingerprint(key.asbytes())}", key)


def _file_offer(file: Path, address: HostAddress) -> _Offer:
    passphrase = None
    try:
        try:
            return _Offer(str(file), _load(file, None))
        except paramiko.PasswordRequiredException:
            if address.passphrase is None:
                return _Offer(f"{file} (is encrypted, and no passphrase is given)", None)
            passphrase = address.passphrase()
            return _Offer(str(file), _load(file, passphrase))
    except (paramiko.SSHException, OSError, ValueError) as error:
        why = "the passphrase is wrong" if passphrase is not None else str(error)
        return _Offer(f"{file} (could not be read: {why})", None)


def _load(file: Path, passphrase: str | None) -> paramiko.PKey:
    problem: Exception = paramiko.SSHException("not a private key")
    for kind in _KINDS:
        try:
            key = kind.from_private_key_file(str(file), passphrase)
        except paramiko.PasswordRequiredException:
            raise
        except (paramiko.SSHException, ValueError, IndexError) as error:
            problem = error
            continue
        certificate = file.with_name(f"{file.name}-cert.pub")
        if certificate.exists():
            key.load_certificate(str(certificate))
        return key
    raise paramiko.SSHException(str(problem))


def _public_blob(file: Path) -> bytes | None:
    with suppress(OSError, IndexError, binascii.Error, UnicodeDecodeError):
        return base64.b64decode(file.with_name(f"{file.name}.pub").read_text().split()[1])
    return None


def _agent_keys(settings: Effective) -> Sequence[paramiko.PKey]:
    if settings.identity_agent == "none":
        return ()
    with suppress(paramiko.SSHException, OSError):
        if settings.identity_agent in {None, "SSH_AUTH_SOCK"}:
            return paramiko.Agent().get_keys()
        return _OtherAgent(str(settings.identity_agent)).get_keys()
    return ()


class _OtherAgent(AgentSSH):
    """An agent at a socket that ssh_config names; paramiko knows only the environment's."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        self._connect(connection)  # type: ignore[attr-defined]  # there is no public way
