"""`manager.yaml`: settings of the management host itself, for all profiles together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StrictInt, model_validator

from standby.model.queue import AtOnce
from standby.model.schedule import Weekday
from standby.model.window import RateByDay
from standby.profile.hosts import Secret, SecretRef
from standby.profile.kinds import (
    ClockTime,
    Duration,
    GroupName,
    ListenAddress,
    LocalPath,
    MailAddress,
    ServerName,
    UserName,
    bounded,
)
from standby.profile.limits import BY_DAY_EXAMPLE, Bandwidth, rate_by_day
from standby.profile.section import Section, impossible
from standby.profile.units import parse_duration

STATE_VARIABLE = "STANDBY_STATE"
SYSTEM_STATE = Path("/var/lib/standby")
_MOST_AT_ONCE = 1000
_AT_ONCE = AtOnce()
_NO_LIMIT = RateByDay()


class MailSecurity(Enum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


_PORTS = {MailSecurity.NONE: 25, MailSecurity.STARTTLS: 587, MailSecurity.TLS: 465}


def _count(default: int, description: str) -> int:
    found: int = Field(
        default=default, ge=1, le=_MOST_AT_ONCE, description=description, examples=[default * 2]
    )
    return found


class AtOnceFile(Section):
    """The most runs under way at once; the machine most behind its RPO goes first."""

    runs: StrictInt = _count(_AT_ONCE.runs, "Runs in all.")
    per_source_host: StrictInt = _count(
        _AT_ONCE.per_source_host, "Runs whose machines are on one host."
    )
    per_kvm_host: StrictInt = _count(
        _AT_ONCE.per_kvm_host, "Runs whose standbys are on one KVM host."
    )
    merges: StrictInt = _count(_AT_ONCE.merges, "Merges in all, whatever the runs.")


class MailFile(Section):
    """The server that takes our mail."""

    host: ServerName = Field(description="Name or address of it.", examples=["smtp.example.org"])
    security: MailSecurity = Field(
        default=MailSecurity.STARTTLS,
        description="`starttls`: refused unless the server can. `tls`: from the first byte. "
        "`none`: readable on the way.",
        examples=["tls"],
    )
    port: Annotated[StrictInt, Field(ge=1, le=65535)] | None = Field(
        default=None,
        description="Null: 587 for `starttls`, 465 for `tls`, 25 for `none`.",
        examples=[2525],
    )
    sender: MailAddress = Field(
        description="Address that our mail comes from.", examples=["standby@example.org"]
    )
    user: UserName | None = Field(
        default=None, description="Who logs in. Null: nobody.", examples=["standby"]
    )
    password: Secret | None = Field(
        default=None,
        description="Password of the user, by reference: `{file: PATH}` or `{env: NAME}`, never "
        "the password itself.",
        examples=[{"file": "/etc/standby/secrets/smtp"}],
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.user is None) is not (self.password is None):
            key = "password" if self.user is None else "user"
            raise impossible(f"{key} stands there alone", "user and password, or neither", key)
        return self


class MetricsFile(Section):
    """Where Prometheus finds figures."""

    listen: ListenAddress | None = Field(
        default=None,
        description="Address and port on which the daemon answers `/metrics` (HTTP, for anybody "
        "who can connect). Null: nowhere.",
        examples=["127.0.0.1:9750"],
    )
    textfile: LocalPath | None = Field(
        default=None,
        description="File that the daemon keeps up to date for the node exporter. Null: none.",
        examples=["/var/lib/prometheus/node-exporter/standby.prom"],
    )


class HistoryFile(Section):
    """What was done, and when."""

    keep: Annotated[Duration, bounded(parse_duration, "1d")] = Field(
        default=timedelta(days=365),
        description="How long runs and their logs are kept. From 1d.",
        examples=["13w"],
    )


class DaemonFile(Section):
    """How the daemon behaves."""

    socket_group: GroupName | None = Field(
        default=None,
        description="Group whose members may ask the daemon through its socket. Null: the "
        "daemon's own user alone.",
        examples=["standby"],
    )
    stop_limit: Annotated[Duration, bounded(parse_duration, "1s", "1d")] = Field(
        default=timedelta(minutes=1),
        description="How long a stop may take: for half of it runs may end by themselves, then "
        "they are cancelled, which costs the run and nothing else. From 1s to 1d; not longer than "
        "systemd waits (`TimeoutStopSec`).",
        examples=["10m"],
    )


class DigestsFile(Section):
    """When digests are sent, by the management host's clock."""

    at: ClockTime = Field(default=time(7), description="Time of the day.", examples=["06:30"])
    weekday: Weekday = Field(
        default=Weekday.MON, description="Day of the weekly one.", examples=["fri"]
    )


