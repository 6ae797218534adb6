"""The tables as they are now; `migrations` says how they became so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from standby.errors import Retry
from standby.model.point import Way
from standby.model.run import Cause, RunKind, RunResult

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Count a moment's microseconds since 1970: sorted alike by every database."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_at(count: int) -> datetime:
    """Return the moment, UTC, that `microseconds` counted."""
    return _EPOCH + count * _MICROSECOND


class Moment(TypeDecorator[datetime]):
    """A moment, kept as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Turn a moment into what is stored."""
        del dialect
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Turn what is stored into a moment."""
        del dialect
        return None if value is None else moment_at(value)


class Word(TypeDecorator[Enum]):
    """One of an enumeration, kept as the word that people see."""

    impl = String(32)
    cache_ok = True

    def __init__(self, words: type[Enum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Enum | None, dialect: Dialect) -> str | None:
        """Turn one of the enumeration into its word."""
        del dialect
        return None if value is None else str(value.value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Enum | None:
        """Turn a word into one of the enumeration; raise ValueError for one it does not have."""
        del dialect
        return None if value is None else self.words(value)


metadata = MetaData()

versions = Table(
    "versions",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("profile", String(255), nullable=False),
    Column("kind", Word(RunKind), nullable=False),
    Column("cause", Word(Cause), nullable=False),
    Column("result", Word(RunResult), nullable=False),
    Column("begun", Moment, nullable=False),
    Column("ended", Moment),
    Column("owner", String(64)),  # who records it; nobody once it has ended
    Column("source_host", String(255), nullable=False),
    Column("kvm_host", String(255), nullable=False),
    Column("way", Word(Way)),
    Column("reason", Text, nullable=False),
    Column("point", String(16)),
    Column("merged", Text, nullable=False),  # names of points
    Column("read", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("phases", Text, nullable=False),  # JSON: name, microseconds since begun, seconds
    Column("error_kind", String(64)),
    Column("error_subject", Text),
    Column("error_found", Text),
    Column("error_expected", Text),
    Column("error_remedy", Text),
    Column("error_retry", Word(Retry)),
    Index("runs_begun", "begun", "id"),
    Index("runs_of_profile", "profile", "begun", "id"),
    Index("runs_by_result", "result", "begun", "id"),
)

resets = Table(
    "resets",
    metadata,
    Column("profile", String(255), primary_key=True),
    Column("at", Moment, nullable=False),  # statistics count from here
)

gaps = Table(
    "gaps",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("since", Moment),
    Column("until", Moment, nullable=False),
    Column("runs", Integer),
    Column("why", Text, nullable=False),
)
