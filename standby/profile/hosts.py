"""Hosts: how to reach the machines that run libvirt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Discriminator, Field, StrictBool, Tag
from pydantic import model_validator as checks

from standby.profile.kinds import (
    AS_TEXT,
    Duration,
    LocalPath,
    bounded,
    described,
    not_allowed,
    parsed,
    worded,
)
from standby.profile.mistakes import Plain
from standby.profile.secret import SecretFile, SecretVariable
from standby.profile.section import Section, impossible
from standby.profile.units import format_duration, parse_duration

SYSTEM_LIBVIRT = "qemu:///system"
DEFAULT_CONNECT_TIMEOUT = timedelta(seconds=10)
LOCAL = "local"
_OF_SSH = ("identity_file", "known_hosts", "ssh_config", "passphrase", "password")
_HIGHEST_PORT = 65535
# No part may begin with '-': ssh would take it for an option.
_DESTINATION = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})@)?"
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]{0,253})|\[(?P<v6>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_OWN_LIBVIRT = re.compile(r"[a-z]+(\+unix)?:///[A-Za-z0-9_./?=%-]*")


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """The management host itself."""

    def __str__(self) -> str:
        return LOCAL


@dataclass(frozen=True, slots=True)
class SshAddress:
    """A host behind SSH; what is None is left to ssh_config."""

    host: str  # a name, an address, or an alias of ssh_config
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        return user + host + (f":{self.port}" if self.port else "")

    @property
    def destination(self) -> str:
        """The address as ssh(1) takes it; it never begins with a hyphen."""
        return f"ssh://{self}" if self.port or ":" in self.host else str(self)


Address = LocalAddress | SshAddress


@dataclass(frozen=True, slots=True)
class WrittenAddress:
    """An address as a file gives it; a libvirt URI says two things at once."""

    address: Address
    libvirt_uri: str | None = None

    @classmethod
    def parse(cls, text: str) -> WrittenAddress:
        """Read local, user@host:port, an alias, or a libvirt URI; raise ValueError."""
        if "://" in text:
            return cls._of_uri(text)
        return cls(LocalAddress() if text == LOCAL else _destination(text))

    @classmethod
    def _of_uri(cls, text: str) -> WrittenAddress:
        uri = urlsplit(text)
        if uri.query or uri.fragment:
            raise ValueError("options of a libvirt URI are keys of their own here: identity_file")
        own = f"qemu://{uri.path}"
        if uri.scheme == "qemu" and not uri.netloc and _OWN_LIBVIRT.fullmatch(own):
            return cls(LocalAddress(), own)
        if uri.scheme == "qemu+ssh" and uri.netloc and _OWN_LIBVIRT.fullmatch(own):
            return cls(_destination(uri.netloc), own)
        raise ValueError("not a libvirt URI that is understood: qemu:///… or qemu+ssh://HOST/…")

    def __str__(self) -> str:
        return str(self.address)


def _destination(text: str) -> SshAddress:
    user, _, _ = text.rpartition("@")
    if ":" in user:
        raise ValueError("a secret never stands in an address")
    match = _DESTINATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an address (an IPv6 address stands in brackets)")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"port {port} does not exist")
    return SshAddress(match["host"] or match["v6"], match["user"], port)


def _secret_tag(value: object) -> str:
    by_name = isinstance(value, SecretVariable) or (isinstance(value, Mapping) and "env" in value)
    return "<env>" if by_name else "<file>"


def _no_literal(value: object) -> object:
    if isinstance(value, str | int | float):
        raise not_allowed("a secret never stands in a file of the configuration")
    return value


SecretRef = SecretFile | SecretVariable
Secret = Annotated[
    Annotated[SecretFile, Tag("<file>")] | Annotated[SecretVariable, Tag("<env>")],
    Discriminator(_secret_tag),
    BeforeValidator(_no_literal),
]


class HostFile(Section):
    """How a host is reached."""

    address: Annotated[
        WrittenAddress,
        parsed(WrittenAddress.parse),
        AS_TEXT,
        described("local, [USER@]HOST[:PORT], an alias of ssh_config, or a qemu:// URI"),
    ] = Field(
        description="Where the host is: `local` for the management host itself; "
        "`[USER@]HOST[:PORT]` or an alias of ssh_config for SSH, what is left out being taken "
        "from ssh_config; or libvirt's own `qemu:///system`, `qemu+ssh://USER@HOST/system`.",
        examples=["root@kvm1.example.org"],
    )
    identity_file: LocalPath | None = Field(
        default=None,
        description="Private key for SSH. Null: the SSH agent's keys and those of ssh_config.",
        examples=["~/.ssh/id_standby"],
    )
    known_hosts: LocalPath | None = Field(
        default=None,
        description="File of known host keys. Null: that of ssh_config. Host keys are always "
        "checked.",
        examples=["/etc/standby/known_hosts"],
    )
    ssh_config: LocalPath | None = Field(
        default=None,
        description="An ssh_config to use instead of the user's and the system's own. Null: "
        "those two.",
        examples=["/etc/standby/ssh_config"],
    )
    passphrase: Secret | None = Field(
        default=None,
        description="Passphrase of `identity_file`, where no SSH agent holds the key, by "
        "reference: `{file: PATH}` or `{env: NAME}`, never the passphrase itself.",
        examples=[{"env": "STANDBY_KEY_PASSPHRASE"}],
    )
    password: Secret | None = Field(
        default=None,
        description="Password for SSH where keys cannot be used, by reference: `{file: PATH}` or "
        "`{env: NAME}`, never the password itself.",
        examples=[{"file": "/etc/standby/secrets/kvm1"}],
    )
    sudo: StrictBool = Field(
        default=False,
        description="Whether commands that need root run through `sudo -n`, for an ordinary user "
        "with sudo rules.",
        examples=[True],
    )
    connect_timeout: Annotated[Duration, bounded(parse_duration, "1s", "10m")] = Field(
        default=DEFAULT_CONNECT_TIMEOUT,
        description="How long to wait for a connection. From 1s to 10m.",
        examples=["30s"],
    )
    libvirt_uri: (
        Annotated[
            str,
            *worded(
                "URI of libvirt on the host itself, such as qemu:///system", _OWN_LIBVIRT.pattern
            ),
        ]
        | None
    ) = Field(
        default=None,
        description=f"Libvirt on the host, as seen there. Null: `{SYSTEM_LIBVIRT}`, or that of "
        "`address`.",
        examples=["qemu:///session"],
    )

    @checks(mode="after")
    def _one_libvirt(self) -> Self:
        own = self.address.libvirt_uri
        if own is not None and self.libvirt_uri not in {None, own}:
            raise impossible(
                f"the address says {own}, and libvirt_uri {self.libvirt_uri}",
                "one of them",
                "libvirt_uri",
                "address",
            )
        return self

    @checks(mode="after")
    def _nothing_idle(self) -> Self:
        is_local = isinstance(self.address.address, LocalAddress)
        for key in _OF_SSH:
            if is_local and getattr(self, key) is not None:
                raise impossible("means nothing on a local host", "no such key", key, "address")
        if self.passphrase is not None and self.identity_file is None:
            raise impossible(
                "is that of no key", "a passphrase with an identity_file", "passphrase"
            )
        return self


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How a host is reached, everything resolved."""

    name: str
    address: Address
    identity_file: Path | None = None
    known_hosts: Path | None = None
    ssh_config: Path | None = None
    passphrase: SecretRef | None = None
    password: SecretRef | None = None
    sudo: bool = False
    connect_timeout: timedelta = DEFAULT_CONNECT_TIMEOUT
    libvirt_uri: str = SYSTEM_LIBVIRT  # as seen on the host itself

    @property
    def is_local(self) -> bool:
        """Tell whether this is the management host itself."""
        return isinstance(self.address, LocalAddress)

    @classmethod
    def of(cls, name: str, file: HostFile) -> HostSettings:
        """Resolve what a host's file says."""
        return cls(
            name,
            file.address.address,
            file.identity_file,
            file.known_hosts,
            file.ssh_config,
            file.passphrase,
            file.password,
            file.sudo,
            file.connect_timeout,
            file.libvirt_uri or file.address.libvirt_uri or SYSTEM_LIBVIRT,
        )

    def effective(self) -> dict[str, Plain]:
        """Return all values but the name as JSON has them; the password is a reference only."""
        return {
            "address": str(self.address),
            "identity_file": _optional(self.identity_file),
            "known_hosts": _optional(self.known_hosts),
            "ssh_config": _optional(self.ssh_config),
            "passphrase": _reference(self.passphrase),
            "password": _reference(self.password),
            "sudo": self.sudo,
            "connect_timeout": format_duration(self.connect_timeout),
            "libvirt_uri": self.libvirt_uri,
        }


def _reference(secret: SecretRef | None) -> Plain:
    return None if secret is None else dict(secret.model_dump(mode="json"))


def _optional(path: Path | None) -> str | None:
    return None if path is None else str(path)
