"""From any older database to the tables of this version, step by step.

A step is never changed once it was released: databases exist that took it. Each step and its
number are written in one transaction, so that a kill leaves a version or the next.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, insert, inspect, select, text

from standby.errors import UpgradeManager
from standby.history.tables import versions

Step = Callable[[Connection], None]

_RUNS: Final = """
CREATE TABLE runs (
    id VARCHAR(16) NOT NULL PRIMARY KEY,
    profile VARCHAR(255) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    cause VARCHAR(32) NOT NULL,
    result VARCHAR(32) NOT NULL,
    begun BIGINT NOT NULL,
    ended BIGINT,
    owner VARCHAR(64),
    source_host VARCHAR(255) NOT NULL,
    kvm_host VARCHAR(255) NOT NULL,
    way VARCHAR(32),
    reason TEXT NOT NULL,
    point VARCHAR(16),
    merged TEXT NOT NULL,
    read BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    stored BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    phases TEXT NOT NULL,
    error_kind VARCHAR(64),
    error_subject TEXT,
    error_found TEXT,
    error_expected TEXT,
    error_remedy TEXT,
    error_retry VARCHAR(32)
)
"""


def _first_runs(connection: Connection) -> None:
    connection.execute(text(_RUNS))
    connection.execute(text("CREATE INDEX runs_begun ON runs (begun, id)"))
    connection.execute(text("CREATE INDEX runs_of_profile ON runs (profile, begun, id)"))
    connection.execute(text("CREATE INDEX runs_by_result ON runs (result, begun, id)"))


def _resets_of_statistics(connection: Connection) -> None:
    connection.execute(
        text("CREATE TABLE resets (profile VARCHAR(255) NOT NULL PRIMARY KEY, at BIGINT NOT NULL)")
    )


def _gaps(connection: Connection) -> None:
    connection.execute(
        text(
            "CREATE TABLE gaps (number INTEGER NOT NULL PRIMARY KEY, since BIGINT, "
            "until BIGINT NOT NULL, runs INTEGER, why TEXT NOT NULL)"
        )
    )


STEPS: Final[tuple[Step, ...]] = (_first_runs, _resets_of_statistics, _gaps)
VERSION: Final = len(STEPS)


def version_of(connection: Connection) -> int:
    """Return the version of a database; 0 when there is nothing in it."""
    if not inspect(connection).has_table(versions.name):
        return 0
    return connection.scalar(select(func.max(versions.c.version))) or 0


def require_known(version: int, where: str) -> None:
    """Raise UpgradeManager when a newer program wrote the database: never guess, never touch."""
    if version > VERSION:
        raise UpgradeManager(
            where,
            f"of version {version}",
            f"at most {VERSION}, which this program knows",
            "use the newer program that wrote it",
        )


def migrate(connection: Connection, now: datetime, steps: tuple[Step, ...] = STEPS) -> None:
    """Bring a database to the version of `steps`, in the transaction that is open."""
    if not inspect(connection).has_table(versions.name):
        versions.create(connection)
    for number in range(version_of(connection) + 1, len(steps) + 1):
        steps[number - 1](connection)
        connection.execute(insert(versions).values(version=number, at=now))