class ManagerFile(Section):
    """Settings of the management host, for all profiles together."""

    state_directory: LocalPath | None = Field(
        default=None,
        description=f"Where history, logs and the daemon's socket are kept. `${STATE_VARIABLE}` "
        f"goes before it. Null: `{SYSTEM_STATE}` for root, else `$XDG_STATE_HOME/standby` or "
        "`~/.local/state/standby`.",
        examples=["/srv/standby-state"],
    )
    at_once: AtOnceFile = Field(
        default_factory=AtOnceFile, description="The most runs under way at once."
    )
    bandwidth: Bandwidth = Field(
        default=None,
        description="The most that all runs of the daemon together send in a second: one rate, or "
        "a list of rates by time of day. Null: no limit. `transfer.bandwidth` holds besides.",
        examples=["100MiB/s", BY_DAY_EXAMPLE],
    )
    mail: MailFile | None = Field(
        default=None,
        description="The server that takes our mail. Null: no mail is sent.",
        examples=[{"host": "smtp.example.org", "sender": "standby@example.org"}],
    )
    metrics: MetricsFile = Field(
        default_factory=MetricsFile, description="Where Prometheus finds figures."
    )
    history: HistoryFile = Field(
        default_factory=HistoryFile, description="What was done, and when."
    )
    daemon: DaemonFile = Field(default_factory=DaemonFile, description="How the daemon behaves.")
    digests: DigestsFile = Field(
        default_factory=DigestsFile, description="When digests are sent, by our clock."
    )


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes our mail. `password` is read when it is needed."""

    host: str
    port: int
    security: MailSecurity
    sender: str
    user: str | None = None
    password: SecretRef | None = None


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Where figures are offered: an address and a port, a file, both or nowhere."""

    listen: tuple[str, int] | None = None
    textfile: Path | None = None


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """How long runs and their logs are kept."""

    keep: timedelta = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class ManagerSettings:
    """Settings of the management host, everything resolved."""

    state_directory: Path
    at_once: AtOnce = _AT_ONCE
    bandwidth: RateByDay = _NO_LIMIT
    mail: MailServer | None = None
    metrics: MetricsSettings = MetricsSettings()
    history: HistorySettings = HistorySettings()
    socket_group: str | None = None
    stop_limit: timedelta = timedelta(minutes=1)
    digest_at: time = time(7)
    digest_weekday: Weekday = Weekday.MON

    @classmethod
    def of(cls, file: ManagerFile, state_directory: Path) -> Self:
        """Resolve what the file says."""
        return cls(
            state_directory,
            AtOnce(**file.at_once.model_dump()),
            rate_by_day(file.bandwidth),
            _mail_server(file.mail),
            MetricsSettings(file.metrics.listen, file.metrics.textfile),
            HistorySettings(file.history.keep),
            file.daemon.socket_group,
            file.daemon.stop_limit,
            file.digests.at,
            file.digests.weekday,
        )


def _mail_server(file: MailFile | None) -> MailServer | None:
    if file is None:
        return None
    port = file.port or _PORTS[file.security]
    return MailServer(file.host, port, file.security, file.sender, file.user, file.password)


def default_state_directory(environment: Mapping[str, str], home: Path, user: int) -> Path:
    """Return where state is kept unless something else is said; `user` is the numeric one."""
    if user == 0:
        return SYSTEM_STATE
    given = environment.get("XDG_STATE_HOME", "")
    base = Path(given) if given.startswith("/") else home / ".local" / "state"
    return base / "standby"
