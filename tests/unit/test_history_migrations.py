"""Databases of every older version are brought up to date, and newer ones are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from history_runs import BEGIN, ended
from sqlalchemy import Connection, Engine, create_engine, insert, inspect

from standby.errors import RepairHistory, UpgradeManager
from standby.history import History
from standby.history.database import Database, Use
from standby.history.migrations import STEPS, VERSION, migrate, version_of
from standby.history.rows import values_of
from standby.history.tables import metadata, runs, versions

Shape = dict[str, tuple[set[tuple[str, str, bool]], set[tuple[str, tuple[str, ...]]]]]


def shape(engine: Engine) -> Shape:
    """Columns and indexes of every table."""
    seen = inspect(engine)
    return {
        table: (
            {(it["name"], str(it["type"]), it["nullable"]) for it in seen.get_columns(table)},
            {
                (str(it["name"]), tuple(str(name) for name in it["column_names"]))
                for it in seen.get_indexes(table)
            },
        )
        for table in seen.get_table_names()
    }


def engine_of(path: Path) -> Engine:
    return create_engine(f"sqlite:///{path}")


def old_database(path: Path, version: int) -> None:
    engine = engine_of(path)
    with engine.begin() as connection:
        migrate(connection, BEGIN, STEPS[:version])
        if version:
            connection.execute(insert(runs).values(**values_of(ended(1))))
    engine.dispose()


def test_the_steps_lead_to_the_tables_as_they_are(tmp_path: Path) -> None:
    stepwise, at_once = engine_of(tmp_path / "steps.db"), engine_of(tmp_path / "tables.db")
    with stepwise.begin() as connection:
        migrate(connection, BEGIN)
    metadata.create_all(at_once)
    assert shape(stepwise) == shape(at_once)


@pytest.mark.parametrize("version", range(VERSION + 1))
def test_an_older_database_is_brought_up_to_date_and_keeps_its_runs(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "history.db"
    old_database(path, version)
    history = History.open(path)
    assert history.runs().runs == ((ended(1),) if version else ())
    assert history.gaps() == ()
    assert history.reset_of("web1") is None
    history.close()
    fresh = engine_of(tmp_path / "fresh.db")
    metadata.create_all(fresh)
    assert shape(engine_of(path)) == shape(fresh)


def test_a_step_that_fails_leaves_the_version_before(tmp_path: Path) -> None:
    database = Database(tmp_path / "history.db", lambda: BEGIN)
    before = database.run(Use.READ, lambda it: shape(it.engine))

    def breaks(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half (done INTEGER)")
        raise OSError("killed")

    with pytest.raises(RepairHistory, match="killed"):
        database.run(Use.WRITE, lambda it: migrate(it, BEGIN, (*STEPS, breaks)))
    assert database.run(Use.READ, version_of) == VERSION
    assert database.run(Use.READ, lambda it: shape(it.engine)) == before


def test_a_newer_database_is_neither_used_nor_touched(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    old_database(path, VERSION)
    engine = engine_of(path)
    with engine.begin() as connection:
        connection.execute(insert(versions).values(version=VERSION + 1, at=BEGIN))
    engine.dispose()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(UpgradeManager, match=f"of version {VERSION + 1}"):
            History.open(path).end(ended(2))
    assert path.read_bytes() == before
    assert sorted(it.name for it in tmp_path.iterdir()) == ["history.db"]
