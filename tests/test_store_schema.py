"""The schema: one way there from an empty database, however many take it at once, and what stands in the way said."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from forked import in_processes
from run_examples import LEASE, START, finished, week

from monitor.errors import StoreError
from monitor.store import Past, Store
from monitor.store.schema import NEEDED
from monitor.store.tables import metadata


@pytest.fixture
def empty(database_url):
    with Store.open(database_url) as opened:
        yield opened


def tables(store):
    with store._database.read() as connection:
        return set(sa.inspect(connection).get_table_names())


def test_the_needed_version_is_that_of_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", "monitor:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [NEEDED]


def test_migrating_makes_exactly_the_tables_of_the_code(empty):
    empty.upgrade()
    assert tables(empty) == {*metadata.tables, "alembic_version"}
    with empty._database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_every_constraint_has_a_name(empty):
    empty.upgrade()
    with empty._database.read() as connection:
        looked = sa.inspect(connection)
        for table in metadata.tables:
            names = [looked.get_pk_constraint(table)["name"]]
            names += [one["name"] for one in looked.get_foreign_keys(table) + looked.get_unique_constraints(table)]
            assert all(name and name.endswith(("", table)) and table in name for name in names), names


def upgrade(url, barrier, number, results):
    with Store.open(url) as store:
        barrier.wait(30)
        store.upgrade()
        results.put(store.describe())


def test_four_processes_upgrade_an_empty_database_at_once(empty, database_url):
    assert in_processes(4, upgrade, database_url) == [f"{database_url}, schema {NEEDED}"] * 4
    empty.check()


def test_upgrading_again_keeps_what_is_there(store):
    store.claim("support", week(0), "a", START, LEASE)
    store.upgrade()
    assert store.run("support", START).claimed_by == "a"


def upgrade_to(store, revision):
    """What an earlier release made of an empty database."""
    config = Config()
    config.set_main_option("script_location", "monitor:migrations")
    with store._database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def rows_of(connection, table):
    return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]


def test_a_database_of_the_first_release_keeps_all_it_holds(empty, database_url):
    upgrade_to(empty, "0001")
    assert empty.describe() == f"{database_url}, schema 0001, upgraded to {NEEDED} at the next run"
    with pytest.raises(StoreError, match=f"has schema 0001, this release needs {NEEDED}; run drift-monitor db upgrade"):
        empty.check()
    claim = empty.claim("support", week(0), "a", START, LEASE)
    run = finished(claim)
    with empty._database.write() as connection:
        old = sa.MetaData()
        old.reflect(connection, only=["decisions"])
        assert "findings" not in old.tables["decisions"].c
        told = run.decision
        connection.execute(
            sa.insert(old.tables["decisions"]),
            {"run_id": run.id, "state": told.state.value, "reasons": told.reasons, "subjects": told.subjects,
             "causes": told.causes, "evidence": told.evidence},
        )  # fmt: skip
        before = {table: rows_of(connection, table) for table in ("runs", "monitors", "decisions")}
    empty.upgrade()
    empty.check()
    with empty._database.read() as connection:
        after = {table: rows_of(connection, table) for table in before}
    # Nobody had sought any.
    assert [(row.pop("findings"), row.pop("segments")) for row in after["decisions"]] == [(None, None)]
    assert [(row.pop("refresh"), row.pop("cached")) for row in after["runs"]] == [(None, None)]
    assert after == before
    assert empty.run("support", START).decision == told
    # And goes on: the run is saved, with sums, by this release.
    empty.save(claim, run, past=Past("plan", 0.0, {"": b"sums"}))
    assert empty.run("support", START) == run
    assert empty.block_sums([run.id]) == {run.id: {"": b"sums"}}
    assert (empty.verifications("support"), empty.deployments("support")) == ([], [])


def test_an_upgrade_that_breaks_leaves_the_database_empty(empty, monkeypatch):
    real = sa.engine.Connection.execute

    def execute(self, statement, *args, **kwargs):
        if "exports" in str(statement):
            raise KeyboardInterrupt
        return real(self, statement, *args, **kwargs)

    monkeypatch.setattr(sa.engine.Connection, "execute", execute)
    with pytest.raises(KeyboardInterrupt):
        empty.upgrade()
    monkeypatch.undo()
    assert tables(empty) == set()
    empty.upgrade()
    empty.check()


def test_an_empty_database_is_named_with_the_way_out(empty, database_url):
    with pytest.raises(StoreError) as caught:
        empty.check()
    assert str(caught.value) == (
        f"database {database_url} is empty, this release needs {NEEDED}; run drift-monitor db upgrade"
    )
    with pytest.raises(StoreError, match=r"it lacks a table or column; run drift-monitor db upgrade$"):
        empty.runs()
    assert empty.describe() == f"{database_url}, empty; filled at the first run"


def test_a_newer_schema_is_left_alone(store, database_url):
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.exec_driver_sql("UPDATE schema_compatibility SET oldest = '9998'")
    message = (
        f"database {database_url} has schema 9999, made by a newer drift-monitor; this one knows {NEEDED}, and the schema is for "
        "9998 and newer: install"
    )
    for ask in (store.check, store.upgrade, store.describe):
        with pytest.raises(StoreError) as caught:
            ask()
        assert str(caught.value).startswith(message)


def test_a_newer_schema_that_leaves_room_is_worked_on(store, database_url):
    """As during a rolling update: the newer release has upgraded, this replica is still there."""
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.exec_driver_sql(f"UPDATE schema_compatibility SET oldest = '{NEEDED}'")
    store.check()
    assert store.upgrade() == "9999"
    assert store.describe() == (
        f"{database_url}, schema 9999 of a newer release, on which this one can work; it knows {NEEDED}"
    )
    claim = store.claim("support", week(0), "a", START, LEASE)
    store.save(claim, finished(claim))
    assert store.run("support", START) == finished(claim)


def test_upgrading_tells_what_there_was(empty):
    assert (empty.upgrade(), empty.upgrade()) == (None, NEEDED)


def test_describing_a_file_that_is_not_there_makes_none(tmp_path):
    path = tmp_path / "monitor.db"
    with Store.open(f"sqlite:///{path}") as store:
        assert store.describe() == f"sqlite:///{path}, not there yet; made at the first run"
    assert not path.exists()


def test_sqlite_is_opened_for_many_readers_and_writers(tmp_path):
    path = tmp_path / "monitor.db"
    with Store.open(f"sqlite:///{path}") as store:
        store.upgrade()
        with store._database.write() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
            assert connection.connection.in_transaction
    with sqlite3.connect(path) as direct:
        assert direct.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    direct.close()


def test_readers_see_one_moment_while_others_write(store, database_url):
    with Store.open(database_url) as other, store._database.read() as connection:
        count = sa.text("SELECT count(*) FROM runs")
        assert connection.execute(count).scalar() == 0
        other.claim("support", week(0), "a", START, LEASE)
        assert connection.execute(count).scalar() == 0
    assert len(store.runs()) == 1
