"""One database: opened with what its kind needs, read and written in whole transactions, its errors in our words."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url

from monitor.errors import StoreError
from monitor.secrets import redact_url
from monitor.sqlite_files import use_wal
from monitor.store import postgres
from monitor.store.faults import translate

__all__ = ["Database", "insert_missing"]

_BUSY_SECONDS = 30
_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def insert_missing(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Insert the row unless its key is there already; whether it was inserted."""
    made = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    # What comes back tells; an INSERT's row count is not to be had from every driver.
    statement = made.values(dict(row)).on_conflict_do_nothing().returning(sa.literal(1))
    return connection.execute(statement).scalar() is not None


def _parse(url: str, password: str | None) -> URL:
    try:
        parsed = make_url(postgres.hosts_apart(str(url)))
    except (exc.ArgumentError, ValueError):
        # Not quoted: where the password stands in it cannot be told.
        raise StoreError(
            "the database URL cannot be read; it looks like sqlite:///drift-monitor.db or postgresql://user@host/name"
        ) from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise StoreError(f"database kind {parsed.drivername!r} is not supported; use sqlite or postgresql")
    parsed = parsed.set(drivername=driver)
    return parsed if password is None else parsed.set(password=password)


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    # The driver would begin transactions late and on its own terms; _begin does it instead.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {round(_BUSY_SECONDS * 1000)}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    # What is deleted is overwritten with zeros, not only given free.
    connection.execute("PRAGMA secure_delete = ON")
    use_wal(connection)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that starts by reading and then writes could fail half-way; writers queue up at the door.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


class Database:
    """A SQLite or PostgreSQL database."""

    def __init__(self, url: str, password: str | None = None) -> None:
        parsed = _parse(url, password)
        self.kind = parsed.get_backend_name()
        shown = parsed.render_as_string(hide_password=True)
        self.name = shown if self.kind == "sqlite" else redact_url(shown)
        place = parsed.database or ":memory:"
        on_disk = self.kind == "sqlite" and place != ":memory:" and not place.startswith("file:")
        self.file = Path(place) if on_disk else None
        self._engine = self._open(parsed)
        if self.kind == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
            self._reader = self._engine
        else:
            # One snapshot for all statements of a read, so that a run and its measurements belong together.
            self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writer = self._engine.execution_options(writes=True)
        self._doubt = threading.local()

    def _open(self, url: URL) -> Engine:
        options: dict[str, Any] = {} if self.kind == "sqlite" else {"connect_args": postgres.apart(url)}
        try:
            engine = sa.create_engine(url, hide_parameters=True, pool_pre_ping=self.kind != "sqlite", **options)
            if self.kind != "sqlite":
                postgres.bound(engine)
        except ImportError as error:
            raise StoreError(
                f"database {self.name}: its driver is not installed; pip install 'drift-monitor[postgres]'"
            ) from error
        return engine

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        committing = False
        try:
            with engine.connect() as connection, connection.begin() as transaction:
                yield connection
                committing = transaction.is_active
        except exc.SQLAlchemyError as error:
            raise translate(error, self.name, committing=committing) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment."""
        with self._transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; whole or not at all."""
        with self._transaction(self._writer) as connection:
            yield connection

    @property
    def in_doubt(self) -> bool:
        """Whether this thread does a change again whose first time may have succeeded: its COMMIT had no answer."""
        return getattr(self._doubt, "is", False)

    @in_doubt.setter
    def in_doubt(self, doubtful: bool) -> None:
        setattr(self._doubt, "is", doubtful)

    def anew(self) -> None:
        """Connect anew from now on: the server may be another one."""
        if self.kind != "sqlite":
            self._engine.dispose()

    def is_standby(self, connection: Connection) -> bool:
        """Whether the server only follows another and takes no changes."""
        return self.kind != "sqlite" and bool(connection.execute(sa.select(sa.func.pg_is_in_recovery())).scalar())

    def now(self) -> datetime:
        """The database's clock: one for all replicas. SQLite's is the machine's."""
        if self.kind == "sqlite":
            return datetime.now(UTC)
        with self.read() as connection:
            moment: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)

    def compact(self, tables: Iterable[str]) -> None:
        """Write tables anew, so that nothing deleted is left in their files. It waits for and holds up whoever uses them."""
        try:
            raw = self._engine.raw_connection()
            try:
                driver: Any = raw.driver_connection
                if self.kind == "sqlite":
                    driver.execute("VACUUM")
                    driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    return
                driver.autocommit, driver.hurried = True, False
                driver.execute("SET statement_timeout = 0")
                driver.execute(f"SET lock_timeout = {_BUSY_SECONDS * 1000}")
                for table in tables:
                    driver.execute(f'VACUUM (FULL) "{table}"')
            finally:
                # Its settings must not come back to the pool.
                raw.invalidate()
        except exc.SQLAlchemyError as error:
            raise translate(error, self.name) from error
        except Exception as error:
            # Raised by the driver itself; its words may name rows.
            raise StoreError(
                f"database {self.name}: deleted rows could not be written over ({type(error).__name__}); purge again when it is "
                "less busy, as the owner of the tables"
            ) from error

    def copy_to(self, file: Path) -> None:
        """Copy one moment of a SQLite database to an empty or new file, while others read and write, and look it through.

        ``StoreError`` for PostgreSQL, for a database that is not there or damaged, and when the copy cannot be written.
        """
        if self.kind != "sqlite":
            raise StoreError(f"database {self.name} is backed up with PostgreSQL's own pg_dump; see docs/backup.md")
        if self.file is None or not self.file.exists():
            raise StoreError(f"database {self.name} is not there yet, so there is nothing to back up")
        try:
            raw = self._engine.raw_connection()
            try:
                driver: Any = raw.driver_connection
                driver.execute("VACUUM INTO ?", (str(file),))
            finally:
                raw.close()
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as copy:
                (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        except (exc.SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(
                f"database {self.name} could not be copied to {file.parent}: {getattr(error, 'sqlite_errorname', type(error).__name__)}; "
                "is there space, and may it be written to?"
            ) from error
        if found != "ok":
            raise StoreError(f"database {self.name} is damaged, and so would be its copy: restore an older backup")

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()
