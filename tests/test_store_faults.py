"""Each way a database can fail, provoked on a real one, and the words it is told in: what, where, what next; no secret."""

from __future__ import annotations

import re
import sqlite3
import sys
import traceback

import pytest
import sqlalchemy as sa
from conftest import free_port
from run_examples import LEASE, START, candidate, finished, week

from monitor.errors import StoreError
from monitor.store import Store, database

SECRET = "left-boot-42"


def message(act):
    """What the StoreError says; no part of its traceback may hold the secret or a record's text."""
    with pytest.raises(StoreError) as caught:
        act()
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert "Geld" not in shown
    return str(caught.value)


def check(url, password=None):
    with Store.open(url, password=password) as store:
        store.check()


@pytest.mark.parametrize("url", [f"postgres//user:{SECRET}@host", f"postgresql://u:{SECRET}@host:port/db", ""])
def test_an_unreadable_url(url):
    assert message(lambda: Store.open(url)) == (
        "the database URL cannot be read; it looks like sqlite:///drift-monitor.db or postgresql://user@host/name"
    )


def test_an_unsupported_kind():
    assert message(lambda: Store.open(f"mysql://user:{SECRET}@host/db")) == (
        "database kind 'mysql' is not supported; use sqlite or postgresql"
    )


def test_a_missing_driver(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert message(lambda: Store.open(f"postgresql://user:{SECRET}@host/db")) == (
        "database postgresql+psycopg://user:***@host/db: its driver is not installed; "
        "pip install 'drift-monitor[postgres]'"
    )


def test_a_dead_server():
    port = free_port()
    assert message(lambda: check(f"postgresql://user@127.0.0.1:{port}/db", SECRET)) == (
        f"database postgresql+psycopg://user:***@127.0.0.1:{port}/db: it cannot be reached; check that the server runs, "
        "host and port"
    )


@pytest.mark.parametrize("password", [SECRET, None], ids=["wrong", "none"])
def test_a_wrong_password(postgres_server, password):
    address = postgres_server.removeprefix("postgresql+psycopg://postgres@")
    shown = f"guarded:***@{address}" if password else f"guarded@{address}"
    assert message(lambda: check(f"postgresql://guarded@{address}/postgres", password)) == (
        f"database postgresql+psycopg://{shown}/postgres: user name or password is wrong; check the URL and the password"
    )


def test_the_right_password_lets_in_from_the_url_or_beside_it(postgres_server):
    address = postgres_server.removeprefix("postgresql+psycopg://postgres@")
    with Store.open(f"postgresql://guarded:right%20horse@{address}/postgres") as store:
        assert store.describe().endswith(f"guarded:***@{address}/postgres, empty; filled at the first run")
    with Store.open(f"postgres://guarded@{address}/postgres", password="right horse") as store:
        store.now()


def test_a_database_that_is_not_there(postgres_server):
    assert message(lambda: check(f"{postgres_server}/nowhere")).endswith(
        "/nowhere: the database or the user does not exist; create it or correct the URL"
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("53100", "the server's disk is full; free space and run again, nothing of this step was kept"),
        ("53300", "the server has no connection left; raise max_connections or run fewer replicas"),
        ("25006", "the server is read-only, a standby perhaps; give the URL of the primary"),
        ("42501", "the user lacks a right on the tables; grant it"),
        ("40P01", "another process was in the way; run again"),
        ("57P02", "the server is shutting down or cancelled the statement; run again"),
        ("22012", "it refused (DivisionByZero, SQLSTATE 22012)"),
    ],
)
def test_what_postgresql_reports(postgres_database, state, words):
    with Store.open(postgres_database) as store:
        broken = sa.text(f"DO $$ BEGIN RAISE EXCEPTION '{SECRET}' USING ERRCODE='{state}'; END $$")

        def act():
            with store._database.write() as connection:
                connection.execute(broken)

        with pytest.raises(StoreError, match=re.escape(words)) as caught:
            act()
        assert str(caught.value) == f"database {postgres_database}: {words}"


def test_a_server_that_dropped_its_connections_is_connected_to_again(postgres_database):
    with Store.open(postgres_database) as store, Store.open(postgres_database) as other:
        store.upgrade()
        with other._database.write() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        store.check()


def test_a_server_that_dies_in_the_middle(postgres_database):
    with Store.open(postgres_database) as store, Store.open(postgres_database) as other:
        store.upgrade()

        def act():
            with store._database.write() as connection:
                mine = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
                with other._database.write() as killer:
                    killer.exec_driver_sql(f"SELECT pg_terminate_backend({mine}, 5000)")
                connection.exec_driver_sql("SELECT 1")

        assert message(act) == (
            f"database {postgres_database}: the server is shutting down or cancelled the statement; run again"
        )


def test_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "no" / "monitor.db"
    with Store.open(f"sqlite:///{path}") as store:
        assert message(store.upgrade) == (
            f"database sqlite:///{path}: the file cannot be opened; check that its folder exists and may be written"
        )


def test_a_file_that_is_something_else(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("These are my notes, and they are longer than a database header. " * 20)
    with Store.open(f"sqlite:///{path}") as store:
        assert message(store.upgrade) == (
            f"database sqlite:///{path}: the file is not a SQLite database; check the path"
        )


def test_a_read_only_file(tmp_path):
    path = tmp_path / "monitor.db"
    with Store.open(f"sqlite:///{path}") as store:
        store.upgrade()
    with Store.open(f"sqlite:///file:{path}?mode=ro&uri=true") as store:
        assert store.runs() == []
        assert message(lambda: store.claim("support", week(0), "a", START, LEASE)).endswith(
            ": the file is read-only; check its owner and mode and those of its folder"
        )


def test_a_file_that_another_holds_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.01)
    path = tmp_path / "monitor.db"
    with Store.open(f"sqlite:///{path}") as store:
        store.upgrade()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            assert store.runs() == []
            assert message(lambda: store.claim("support", week(0), "a", START, LEASE)) == (
                f"database sqlite:///{path}: another process held the file locked for too long; "
                "use PostgreSQL for many writers"
            )
        finally:
            holder.close()


def test_a_full_disk_keeps_the_run_claimed_and_unsaved(tmp_path):
    path = tmp_path / "monitor.db"
    with Store.open(f"sqlite:///{path}") as store:
        store.upgrade()
        claim = store.claim("support", week(0), "a", START, LEASE)
        with store._database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 4}")
        big = finished(claim, candidates=tuple(candidate(n, text="Geld " * 1_000) for n in range(1, 50)))
        assert message(lambda: store.save(claim, big)) == (
            f"database sqlite:///{path}: the disk is full; free space and run again, nothing of this step was kept"
        )
        assert store.run("support", START).measurements == ()
        store.save(claim, finished(claim))
        assert store.run("support", START) == finished(claim)
