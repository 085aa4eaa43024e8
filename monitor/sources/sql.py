"""Rows of a query, through any SQLAlchemy driver."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from monitor.errors import ConfigError, MonitorError, SourceError
from monitor.secrets import Secret, Url, redact_url
from monitor.sources.fields import Fields, Translator
from monitor.sources.objects import array_of, table_of
from monitor.values import Batch, Window

__all__ = ["SqlSource"]

_BINDS = {"start", "end"}
_EVER = (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
_PATIENCE = 10
"""Seconds to wait for a PostgreSQL server to answer."""

_CAUSES = {
    "28000": "the user or password is wrong",
    "28P01": "the user or password is wrong",
    "3D000": "there is no such database",
    "42501": "the user may not read this",
    "57014": "the query was cancelled, perhaps by a statement timeout",
    "25006": "the query writes, and this connection is read-only",
}
_HARMLESS = re.compile(
    r"no such (table|column|function)|near |unable to open|file is not a database|attempt to write|"
    r"database is locked|incomplete input|You can only execute one|database disk image"
)
"""SQLite's messages that hold parts of the query or the schema alone."""


class SqlSource:
    """Streams a SELECT over a read-only connection.

    url         of SQLAlchemy, for example ``postgresql://monitor@db/shop``; SQLite and PostgreSQL are tested
    query       with ``:start`` and ``:end``: ``SELECT ... WHERE at >= :start AND at < :end``. Training data may do
                without. Rows outside the window, if the query gives any, are counted and not used
    password    kept apart from the URL
    batch_rows  rows fetched at once

    The binds are times in UTC. Naive columns of PostgreSQL are compared in ``fields.timezone``. SQLite has no type for
    time; there the binds are strings ``2026-01-05 00:00:00``, which compare right with what SQLAlchemy and SQLite's own
    functions store. For ``2026-01-05T00:00:00+00:00`` write ``datetime(at) >= datetime(:start)``, for numbers
    ``at >= unixepoch(:start)``.
    """

    def __init__(
        self, fields: Fields, url: Url, query: str, password: Secret | None = None, batch_rows: int = 10_000
    ) -> None:
        if batch_rows < 1:
            raise ConfigError(f"source.batch_rows {batch_rows} is below 1")
        self._fields = fields
        self._shown = redact_url(str(url))
        self._url = _parsed(str(url), password)
        self._batch_rows = batch_rows
        self._query = sa.text(query)
        self._binds = set(self._query.compile().params)
        if self._binds - _BINDS:
            raise ConfigError(
                f"source.query has :{', :'.join(sorted(self._binds - _BINDS))}; only :start and :end are known. Write \\: "
                "for a plain colon"
            )

    def read(self, window: Window | None) -> Iterator[Batch]:
        """See :class:`monitor.sources.Source`; ``SourceError`` never shows the password or what a row holds."""
        if window is not None and self._binds != _BINDS:
            missing = ", ".join(f":{name}" for name in sorted(_BINDS - self._binds, reverse=True))
            raise SourceError(
                f"source.query lacks {missing}, so no window can be read; add WHERE <time> >= :start AND <time> < :end"
            )
        translate = Translator(self._fields, dated=window is not None, origin=f"{self._shown}: ")
        with closing(self._tables(window)) as tables:
            yield from map(translate, tables)

    def _tables(self, window: Window | None) -> Generator[pa.Table]:
        span = (window.start.astimezone(UTC), window.end.astimezone(UTC)) if window else _EVER
        values: dict[str, Any] = dict(zip(("start", "end"), span, strict=True))
        if self._url.get_backend_name() == "sqlite":
            values = {name: str(time.replace(tzinfo=None)) for name, time in values.items()}
        with self._connected() as connection, _foreign_errors(self._shown, "source.query failed"):
            given = {name: values[name] for name in self._binds}
            with closing(connection.execute(self._query, given)) as result:
                if not result.returns_rows:
                    raise SourceError(f"{self._shown}: source.query gives no rows; write a SELECT")
                names = list(result.keys())
                yield table_of({name: pa.nulls(0) for name in names}, 0)
                for rows in result.partitions(self._batch_rows):
                    columns = map(array_of, zip(*rows, strict=True))
                    yield table_of(dict(zip(names, columns, strict=True)), len(rows))

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with _foreign_errors(self._shown, "cannot connect"):
            engine = self._engine()
            connection = engine.connect()
        try:
            kind = self._url.get_backend_name()
            # PostgreSQL alone declares a connection read-only; SQLite is told so when it connects.
            options = {"postgresql_readonly": True} if kind == "postgresql" else {}
            yield connection.execution_options(stream_results=True, yield_per=self._batch_rows, **options)
        finally:
            connection.close()
            engine.dispose()

    def _engine(self) -> Engine:
        kind = self._url.get_backend_name()
        file = self._url.database
        if kind == "sqlite" and file and "uri" not in self._url.query and not Path(file).exists():
            raise SourceError(
                f"{self._shown}: there is no file {file} (working directory {Path.cwd()}). Check source.url"
            )
        patience = {"connect_timeout": _PATIENCE} if kind == "postgresql" else {}
        engine = sa.create_engine(self._url, hide_parameters=True, poolclass=sa.NullPool, connect_args=patience)
        prepare = {"sqlite": _prepare_sqlite, "postgresql": self._prepare_postgresql}.get(kind)
        if prepare is not None:
            sa.event.listen(engine, "connect", prepare)
        return engine

    def _prepare_postgresql(self, connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('TimeZone', %s, false)", (self._fields.timezone or "UTC",))
        connection.commit()


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.execute("PRAGMA query_only = ON")
    # Bytes that are no UTF-8 would end the query; kept, they end one record.
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="surrogateescape")


def _parsed(url: str, password: str | None) -> URL:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        # Not quoted: where the password stands in it cannot be told.
        raise ConfigError("source.url is no database URL; write for example postgresql://user@host/database") from None
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed if password is None else parsed.set(password=str(password))


@contextmanager
def _foreign_errors(shown: str, what: str) -> Iterator[None]:
    """Turn a driver's error into a ``SourceError``, without its text: drivers quote values and addresses in it."""
    try:
        yield
    except MonitorError:
        raise
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        postgres = shown.startswith("postgres")
        advice = "pip install drift-monitor[postgres]" if postgres else "install the SQLAlchemy driver of the URL"
        name = getattr(error, "name", None) or shown.partition(":")[0]
        raise SourceError(f"{shown}: the driver {name} is not installed: {advice}") from None
    except (sa.exc.SQLAlchemyError, OSError, ValueError) as error:
        raise SourceError(f"{shown}: {what}: {_cause(error)}") from None


def _cause(error: Exception) -> str:
    original: Any = getattr(error, "orig", None) or error
    state = getattr(original, "sqlstate", None)
    if state in _CAUSES:
        return _CAUSES[state]
    if state and state.startswith("42"):
        # The class of faulty queries: the server's sentence names what the query does.
        return str(original.diag.message_primary)
    if type(original).__module__ == "sqlite3" and _HARMLESS.match(str(original)):
        return str(original)
    unreachable = type(original).__name__ in ("OperationalError", "ConnectionTimeout") and not state
    hint = "; is the server up, and are user, password and address right?" if unreachable else ""
    return f"{type(original).__name__}{f' {state}' if state else ''}{hint}"
