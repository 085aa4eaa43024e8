"""Queries on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import json
import sqlite3
import sys
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from monitor.errors import ConfigError, SourceError
from monitor.sampling import draw
from monitor.secrets import Secret, Url
from monitor.sources.fields import Fields
from monitor.sources.sql import SqlSource
from monitor.testing import check_source
from monitor.values import Counts, Window

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1))
QUERY = "SELECT * FROM messages WHERE timestamp >= :start AND timestamp < :end"
FIELDS = Fields(timezone="UTC", predicted="predicted", confidence="confidence", segments=["country"])


def fill(url, rows):
    """A table of messages, as SQLAlchemy itself stores it."""
    meta = sa.MetaData()
    messages = sa.Table(
        "messages",
        meta,
        sa.Column("id", sa.Integer),
        sa.Column("text", sa.Text),
        sa.Column("timestamp", sa.DateTime(timezone=True)),
        sa.Column("predicted", sa.Text),
        sa.Column("confidence", sa.Numeric(6, 3)),
        sa.Column("country", sa.Text),
    )
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        meta.create_all(connection)
        connection.execute(messages.insert(), rows)
    engine.dispose()


def hourly(n, **rest):
    return [
        {
            "id": i,
            "text": f"message {i} é",
            "timestamp": START + timedelta(hours=i),
            "predicted": f"c{i % 3}",
            "confidence": 0.5,
            "country": "DE",
        }
        | rest
        for i in range(n)
    ]


def source(url, query=QUERY, fields=FIELDS, **options):
    return SqlSource(fields, Url(url), query, **options)


def ids(src, window=WINDOW):
    return [i for b in src.read(window) for i in b.rows.column("id").to_pylist()]


def refused(src, window=WINDOW):
    with pytest.raises(SourceError) as caught:
        list(src.read(window))
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_a_window_of_a_query(database_url):
    fill(database_url, hourly(30))
    rows = [r for b in source(database_url).read(WINDOW) for r in b.rows.to_pylist()]
    assert len(rows) == 24
    assert rows[7] == {
        "id": "7",
        "text": "message 7 é",
        "observed_at": START + timedelta(hours=7),
        "predicted": "c1",
        "confidence": 0.5,
        "probabilities": None,
        "label": None,
        "vector": None,
        "block": None,
        "segment.country": "DE",
    }
    check_source(source(database_url), WINDOW)
    half = Window(START + timedelta(hours=3), START + timedelta(hours=9))
    assert ids(source(database_url), half) == [str(i) for i in range(3, 9)]


def test_everything_with_and_without_binds(database_url):
    fill(database_url, hourly(30))
    assert len(ids(source(database_url), None)) == 30
    assert len(ids(source(database_url, "SELECT * FROM messages"), None)) == 30


def test_rows_arrive_in_batches(database_url):
    fill(database_url, hourly(30))
    sizes = [b.rows.num_rows for b in source(database_url, batch_rows=10).read(None)]
    assert sizes == [0, 10, 10, 10]


def test_a_window_without_rows(database_url):
    fill(database_url, hourly(2))
    later = Window(START + timedelta(days=5), START + timedelta(days=6))
    assert ids(source(database_url), later) == []
    message = refused(source(database_url, fields=Fields(text="body", timezone="UTC")), later)
    assert "there is no column 'body'; there are id, text, timestamp, predicted, confidence, country" in message


def test_a_window_needs_both_binds(database_url):
    message = refused(source(database_url, "SELECT * FROM messages"))
    assert message == (
        "source.query lacks :start, :end, so no window can be read; add WHERE <time> >= :start AND <time> < :end"
    )
    assert "source.query lacks :end," in refused(
        source(database_url, "SELECT * FROM messages WHERE timestamp > :start")
    )


def test_rows_outside_the_window_are_counted(database_url):
    fill(database_url, hourly(30))
    everything = source(database_url, "SELECT * FROM messages WHERE :start < :end")
    assert draw(everything.read(WINDOW), WINDOW, 100, segments=["country"]).counts == Counts(
        population=24, sampled=24, outside=6
    )


def test_bad_rows_are_counted(database_url):
    bad = [{"id": None}, {"timestamp": None}, {"text": None}]
    fill(database_url, [row | change for row, change in zip(hourly(5), [*bad, {}, {}], strict=True)])
    batches = list(source(database_url, "SELECT * FROM messages WHERE :start < :end").read(WINDOW))
    assert batches[1].rejected == {"no id": 1, "no time": 1}
    assert batches[1].rows.num_rows == 3


def test_unknown_names_and_faulty_queries_are_told(database_url):
    fill(database_url, hourly(1))
    for query, words in [
        ("SELECT * FROM nothing", "nothing"),
        ("SELECT nothing FROM messages", "nothing"),
        ("SELEC * FROM messages", "syntax error"),
    ]:
        message = refused(source(database_url, query), None)
        assert "source.query failed: " in message
        assert words in message


def test_nothing_can_be_written(database_url):
    fill(database_url, hourly(3))
    for query in ("DELETE FROM messages", "DELETE FROM messages RETURNING *", "DROP TABLE messages"):
        assert "source.query" in refused(source(database_url, query), None)
    assert len(ids(source(database_url), None)) == 3


def test_other_binds_are_refused():
    with pytest.raises(ConfigError, match=r"source.query has :country, :day; only :start and :end are known"):
        source("sqlite://", "SELECT * FROM t WHERE d = :day AND c = :country")
    source("sqlite://", "SELECT id::text, 'a\\:b' FROM t")


def test_a_url_that_is_none_is_refused_without_its_secrets():
    with pytest.raises(
        ConfigError, match=r"^source.url is no database URL; write for example postgresql://user@host/da"
    ):
        source("postgres//user:hunter2@host")
    with pytest.raises(ConfigError, match=r"source.batch_rows 0 is below 1"):
        source("sqlite://", batch_rows=0)


def test_a_missing_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    message = refused(source("postgresql://monitor:hunter2@127.0.0.1/shop"))
    assert message == (
        "postgresql://monitor:***@127.0.0.1/shop: the driver psycopg is not installed: pip install drift-monitor[postgres]"
    )
    message = refused(source("nosuchdb://me:hunter2@127.0.0.1/shop"))
    assert message.startswith("nosuchdb://me:***@127.0.0.1/shop: the driver nosuchdb is not installed: install the SQL")


def test_a_missing_sqlite_file_is_not_created(tmp_path):
    path = tmp_path / "gone.db"
    assert f"there is no file {path} (working directory" in refused(source(f"sqlite:///{path}"))
    assert not path.exists()


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "a.db").write_text("words " * 1000)
    assert "file is not a database" in refused(source(f"sqlite:///{tmp_path / 'a.db'}"))


def test_invalid_utf8_in_sqlite_is_counted(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE messages (id TEXT, text TEXT, timestamp TEXT)")
        connection.execute("INSERT INTO messages VALUES ('a', CAST(X'626164FF' AS TEXT), '2026-01-05 00:00:00')")
        connection.execute("INSERT INTO messages VALUES ('b', 'fine', '2026-01-05 00:00:00')")
    connection.close()
    batches = list(source(f"sqlite:///{tmp_path / 'a.db'}", fields=Fields(timezone="UTC")).read(WINDOW))
    assert batches[1].rows.column("id").to_pylist() == ["b"]
    assert batches[1].rejected == {"invalid UTF-8": 1}


@pytest.mark.parametrize(
    ("write", "where"),
    [
        (lambda t: t.strftime("%Y-%m-%d %H:%M:%S"), "timestamp >= :start AND timestamp < :end"),
        (lambda t: t.strftime("%Y-%m-%d %H:%M:%S.%f"), "timestamp >= :start AND timestamp < :end"),
        (lambda t: t.strftime("%Y-%m-%d %H:%M:%S+00:00"), "timestamp >= :start AND timestamp < :end"),
        (lambda t: t.isoformat(), "datetime(timestamp) >= datetime(:start) AND datetime(timestamp) < datetime(:end)"),
        (
            lambda t: t.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "datetime(timestamp) >= datetime(:start) AND datetime(timestamp) < datetime(:end)",
        ),
        (lambda t: int(t.timestamp()), "timestamp >= unixepoch(:start) AND timestamp < unixepoch(:end)"),
    ],
)
def test_the_ways_sqlite_stores_times(tmp_path, write, where):
    moments = [START + timedelta(hours=i) for i in range(-3, 30)]
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("CREATE TABLE messages (id, text, timestamp)")
        connection.executemany("INSERT INTO messages VALUES (?, 'hi', ?)", [(str(t), write(t)) for t in moments])
    connection.close()
    src = source(f"sqlite:///{tmp_path / 'a.db'}", f"SELECT * FROM messages WHERE {where}", Fields(timezone="UTC"))
    window = Window(START + timedelta(hours=2), START + timedelta(hours=20))
    assert ids(src, window) == [str(t) for t in moments if window.start <= t < window.end]
    assert len(ids(src, None)) == 33


def test_wall_clock_times_of_postgres_are_compared_in_their_zone(postgres_database):
    engine = sa.create_engine(postgres_database)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE messages (id int, text text, timestamp timestamp)"))
        for i, clock in enumerate(["2026-01-05 00:59:59", "2026-01-05 01:00", "2026-01-06 00:59", "2026-01-06 01:00"]):
            connection.execute(sa.text("INSERT INTO messages VALUES (:i, 'hi', :t)"), {"i": i, "t": clock})
    engine.dispose()
    src = source(postgres_database, fields=Fields(timezone="Europe/Berlin"))
    assert ids(src) == ["1", "2"]
    check_source(src, WINDOW)
    assert "column 'timestamp' has times without a time zone; set fields.timezone" in refused(
        source(postgres_database, fields=Fields())
    )


def test_the_types_of_postgres(postgres_database):
    engine = sa.create_engine(postgres_database)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE messages (id uuid, text varchar(20), timestamp timestamptz, p jsonb, v real[], "
                "y boolean, c double precision)"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO messages VALUES ('00000000-0000-0000-0000-000000000007', 'hi', '2026-01-05 02:00+02', "
                ":p, ARRAY[1, 2.5], true, 'NaN'), ('00000000-0000-0000-0000-000000000008', '50% off: a', "
                "'2026-01-05 02:00+02', NULL, NULL, NULL, NULL)"
            ),
            {"p": json.dumps({"a": 0.75, "b": 0.25})},
        )
    engine.dispose()
    fields = Fields(probabilities="p", vector="v", label="y")
    query = QUERY + " AND text LIKE '%h%' AND id::text LIKE '%7'"
    _, batch = source(postgres_database, query, fields).read(WINDOW)
    assert batch.rows.to_pylist() == [
        {
            "id": "00000000-0000-0000-0000-000000000007",
            "text": "hi",
            "observed_at": START,
            "predicted": None,
            "confidence": 0.75,
            "probabilities": [("a", 0.75), ("b", 0.25)],
            "label": "true",
            "vector": [1.0, 2.5],
            "block": None,
        }
    ]
    _, batch = source(postgres_database, fields=Fields(confidence="c")).read(WINDOW)
    assert (batch.rows.column("text").to_pylist(), batch.rejected) == (["50% off: a"], {"non-finite confidence": 1})


def test_postgres_streams_with_a_cursor_of_the_server(postgres_database):
    endless = "SELECT i AS id, 'text' AS text, timestamptz '2026-01-05 00:00+00' AS timestamp FROM generate_series(1, 10000000) i"
    batches = source(postgres_database, endless, Fields(), batch_rows=100).read(None)
    assert [next(batches).rows.num_rows for _ in range(3)] == [0, 100, 100]
    batches.close()
    engine = sa.create_engine(postgres_database)
    with engine.connect() as connection:
        others = connection.scalar(sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"))
    engine.dispose()
    assert others == 1


def test_an_error_in_the_middle_of_the_stream_does_not_quote_the_row(postgres_database):
    query = "SELECT i AS id, (CASE WHEN i > 500 THEN 'private words' ELSE '7' END)::int AS text FROM generate_series(1, 1000) i"
    with pytest.raises(SourceError) as caught:
        list(source(postgres_database, query, Fields(timestamp=None, text="id", predicted="text", id="id")).read(None))
    assert "private words" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_dead_database(postgres_database):
    message = refused(source("postgresql+psycopg://monitor:hunter2@127.0.0.1:9/shop"))
    assert message == (
        "postgresql+psycopg://monitor:***@127.0.0.1:9/shop: cannot connect: OperationalError; "
        "is the server up, and are user, password and address right?"
    )
    assert "cannot connect: OperationalError" in refused(source(postgres_database + "_gone"))


def test_a_wrong_password_is_never_shown(postgres_server, caplog):
    guarded = postgres_server.replace("postgres@", "guarded@") + "/postgres"
    query = "SELECT 1 AS id, 'hi' AS text"
    fields = Fields(timestamp=None)
    right = Secret("right horse")
    assert ids(source(guarded, query, fields, password=right), None) == ["1"]
    for wrong in (
        source(guarded, query, fields, password=Secret("hunter2")),
        source(guarded.replace("guarded@", "guarded:hunter2@"), query, fields),
    ):
        message = refused(wrong, None)
        assert message.endswith(
            "/postgres: cannot connect: OperationalError; is the server up, and are user, password and address right?"
        )
        assert "hunter2" not in message + caplog.text + repr(vars(wrong))
    message = refused(source(guarded, "SELECT * FROM pg_authid", fields, password=right), None)
    assert message.endswith("source.query failed: the user may not read this")
