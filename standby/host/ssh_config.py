"""What OpenSSH would do: asked of OpenSSH itself, so that there is one parser of ssh_config."""

from __future__ import annotations

import os
import pwd
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

from standby.errors import CommandFailed, FixProfile, InstallPrograms
from standby.host.address import HostAddress
from standby.host.interface import Host

_ASK_S: Final = 30.0  # a `Match exec` in ssh_config may take its time


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings that hold for one destination."""

    asked_for: str
    hostname: str
    port: int
    user: str
    address_family: str
    identity_files: tuple[Path, ...]
    identities_only: bool
    identity_agent: str | None  # a socket's path; "none"; None: as the environment says
    known_hosts: tuple[Path, ...]
    host_key_alias: str
    proxy_jump: str
    proxy_command: str
    ciphers: str

    @property
    def login(self) -> str:
        """User, host and port, for people."""
        return f"{self.user}@{self.hostname}" + (f":{self.port}" if self.port != SSH_PORT else "")

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names under which known_hosts may have the key, the one to write first."""
        if self.host_key_alias:
            return (self.host_key_alias,)
        if self.port == SSH_PORT:
            return (self.hostname,)
        # OpenSSH, too, takes an entry without a port when there is none with it.
        return (f"[{self.hostname}]:{self.port}", self.hostname)


SSH_PORT: Final = 22


def options(address: HostAddress) -> tuple[str, ...]:
    """Return the options that make ssh(1) go where `address` says, without asking anybody."""
    words = ["-o", f"ConnectTimeout={ceil(address.connect_timeout)}"]
    words += ["-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no"]
    words += ["-o", f"Compression={'yes' if address.compression else 'no'}"]
    if address.ssh_config:
        words += ["-F", address.ssh_config]
    if address.known_hosts:
        words += ["-o", f'UserKnownHostsFile="{_literal(address.known_hosts)}"']
    if address.identity_file:
        words += ["-o", "IdentitiesOnly=yes"]
        words += ["-o", f'IdentityFile="{_literal(address.identity_file)}"']
    return tuple(words)


def effective(address: HostAddress, manager: Host) -> Effective:
    """Ask ssh(1) on the manager. Raise FixProfile when its configuration is wrong."""
    destination = address.destination or ""
    command = ("ssh", "-G", *options(address), "--", destination)
    try:
        answer = manager.run(command, timeout=_ASK_S).text
    except CommandFailed as error:
        raise FixProfile(address.name, error.stderr, "a valid ssh configuration") from error
    except InstallPrograms as error:
        remedy = "apt install openssh-client"
        raise InstallPrograms(address.name, "no ssh on the manager", remedy=remedy) from error
    return parse(answer, destination)


def parse(answer: str, destination: str) -> Effective:
    """Read what `ssh -G` printed: a keyword and its value on each line."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in answer.splitlines():
        keyword, _, value = line.partition(" ")
        found[keyword].append(value)

    def one(keyword: str) -> str:
        value = found[keyword][0] if found[keyword] else ""
        return "" if value == "none" else value

    user, hostname = one("user"), one("hostname")
    tokens = {"h": hostname, "r": user, "u": _me().pw_name, "d": _me().pw_dir, "n": destination}
    tokens |= {"p": one("port"), "i": str(os.getuid()), "%": "%"}
    known = [*one("userknownhostsfile").split(), *one("globalknownhostsfile").split()]
    agent = found["identityagent"]
    return Effective(
        asked_for=destination,
        hostname=hostname,
        port=int(one("port")),
        user=user,
        address_family=one("addressfamily"),
        identity_files=_paths(found["identityfile"], tokens),
        identities_only=one("identitiesonly") == "yes",
        identity_agent=expand(agent[0], tokens) if agent else None,
        known_hosts=_paths(known, tokens),
        host_key_alias=one("hostkeyalias"),
        proxy_jump=one("proxyjump"),
        proxy_command=expand(one("proxycommand"), tokens),
        ciphers=one("ciphers"),
    )


def default_ciphers(manager: Host) -> str:
    """Return the ciphers that ssh(1) offers when nobody has chosen any."""
    answer = manager.run(("ssh", "-F", "none", "-G", "--", "localhost"), timeout=_ASK_S).text
    return parse(answer, "localhost").ciphers


def expand(text: str, tokens: dict[str, str]) -> str:
    """Replace %-tokens as ssh_config(5) names them; unknown ones stay."""
    return re.sub("%(.)", lambda match: tokens.get(match[1], match[0]), text)


def _paths(texts: Sequence[str], tokens: dict[str, str]) -> tuple[Path, ...]:
    return tuple(_home(expand(text, tokens)) for text in texts if text != "none")


def _home(text: str) -> Path:
    # Of the password database, as in ssh(1), which does not look at $HOME.
    return Path(_me().pw_dir, text[2:]) if text.startswith("~/") else Path(text)


def _me() -> pwd.struct_passwd:
    return pwd.getpwuid(os.getuid())


def _literal(path: str) -> str:
    """Return a path in which ssh(1) finds no tokens to replace."""
    return path.replace("%", "%%")
