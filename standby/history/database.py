"""The database file: opened, migrated, found damaged or gone. All that is special to SQLite."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from standby.errors import RepairHistory
from standby.history.migrations import VERSION, migrate, require_known, version_of
from standby.history.private import make_private, open_private

Value = TypeVar("Value")

BUSY_MS: Final = 5000  # how long to wait for another process that writes
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY: Final = 0xFF  # the rest of an error code says more of the same
_BESIDE: Final = ("-wal", "-shm")  # what SQLite keeps beside a database


class Use(Enum):
    """What a transaction is for."""

    READ = "BEGIN"
    WRITE = "BEGIN IMMEDIATE"  # waits for its turn here, where waiting is possible


@dataclass(eq=False)
class Damaged(RepairHistory):
    """The file is no database, or not a whole one."""


class Database:
    """One file that processes and threads share. What goes wrong is raised as RepairHistory."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self.path = path
        self._now = now
        self._lock = threading.Lock()
        # Threads queue here: SQLite lets those who wait for a writer try again by chance.
        self._turn = threading.Lock()
        self._open_engine: Engine | None = None
        # Which file was opened last, well or not: somebody may delete or replace it meanwhile.
        self._file: tuple[int, int] | None = None

    @property
    def where(self) -> str:
        """The database, for people."""
        return f"history {self.path}"

    def run(self, use: Use, work: Callable[[Connection], Value]) -> Value:
        """Do something in one transaction. Raises Damaged, RepairHistory, UpgradeManager."""
        with self._problems_named(), self._turn if use is Use.WRITE else nullcontext():
            engine = self._engine().execution_options(use=use)
            with engine.begin() as connection:
                return work(connection)

    def close(self) -> None:
        """Close what is open; it is opened again when it is used."""
        with self._lock:
            self._give_up_engine()

    def set_aside(self) -> Path | None:
        """Keep a damaged database under another name, and return it.

        None when another process was faster: then there is another database already.
        """
        with self._problems_named(), self._lock:
            self._give_up_engine()
            with _alone(self.path):
                if self._file is None or self._file != _file_at(self.path):
                    return None
                kept = _free_name(self.path, self._now())
                for suffix in ("", *_BESIDE):
                    with suppress(FileNotFoundError):
                        Path(f"{self.path}{suffix}").rename(f"{kept}{suffix}")
                return kept

    def _engine(self) -> Engine:
        with self._lock:
            if self._open_engine is None or self._file != _file_at(self.path):
                self._give_up_engine()
                self._open_engine = self._open()
            return self._open_engine

    def _give_up_engine(self) -> None:
        engine, self._open_engine = self._open_engine, None
        if engine is not None:
            engine.dispose()

    def _open(self) -> Engine:
        self._file = _existing(self.path)
        engine = create_engine(f"sqlite:///{self.path}")
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
        try:
            self._prepare(engine)
        except BaseException:
            engine.dispose()
            raise
        return engine

    def _prepare(self, engine: Engine) -> None:
        with engine.connect() as connection:
            version = version_of(connection)
        require_known(version, self.where)
        if version < VERSION:
            _let_readers_go_on(engine)
            with engine.execution_options(use=Use.WRITE).begin() as connection:
                migrate(connection, self._now())

    @contextmanager
    def _problems_named(self) -> Generator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._named(error.orig) from error
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self._named(error) from error

    def _named(self, error: BaseException | None) -> RepairHistory:
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        if code in _DAMAGED:
            return Damaged(self.where, str(error), "a whole database", "it is set aside")
        return RepairHistory(
            self.where,
            str(error),
            "a database that can be read and written",
            "look at the directory's space and permissions; protection goes on without it",
        )


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where it guesses
    # NORMAL: whole after any kill; after a loss of power the last runs may be missing.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")


def _let_readers_go_on(engine: Engine) -> None:
    """Keep changes in a log of their own, for good: then readers and a writer never wait."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _begin(connection: Connection) -> None:
    use: Use = connection.get_execution_options().get("use", Use.READ)
    connection.exec_driver_sql(use.value)


def _existing(path: Path) -> tuple[int, int]:
    """Return which file the database is, made if need be.

    An empty file, since SQLite drops the log that a deleted database left beside it.
    """
    found = _file_at(path)
    if found is not None:
        return found
    make_private(path.parent)
    with _alone(path):
        if not path.exists():
            os.close(open_private(path, os.O_EXCL | os.O_WRONLY))
        return _identity(path.stat())


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        return _identity(path.stat())
    except FileNotFoundError:
        return None


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _free_name(path: Path, now: datetime) -> Path:
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    names = (f"{path.stem}-damaged-{stamp}{n or ''}{path.suffix}" for n in range(10**6))
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


@contextmanager
def _alone(path: Path) -> Generator[None]:
    """Be the only one who makes or sets aside this database."""
    descriptor = open_private(path.with_name(f"{path.name}.lock"), os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
